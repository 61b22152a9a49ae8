"""npad: industrial visual anomaly detection that learns from good images only.

    model = npad.fit(good_images)
    result = model.score(image)
    if result.anomalous: ...

Images are NumPy arrays and are read where they lie: uint8 [height, width] (grey), uint8 [height, width, 3] (RGB, or BGR
with order="bgr"), uint8 [height, width, 4] (the fourth channel is not looked at), uint16 [height, width] (65535 is white)
and float32 [height, width] (1 is white). Rows may be padded or cut out of a larger array.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._library import Decision, Error, Handle, call, library, output

__all__ = [
    "Decision",
    "Error",
    "Model",
    "Region",
    "Result",
    "Trainer",
    "Verdict",
    "fit",
    "load_plugin",
    "open_runtime",
    "version",
]

Array = NDArray[np.generic]
Progress = Callable[[str, int, int], bool]
"""Is told how far a fit is, by stage, steps done and steps in all (0 where not known); returns whether to go on."""

_GRAY8, _RGB8, _BGR8, _GRAY16, _RGBA8, _BGRA8, _GRAYF32 = range(7)


class Verdict(IntEnum):
    """What is to be done with an image."""

    GOOD = 0
    REVIEW = 1
    """Somebody should look; only where a review rate or threshold is set."""
    DEFECTIVE = 2


def version() -> str:
    """The library's version."""
    return library.npad_version_string().decode()


def open_runtime(path: str | os.PathLike[str]) -> None:
    """Loads ONNX Runtime from a file or the folder that holds it, where the search would not find it."""
    call("npad_runtime_open", os.fsencode(path))


def load_plugin(path: str | os.PathLike[str]) -> None:
    """Loads a plug-in with a detection method of its own; it stays loaded until the process ends."""
    call("npad_plugin_load", os.fsencode(path))


@dataclass(frozen=True)
class Region:
    """A connected defect region, in pixels of the image."""

    x: int
    y: int
    width: int
    height: int
    area: int
    centroid: tuple[float, float]
    peak: float


@dataclass(frozen=True)
class Result:
    """What npad says about one image."""

    score: float
    """The raw image score: larger is more anomalous."""
    calibrated_score: float
    """0 for a typical good image, 0.5 at the threshold; not clamped."""
    verdict: Verdict
    map: NDArray[np.float32]
    """The anomaly map in the image's geometry; read-only, in the library's memory, which it keeps alive."""
    regions: list[Region]
    """Regions of the map above its threshold, highest peak first."""
    _handle: Handle = field(repr=False, compare=False)

    @property
    def anomalous(self) -> bool:
        """Whether the score exceeds the model's threshold."""
        return self.verdict == Verdict.DEFECTIVE


class _Options:
    """Native options, and the callback that they may call."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.handle = Handle(library.npad_options_new(), "npad_options_free")
        self.error: BaseException | None = None
        mask, progress = options.pop("mask", None), options.pop("progress", None)
        for key, value in options.items():
            call("npad_options_set", self.handle.value, key.encode(), str(value).encode())
        if mask is not None:
            view, _keep = _mask(mask)
            call("npad_options_set_mask", self.handle.value, ctypes.byref(view))
        if progress is not None:
            self.callback = _library.ProgressCallback(self._told(progress))
            call("npad_options_set_progress", self.handle.value, self.callback, None)

    def _told(self, progress: Progress) -> Callable[..., bool]:
        def callback(stage: bytes, done: int, total: int, _: object) -> bool:
            try:
                return bool(progress(stage.decode(), done, total))
            except BaseException as error:  # it must not pass through native code, and comes back afterwards
                self.error = error
                return False

        return callback

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Raises what the progress callback has raised."""
        try:
            yield
        except Error:
            error, self.error = self.error, None
            if error is not None:
                raise error
            raise


def _mask(mask: Array) -> tuple[_library.Mask, Array]:
    """A view of a mask, and the array that it looks at: True or not 0 keeps a pixel."""
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype not in (np.bool_, np.uint8):
        raise ValueError(f"an array of {array.dtype} {list(array.shape)} is no mask: expected bool or uint8 [h, w]")
    array = np.ascontiguousarray(array)
    height, width = array.shape
    return _library.Mask(array.ctypes.data, width, height, 0), array


def _view(image: Array, order: str, mask: Array | None = None) -> tuple[_library.Image, list[object]]:
    """A view of an array, and what must live as long as the view is used."""
    if order not in ("rgb", "bgr"):
        raise ValueError(f"order is {order!r}, but must be 'rgb' or 'bgr'")
    array = np.asarray(image)
    channels = array.shape[2] if array.ndim == 3 else 1
    formats = {
        ("uint8", 1): _GRAY8,
        ("uint8", 3): _RGB8 if order == "rgb" else _BGR8,
        ("uint8", 4): _RGBA8 if order == "rgb" else _BGRA8,
        ("uint16", 1): _GRAY16,
        ("float32", 1): _GRAYF32,
    }
    form = formats.get((array.dtype.name, channels))
    if form is None or array.ndim not in (2, 3):
        raise ValueError(
            f"an array of {array.dtype} {list(array.shape)} is not an image: expected uint8 [h, w], [h, w, 3] or "
            "[h, w, 4], uint16 [h, w] or float32 [h, w]"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    inner = array.strides[1:]
    packed = (channels * array.itemsize, array.itemsize)[: len(inner)]
    if array.size and (inner != packed or array.strides[0] < array.shape[1] * packed[0]):
        array = np.ascontiguousarray(array)
    view = _library.Image()
    view.data[0] = array.ctypes.data
    view.height, view.width = array.shape[:2]
    view.stride, view.format = array.strides[0], form
    if mask is None:
        return view, [array]
    mask_view, kept = _mask(mask)
    view.mask = ctypes.pointer(mask_view)
    return view, [array, kept, mask_view]


def _views(images: Iterable[Array], order: str) -> tuple[ctypes.Array[_library.Image], list[object]]:
    pairs = [_view(image, order) for image in images]
    return (_library.Image * len(pairs))(*(view for view, _ in pairs)), [keep for _, keep in pairs]


class Model:
    """A fitted model. Any number of threads may score with it at once."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: object) -> Model:
        """Reads a model file; of the options, device and threads count."""
        given = _Options(options)
        return cls(output("npad_model_load", "npad_model_free", os.fsencode(path), given.handle.value))

    @classmethod
    def from_bytes(cls, data: bytes, **options: object) -> Model:
        """Reads a model from the bytes of its file."""
        given = _Options(options)
        return cls(output("npad_model_load_memory", "npad_model_free", data, len(data), given.handle.value))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file, all or nothing."""
        call("npad_model_save", self._handle.value, os.fsencode(path))

    def to_bytes(self) -> bytes:
        """The bytes of the model file."""
        buffer = output("npad_model_save_memory", "npad_buffer_free", self._handle.value)
        return ctypes.string_at(library.npad_buffer_data(buffer.value), library.npad_buffer_size(buffer.value))

    @property
    def info(self) -> dict[str, Any]:
        """What the model knows of itself."""
        return json.loads(library.npad_model_info(self._handle.value))

    @property
    def threshold(self) -> float:
        """The raw image score above which an image is defective."""
        return library.npad_model_threshold(self._handle.value)

    @property
    def review_threshold(self) -> float:
        """The raw image score above which an image is to be reviewed; the threshold itself where there is no review."""
        return library.npad_model_review_threshold(self._handle.value)

    @property
    def map_threshold(self) -> float:
        """The value of the anomaly map above which a pixel belongs to a region."""
        return library.npad_model_map_threshold(self._handle.value)

    def with_thresholds(
        self, threshold: float | None = None, review: float | None = None, map_threshold: float | None = None
    ) -> Model:
        """The same model with other thresholds, in the units of raw scores. Without review, there is none."""
        threshold = self.threshold if threshold is None else threshold
        review = threshold if review is None else review
        map_threshold = self.map_threshold if map_threshold is None else map_threshold
        arguments = (self._handle.value, threshold, review, map_threshold)
        return Model(output("npad_model_with_thresholds", "npad_model_free", *arguments))

    def recalibrate(self, images: Iterable[Array], order: str = "rgb", **options: object) -> Model:
        """The same model with thresholds from good images that it has not learnt; of the options, false_alarm_rate and
        review_rate count."""
        views, _keep = _views(images, order)
        given = _Options(options) if options else None
        arguments = (self._handle.value, views, len(views), given.handle.value if given else None)
        return Model(output("npad_model_recalibrate", "npad_model_free", *arguments))

    def score(self, image: Array, order: str = "rgb", mask: Array | None = None) -> Result:
        """Scores one image, or the part of it that the mask (bool or uint8 [h, w]) keeps."""
        view, _keep = _view(image, order, mask)
        return _result(output("npad_score", "npad_result_free", self._handle.value, ctypes.byref(view)))

    def score_batch(self, images: Iterable[Array], order: str = "rgb") -> list[Result]:
        """Scores several images, all or none."""
        views, _keep = _views(images, order)
        handles = (ctypes.c_void_p * len(views))()
        call("npad_score_batch", self._handle.value, views, len(views), handles)
        return [_result(Handle(handle, "npad_result_free")) for handle in handles]

    def score_into(self, image: Array, map: NDArray[np.float32], order: str = "rgb") -> Decision:
        """Scores one image into an array for its anomaly map, float32 [h, w], whose rows may be padded."""
        view, _keep = _view(image, order)
        fits = map.dtype == np.float32 and map.shape == (view.height, view.width) and map.flags.writeable
        if not fits or map.strides[1] != 4 or map.strides[0] < 4 * view.width:
            raise ValueError(f"the map must be a writable array of float32 [{view.height}, {view.width}] with whole rows")
        decision = Decision()
        arguments = (ctypes.byref(view), map.ctypes.data, map.strides[0], None, 0, ctypes.byref(decision))
        call("npad_score_into", self._handle.value, *arguments)
        return decision

    def render(self, image: Array, result: Result, order: str = "rgb") -> NDArray[np.uint8]:
        """The image with its anomaly map laid over it: uint8 [h, w, 3] in the same order as the image."""
        view, _keep = _view(image, order)
        pixels = np.empty((view.height, view.width, 3), np.uint8)
        form = _RGB8 if order == "rgb" else _BGR8
        arguments = (ctypes.byref(view), result._handle.value, pixels.ctypes.data, 0, form)
        call("npad_render", self._handle.value, *arguments)
        return pixels

    def close(self) -> None:
        """Frees the model; no other thread may be using it. It happens by itself when nothing refers to it."""
        self._handle.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _result(result: Handle) -> Result:
    shape = (library.npad_result_height(result.value), library.npad_result_width(result.value))
    buffer = (ctypes.c_float * (shape[0] * shape[1])).from_address(library.npad_result_map(result.value))
    buffer.owner = result  # the map's memory lives in the result
    values = np.frombuffer(buffer, np.float32).reshape(shape)
    values.flags.writeable = False
    return Result(
        score=library.npad_result_score(result.value),
        calibrated_score=library.npad_result_calibrated_score(result.value),
        verdict=Verdict(library.npad_result_verdict(result.value)),
        map=values,
        regions=[_region(result, i) for i in range(library.npad_result_region_count(result.value))],
        _handle=result,
    )


def _region(result: Handle, index: int) -> Region:
    region = _library.Region()
    call("npad_result_region", result.value, index, ctypes.byref(region))
    centroid = (region.centroid_x, region.centroid_y)
    return Region(region.x, region.y, region.width, region.height, region.area, centroid, region.peak)


class Trainer:
    """A fit in progress, for images that come one by one. Belongs to one thread at a time.

    Options come by keyword; mask (bool or uint8 [h, w]) and progress are options too.
    """

    def __init__(self, **options: object) -> None:
        self._options = _Options(options)
        self._handle = output("npad_trainer_new", "npad_trainer_free", self._options.handle.value)

    @classmethod
    def resume(cls, model: Model, progress: Progress | None = None) -> Trainer:
        """Goes on from a model with further good images, for a new one."""
        trainer = cls.__new__(cls)
        trainer._options = _Options({"progress": progress})
        arguments = (model._handle.value, trainer._options.handle.value)
        trainer._handle = output("npad_trainer_resume", "npad_trainer_free", *arguments)
        return trainer

    def add(self, image: Array, order: str = "rgb") -> None:
        """Learns one good image; a failure changes nothing."""
        view, _keep = _view(image, order)
        with self._options.watched():
            call("npad_trainer_add_image", self._handle.value, ctypes.byref(view))

    def __len__(self) -> int:
        return library.npad_trainer_image_count(self._handle.value)

    def finish(self) -> Model:
        """Ends the fit; with too few images it raises, and more may be added."""
        with self._options.watched():
            return Model(output("npad_trainer_finish", "npad_model_free", self._handle.value))


def fit(images: Iterable[Array], order: str = "rgb", **options: object) -> Model:
    """Learns from good images. Options by keyword; those with a dot through a dictionary: **{"npad.channels": 50}."""
    trainer = Trainer(**options)
    for image in images:
        trainer.add(image, order)
    return trainer.finish()
