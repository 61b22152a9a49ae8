"""Models, trainers and cancellation."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterable, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._arrays import BGR8, MAX_SIDE, RGB8, Array, Buffer, Image, Pixels, Roi, content, view, views, writable
from ._library import Handle, call, integer, library, output, text
from ._options import Options, Progress, given
from ._results import Decision, Drift, KnownDefects, Result, decision, drift, known_defects, result

_MAX_SIZE = ctypes.c_size_t(-1).value


class Cancellation:
    """A cancellation request for a batch. Any thread may cancel it; it cannot be reset."""

    def __init__(self) -> None:
        self._handle = Handle(library.npad_cancellation_new(), "npad_cancellation_free")

    def cancel(self) -> None:
        """Cancels all running and future calls that use this request, once the image in progress is complete."""
        library.npad_cancellation_cancel(self._handle)

    @property
    def cancelled(self) -> bool:
        """Whether cancel() has been called."""
        return library.npad_cancellation_is_cancelled(self._handle)


def _handle_of(cancellation: Cancellation | None) -> Handle | None:
    return None if cancellation is None else cancellation._handle


class Model:
    """A fitted model. Any number of threads may score with it at once.

    Images are arrays, or Image objects if they differ in their settings. `order`, `mask`, `roi` and `significant_bits`
    are those of Image, for images that are arrays.
    """

    def __init__(self, handle: Handle) -> None:
        self._open: Handle | None = handle

    @property
    def _handle(self) -> Handle:
        if self._open is None:
            raise ValueError("this model has been closed")
        return self._open

    @classmethod
    def load(cls, path: str | os.PathLike[str], options: Options | None = None, **values: Any) -> Model:
        """Loads a model from a file. Of the options, only device, device_cache, scoring, threads, max_calls,
        call_timeout, trusted_keys, foreign_backbones, extractor and, on a device other than the CPU, progress are used."""
        chosen = given(options, values)
        return cls(output("npad_model_load", "npad_model_free", text(path), chosen._handle))

    @classmethod
    def from_bytes(cls, data: Buffer, options: Options | None = None, **values: Any) -> Model:
        """Loads a model from the bytes of a model file, see load."""
        chosen = given(options, values)
        return cls(output("npad_model_load_memory", "npad_model_free", *content(data), chosen._handle))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file atomically."""
        call("npad_model_save", self._handle, text(path))

    def export_onnx(self, path: str | os.PathLike[str], options: Options | None = None, **values: Any) -> None:
        """Writes the model as an ONNX network, to a path that ends in ".onnx", and its description beside it, with the
        ending ".json": see npad_model_export() in npad.h. Only export_opset, export_batch and export_size are used."""
        chosen = given(options, values)
        call("npad_model_export", self._handle, text(path), chosen._handle)

    def to_bytes(self) -> bytes:
        """The bytes of the model file."""
        return _bytes(output("npad_model_save_memory", "npad_buffer_free", self._handle))

    @property
    def info(self) -> dict[str, Any]:
        """The model's metadata, and in "machine" what it runs on here."""
        handle = self._handle
        return json.loads(library.npad_model_info(handle))

    def _text(self, name: str) -> str:
        handle = self._handle
        return getattr(library, name)(handle).decode()

    @property
    def card(self) -> str:
        """The calibration card, plain text with one fact a line: the good images, thresholds and how they were derived,
        settings, backbone and npad's version. It depends on the model alone."""
        return self._text("npad_model_card")

    @property
    def method(self) -> str:
        """The name of the detection method."""
        return self._text("npad_model_method")

    @property
    def backbone(self) -> str:
        """The identity of the backbone, a name and a checksum."""
        return self._text("npad_model_backbone")

    @property
    def device(self) -> str:
        """The device that the networks run on, as the option "device" names it, for "auto" the one in use."""
        return self._text("npad_model_device")

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels; images of any size are resized to it."""
        return library.npad_model_input_height(self._handle), library.npad_model_input_width(self._handle)

    @property
    def image_count(self) -> int:
        """The number of good images that the model has learnt."""
        return library.npad_model_image_count(self._handle)

    @property
    def false_alarm_rate(self) -> float:
        """The target false-alarm rate, from which the threshold was computed."""
        return library.npad_model_false_alarm_rate(self._handle)

    @property
    def threshold(self) -> float:
        """The raw image score above which an image is defective."""
        return library.npad_model_threshold(self._handle)

    @property
    def review_threshold(self) -> float:
        """The raw image score above which an image is for review; equal to the threshold if there is no review."""
        return library.npad_model_review_threshold(self._handle)

    @property
    def known_defects(self) -> KnownDefects | None:
        """What the known defects of the fit say about thresholds, see Trainer.add_defect; None without any."""
        native = _library.KnownDefects()
        call("npad_model_known_defects", self._handle, ctypes.byref(native))
        return known_defects(native)

    def drift(self, scores: Sequence[float] | NDArray[np.floating[Any]]) -> Drift:
        """Compares raw scores of recent products, taken to be good, with those of the model's held-out good images.

        At least 10 scores in any order; 50 or more are recommended. Some defective products among them do not matter; do
        not leave out those that the model judged defective.
        """
        with np.errstate(over="ignore"):  # npad refuses what becomes infinite
            values = np.ascontiguousarray(scores, np.float32)
        if values.ndim != 1:
            raise ValueError(f"scores must be a sequence of numbers, but have {values.ndim} dimensions")
        native = _library.Drift()
        call("npad_model_drift", self._handle, values.ctypes.data, len(values), ctypes.byref(native))
        return drift(native)

    def with_thresholds(self, threshold: float | None = None, review: float | None = None) -> Model:
        """A copy of the model with other thresholds, in units of raw scores. No `review` means no review."""
        threshold = self.threshold if threshold is None else threshold
        review = threshold if review is None else review
        arguments = (self._handle, threshold, review)
        return Model(output("npad_model_with_thresholds", "npad_model_free", *arguments))

    def with_signature(self, key: bytes) -> Model:
        """A copy of the model that is signed with a secret key of 32 bytes whenever it is saved."""
        # bytes(32) would be a key of zeros.
        key = bytes(memoryview(key))
        return Model(output("npad_model_with_signature", "npad_model_free", self._handle, key, len(key)))

    @property
    def signer(self) -> str:
        """The public key of the model's signature, as "trusted_keys" takes it; empty if the model is not signed."""
        return self._text("npad_model_signer")

    def recalibrate(
        self, images: Iterable[Pixels], order: str = "rgb", options: Options | None = None, **values: Any
    ) -> Model:
        """A copy of the model with thresholds computed from good images that are not among those of the fit.

        Images that the model has learnt are left out, and images that equal one another count once.
        Images of an iterator are copied first, so it may yield the same array with other pixels each time.
        Only false_alarm_rate, review_rate and date are used; without options, the rates of the model and today.
        """
        native, _kept = views(images, order=order)
        chosen = given(options, values) if options is not None or values else None
        arguments = (self._handle, native, len(native), chosen and chosen._handle)
        return Model(output("npad_model_recalibrate", "npad_model_free", *arguments))

    def warm_up(self, width: int, height: int) -> None:
        """Prepares the model for images of one size, so that the first call is as fast as later ones. It counts as one
        call and prepares as many concurrent calls as there are cores, at most max_calls."""
        width, height = (integer(side, name, 1, MAX_SIDE) for side, name in ((width, "width"), (height, "height")))
        call("npad_model_warm_up", self._handle, width, height)

    def score(
        self,
        image: Pixels,
        order: str = "rgb",
        mask: Array | None = None,
        roi: Roi | None = None,
        significant_bits: int = 0,
    ) -> Result:
        """Scores one image."""
        native, _kept = view(image, order=order, mask=mask, roi=roi, significant_bits=significant_bits)
        return result(output("npad_score", "npad_result_free", self._handle, ctypes.byref(native)))

    def score_batch(
        self, images: Iterable[Pixels], order: str = "rgb", cancellation: Cancellation | None = None
    ) -> list[Result]:
        """Scores a batch of images, in less time than one at a time. If one fails, the call raises.

        Images of an iterator are copied first, so it may yield the same array with other pixels each time.
        """
        native, _kept = views(images, order=order)
        handles = (ctypes.c_void_p * len(native))()
        try:
            call("npad_score_batch", self._handle, native, len(native), _handle_of(cancellation), handles)
        finally:  # also if the call succeeded, but a callback raised
            results = [Handle(handle, "npad_result_free") for handle in handles if handle]
        return [result(owned) for owned in results]

    def score_into(
        self,
        image: Pixels,
        map: NDArray[np.float32] | None = None,
        order: str = "rgb",
        *,
        map_u8: NDArray[np.uint8] | None = None,
        max_regions: int = 0,
        mask: Array | None = None,
        roi: Roi | None = None,
        significant_bits: int = 0,
    ) -> Decision:
        """Scores one image into your arrays [height, width], either or both: the anomaly map, float32, and the calibrated
        map in 8 bits, uint8. Their rows must be contiguous, but may be parts of a larger array."""
        native, _kept = view(image, order=order, mask=mask, roi=roi, significant_bits=significant_bits)
        target, kept = _target(native, map, map_u8, max_regions)
        call("npad_score_into", self._handle, ctypes.byref(native), ctypes.byref(target))
        return decision(target, kept)

    def score_batch_into(
        self,
        images: Iterable[Pixels],
        maps: Sequence[NDArray[np.float32]] | NDArray[np.float32] | None = None,
        order: str = "rgb",
        *,
        maps_u8: Sequence[NDArray[np.uint8]] | NDArray[np.uint8] | None = None,
        max_regions: int = 0,
        cancellation: Cancellation | None = None,
    ) -> list[Decision]:
        """Scores a batch of images into one array per image, see score_into. If one fails, the call raises."""
        native, _kept = views(images, order=order)
        for arrays, what in (maps, "maps"), (maps_u8, "maps_u8"):
            if arrays is not None and len(arrays) != len(native):
                raise ValueError(f"there are {len(arrays)} {what} for {len(native)} images")
        pairs = [
            _target(native[i], None if maps is None else maps[i], None if maps_u8 is None else maps_u8[i], max_regions)
            for i in range(len(native))
        ]
        targets = (_library.Output * len(pairs))(*(target for target, _ in pairs))
        call("npad_score_batch_into", self._handle, native, len(native), _handle_of(cancellation), targets)
        return [decision(_copy(target), kept) for target, (_, kept) in zip(targets, pairs)]

    def render(self, image: Pixels, result: Result | Decision, order: str = "rgb") -> NDArray[np.uint8]:
        """Draws the anomaly map of a result, or that of a decision, over its image: uint8 [height, width, 3]."""
        native, _kept = view(image, order=order)
        order = image.order if isinstance(image, Image) else order
        pixels = np.empty((native.height, native.width, 3), np.uint8)
        rest = (pixels.ctypes.data, 0, RGB8 if order == "rgb" else BGR8)
        if isinstance(result, Decision):
            size = result._kept[0]
            if size != (native.height, native.width):
                raise ValueError(f"the image has {native.height} rows and {native.width} columns, but the result has {size}")
            call("npad_render_output", self._handle, ctypes.byref(native), ctypes.byref(result._output), *rest)
        else:
            call("npad_render", self._handle, ctypes.byref(native), result._handle, *rest)
        return pixels

    def close(self) -> None:
        """Frees the model once no call uses it. Without close, it is freed when nothing refers to it."""
        self._open = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bytes(buffer: Handle) -> bytes:
    return ctypes.string_at(library.npad_buffer_data(buffer), library.npad_buffer_size(buffer))


def _target(
    image: _library.Image, map: Array | None, map_u8: Array | None, max_regions: int
) -> tuple[_library.Output, tuple[object, ...]]:
    """The struct for the arrays of a call, and the objects that must outlive it. `size` is that of the image."""
    shape = (image.height, image.width)
    target = _library.Output()
    if map is not None:
        target.map_stride = writable(map, np.float32, shape, "the map")
        target.map = map.ctypes.data
    if map_u8 is not None:
        target.map_u8_stride = writable(map_u8, np.uint8, shape, "the map in 8 bits")
        target.map_u8 = map_u8.ctypes.data
    regions = (_library.Region * integer(max_regions, "max_regions", 0, 1_000_000))()
    if len(regions):
        target.regions = ctypes.cast(regions, ctypes.POINTER(_library.Region))
        target.region_size, target.region_capacity = ctypes.sizeof(_library.Region), len(regions)
    return target, (shape, map, map_u8, regions)


def _copy(target: _library.Output) -> _library.Output:
    return _library.Output.from_buffer_copy(target)


class Trainer:
    """A fit in progress, which learns good images one at a time. Only one thread at a time may use it.

    Its progress callback must not use it: the call raises an Error with the status WRONG_STATE.

    Options are an Options object or keywords.
    """

    def __init__(self, options: Options | None = None, **values: Any) -> None:
        chosen = given(options, values)
        self._progress = chosen._progress  # the library may call it as long as the trainer lives
        self._handle = output("npad_trainer_new", "npad_trainer_free", chosen._handle)

    @classmethod
    def resume(cls, model: Model, progress: Progress | None = None, **values: Any) -> Trainer:
        """Resumes the fit of a model, to compute a new model from further good images.

        Known defects must be added again. Of the keywords only date, operating_point and miss_cost are used; without
        the last two, those of the model.
        """
        trainer = cls.__new__(cls)
        chosen = Options(progress=progress, **values)
        trainer._progress = chosen._progress
        arguments = (model._handle, chosen._handle)
        trainer._handle = output("npad_trainer_resume", "npad_trainer_free", *arguments)
        return trainer

    @classmethod
    def load(cls, path: str | os.PathLike[str], options: Options | None = None, **values: Any) -> Trainer:
        """Goes on with a fit from the file of a trainer's state.

        The options that a model depends on, mask and region of interest are those of the state. Of the options given,
        those of this machine are used: device, device_cache, threads, scoring, max_calls, call_timeout, checkpoint, date,
        backbone, extractor and progress; others must be unset or those of the state.
        """
        return cls._loaded(given(options, values), "npad_trainer_load", text(path))

    @classmethod
    def from_bytes(cls, data: Buffer, options: Options | None = None, **values: Any) -> Trainer:
        """Goes on with a fit from the bytes of a trainer's state, see load."""
        return cls._loaded(given(options, values), "npad_trainer_load_memory", *content(data))

    @classmethod
    def _loaded(cls, options: Options, name: str, *source: Any) -> Trainer:
        trainer = cls.__new__(cls)
        trainer._progress = options._progress
        trainer._handle = output(name, "npad_trainer_free", *source, options._handle)
        return trainer

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state to a file atomically: what the trainer has learnt so far, with which another one goes on."""
        call("npad_trainer_save", self._handle, text(path))

    def to_bytes(self) -> bytes:
        """The bytes of the state, see save."""
        return _bytes(output("npad_trainer_save_memory", "npad_buffer_free", self._handle))

    def merge(self, state: Buffer | str | os.PathLike[str]) -> None:
        """Adds what another trainer with the same options has learnt, from the bytes or the file of its state.

        Bytes are any object that gives them as a buffer.

        The model is that of one fit of all images, to the last bit, however the images were divided and in whatever order
        states are merged: see npad_trainer_merge() in npad.h. On failure the trainer is unchanged.
        """
        if isinstance(state, (str, os.PathLike)):
            call("npad_trainer_merge", self._handle, text(state))
        else:
            call("npad_trainer_merge_memory", self._handle, *content(state))

    def expect(self, count: int) -> None:
        """Sets the number of images that will be added, for the progress callback; 0 means unknown."""
        call("npad_trainer_expect", self._handle, integer(count, "the expected number of images", 0, _MAX_SIZE))

    def add(self, image: Pixels, order: str = "rgb", significant_bits: int = 0) -> None:
        """Learns one good image, unless it equals one already learnt. On failure the trainer is unchanged."""
        self._add(image, order, significant_bits)

    def _add(self, image: Pixels, order: str, significant_bits: int, place: str = "") -> None:
        native, _kept = view(image, order=order, significant_bits=significant_bits)
        call("npad_trainer_add_image", self._handle, ctypes.byref(native), place=place)

    def add_defect(self, image: Pixels, order: str = "rgb", significant_bits: int = 0) -> None:
        """Adds an image with a known defect, which is never learnt, after at least one good image.

        finish scores it; Model.known_defects reports, and the option operating_point lets the known defects set the
        threshold. An image that has been learnt as a good one is refused. On failure the trainer is unchanged.
        """
        native, _kept = view(image, order=order, significant_bits=significant_bits)
        call("npad_trainer_add_defect", self._handle, ctypes.byref(native))

    def __len__(self) -> int:
        return library.npad_trainer_image_count(self._handle)

    def finish(self) -> Model:
        """Finishes the fit. On failure the trainer is unchanged: add more images or call finish again."""
        return Model(output("npad_trainer_finish", "npad_model_free", self._handle))


def fit(
    images: Iterable[Pixels],
    order: str = "rgb",
    options: Options | None = None,
    significant_bits: int = 0,
    **values: Any,
) -> Model:
    """Fits a model to at least 3 good images; 20 or more are recommended.

    Each image is learnt before the next one is taken, so an iterator may yield the same array with other pixels each time.
    An Error about an image names its index.

    Options are an Options object or keywords; those with a dot through a dictionary: **{"npad.channels": 50}.
    """
    trainer = Trainer(options, **values)
    if isinstance(images, Sized):
        trainer.expect(len(images))
    for index, image in enumerate(images):
        trainer._add(image, order, significant_bits, f"image {index}: ")
    return trainer.finish()
