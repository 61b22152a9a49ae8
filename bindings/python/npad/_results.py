"""Results of scoring."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._library import Handle, call, library


class Verdict(IntEnum):
    """Verdict on an image."""

    GOOD = 0
    REVIEW = 1
    """A person should inspect the image. Returned only if a review rate or threshold is set."""
    DEFECTIVE = 2


@dataclass(frozen=True)
class ThresholdEffect:
    """What a threshold does."""

    threshold: float
    """The threshold, in the units of raw scores."""
    missed: int
    """Number of known defects that it misses."""
    false_alarm_rate: float
    """Estimated share of good images above it, 0 to 1, from the scores of the model's held-out good images."""


@dataclass(frozen=True)
class KnownDefects:
    """What a model's known defects say about thresholds."""

    count: int
    """Number of known defects."""
    in_use: ThresholdEffect
    """The model's threshold."""
    rate: ThresholdEffect
    """The threshold of operating_point="rate"."""
    catch_all: ThresholdEffect
    """The threshold of operating_point="catch_all", which finds all known defects."""
    cost: ThresholdEffect
    """The threshold of operating_point="cost"."""


def known_defects(native: _library.KnownDefects) -> KnownDefects | None:
    """The report in `native`; none without known defects."""
    if native.count == 0:
        return None
    return KnownDefects(
        native.count,
        in_use=ThresholdEffect(native.threshold, native.missed, native.false_alarm_rate),
        rate=ThresholdEffect(native.rate_threshold, native.rate_missed, native.rate_false_alarm_rate),
        catch_all=ThresholdEffect(native.catch_all_threshold, 0, native.catch_all_false_alarm_rate),
        cost=ThresholdEffect(native.cost_threshold, native.cost_missed, native.cost_false_alarm_rate),
    )


@dataclass(frozen=True)
class Drift:
    """How recent scores differ from those of a model's held-out good images."""

    drifted: bool
    """Whether the scores have drifted: the magnitude of the effect is at least `least_effect`."""
    effect: float
    """The probability that a recent score exceeds that of a held-out good image, minus that of the opposite (Cliff's
    delta): -1 to 1, above 0 where scores have risen. A magnitude of 0.12 is a small effect, 0.28 a medium one and 0.42 a
    large one (Vargha and Delaney 2000)."""
    least_effect: float
    """The magnitude from which an effect is drift: 0.28, or more where so few scores would show such an effect by chance.
    Above 1 where there are too few for any."""
    p_value: float
    """The probability that scores differ as much if nothing has changed."""
    good_count: int
    """Number of held-out good images."""
    recent_count: int
    """Number of recent scores."""
    good_median: float
    """Median score of the held-out good images."""
    recent_median: float
    """Median of the recent scores."""
    above_count: int
    """Number of recent scores above the model's threshold."""
    above_share: float
    """Share of recent scores above the model's threshold, 0 to 1."""
    above_interval: tuple[float, float]
    """An interval that contains that share with a confidence of 95 %."""
    false_alarm_rate: float
    """Share of good images above the threshold that the held-out ones let expect: that of the model, unless the threshold
    was given or is that of known defects."""


def drift(native: _library.Drift) -> Drift:
    """The report in `native`."""
    return Drift(
        drifted=native.drifted != 0,
        effect=native.effect,
        least_effect=native.least_effect,
        p_value=native.p_value,
        good_count=native.good_count,
        recent_count=native.recent_count,
        good_median=native.good_median,
        recent_median=native.recent_median,
        above_count=native.above_count,
        above_share=native.above_share,
        above_interval=(native.above_low, native.above_high),
        false_alarm_rate=native.false_alarm_rate,
    )


@dataclass(frozen=True)
class Region:
    """A connected defect region, in pixels of the image; the centre of its first pixel is at (0, 0)."""

    x: int
    y: int
    width: int
    height: int
    area: int
    centroid: tuple[float, float]
    peak: float
    """Maximum of the anomaly map in the region, in the units of the raw score."""
    calibrated_peak: float
    """The peak on the calibrated scale: 0.5 is the threshold; not clamped."""
    _result: Handle | None = field(default=None, repr=False, compare=False)
    _index: int = field(default=0, repr=False, compare=False)

    def _pixels(self) -> Handle:
        if self._result is None:
            raise ValueError("regions of score_into have no pixels; take those of score")
        return self._result

    def mask(self) -> NDArray[np.uint8]:
        """The pixels of the region as a mask [height, width] of its bounding box: 255 inside the region, 0 outside."""
        mask = np.empty((self.height, self.width), np.uint8)
        call("npad_result_region_mask", self._pixels(), self._index, mask.ctypes.data, 0)
        return mask

    def runs(self) -> NDArray[np.int32]:
        """The pixels of the region as runs [n, 3]: row, first column, column after the last."""
        return self._numbers(library.npad_result_region_runs, 3)

    def contour(self) -> NDArray[np.int32]:
        """The outer contour as a closed chain [n, 2] of boundary pixels, x and y: 8-connected, clockwise."""
        return self._numbers(library.npad_result_region_contour, 2)

    def _numbers(self, function: Any, columns: int) -> NDArray[np.int32]:
        count = ctypes.c_size_t()
        values = function(self._pixels(), self._index, ctypes.byref(count))
        if not values:
            raise MemoryError("npad has no memory for the pixels of the region")
        return np.ctypeslib.as_array(values, (count.value, columns)).copy()


def region(native: _library.Region, result: Handle | None = None, index: int = 0) -> Region:
    """A region from its struct."""
    box = (native.x, native.y, native.width, native.height, native.area)
    centroid = (native.centroid_x, native.centroid_y)
    return Region(*box, centroid, native.peak, native.calibrated_peak, result, index)


@dataclass(frozen=True, eq=False)
class Result:
    """The result of scoring one image. Any thread may read it. Results are equal only if they are the same object."""

    score: float
    """The raw image score: 0 or above, larger is more anomalous."""
    calibrated_score: float
    """The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped."""
    verdict: Verdict
    map: NDArray[np.float32] = field(repr=False)
    """The anomaly map [height, width], a read-only view of the library's memory, which it keeps alive."""
    regions: list[Region]
    """The defect regions, highest peak first; may be empty."""
    _handle: Handle = field(repr=False, compare=False)

    @property
    def anomalous(self) -> bool:
        """Whether the score exceeds the model's threshold."""
        return self.verdict == Verdict.DEFECTIVE

    def map_u8(self) -> NDArray[np.uint8]:
        """The calibrated anomaly map in 8 bits: 128 or more exactly above the threshold."""
        values = np.empty(self.map.shape, np.uint8)
        call("npad_result_map_u8", self._handle, values.ctypes.data, 0)
        return values


def result(handle: Handle) -> Result:
    """A result from its handle."""
    shape = (library.npad_result_height(handle), library.npad_result_width(handle))
    buffer = (ctypes.c_float * (shape[0] * shape[1])).from_address(library.npad_result_map(handle))
    buffer.owner = handle  # the map's memory lives in the result
    # Of a read-only buffer, so that nobody can make the array writable.
    values = np.frombuffer(memoryview(buffer).toreadonly(), np.float32).reshape(shape)
    regions = []
    for index in range(library.npad_result_region_count(handle)):
        native = _library.Region()
        call("npad_result_region", handle, index, ctypes.byref(native), ctypes.sizeof(native))
        regions.append(region(native, handle, index))
    return Result(
        score=library.npad_result_score(handle),
        calibrated_score=library.npad_result_calibrated_score(handle),
        verdict=Verdict(library.npad_result_verdict(handle)),
        map=values,
        regions=regions,
        _handle=handle,
    )


@dataclass(frozen=True)
class Decision:
    """The result of scoring one image into arrays of the caller."""

    score: float
    """The raw image score: 0 or above, larger is more anomalous."""
    calibrated_score: float
    """The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped."""
    verdict: Verdict
    region_count: int
    """The total number of defect regions, which may exceed `max_regions`."""
    regions: list[Region]
    """The first `max_regions` regions, highest peak first."""
    _output: _library.Output = field(repr=False, compare=False)
    _kept: tuple[object, ...] = field(repr=False, compare=False)

    @property
    def anomalous(self) -> bool:
        """Whether the score exceeds the model's threshold."""
        return self.verdict == Verdict.DEFECTIVE


def decision(output: _library.Output, kept: tuple[object, ...]) -> Decision:
    """A decision from its struct, which keeps the arrays alive that the struct points to."""
    count = min(output.region_count, output.region_capacity)
    return Decision(
        score=output.score,
        calibrated_score=output.calibrated_score,
        verdict=Verdict(output.verdict),
        region_count=output.region_count,
        regions=[region(output.regions[i]) for i in range(count)],
        _output=output,
        _kept=kept,
    )
