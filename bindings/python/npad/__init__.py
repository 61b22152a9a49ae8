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
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._library import Error, Handle, call, library, output

__all__ = [
    "Cancellation",
    "Decision",
    "Error",
    "Extractor",
    "Model",
    "Option",
    "Region",
    "Result",
    "Trainer",
    "Verdict",
    "devices",
    "fit",
    "load_plugin",
    "methods",
    "open_runtime",
    "options",
    "set_logger",
    "version",
]

Array = NDArray[np.generic]
Progress = Callable[[str, int, int], bool]
"""Progress callback: stage, steps done, steps in all (0 where not known). Return False to cancel the fit."""

_GRAY8, _RGB8, _BGR8, _GRAY16, _RGBA8, _BGRA8, _GRAYF32 = range(7)


@dataclass(frozen=True)
class Option:
    """An option, for programs that show or check what can be set."""

    name: str
    type: str
    """integer, number, choice, flags, text or path."""
    default: str
    range: str
    help: str


_OPTION_TYPES = ("integer", "number", "choice", "flags", "text", "path")


def options() -> list[Option]:
    """All options, those of every fit and load first, then the methods' parameters."""
    return [
        Option(
            library.npad_option_name(i).decode(),
            _OPTION_TYPES[library.npad_option_get_type(i)],
            library.npad_option_default(i).decode(),
            library.npad_option_range(i).decode(),
            library.npad_option_help(i).decode(),
        )
        for i in range(library.npad_option_count())
    ]


def methods() -> list[str]:
    """The names of the detection methods."""
    return [library.npad_method_name(i).decode() for i in range(library.npad_method_count())]


def devices() -> list[str]:
    """The devices that the option device takes."""
    return [library.npad_device_name(i).decode() for i in range(library.npad_device_count())]


_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}
_log_callback: Any = _library.LogCallback()


def set_logger(logger: logging.Logger | None, level: int = logging.WARNING) -> None:
    """Sends npad's messages of that level and above to a logger; None sends them nowhere."""
    global _log_callback

    def callback(severity: int, message: bytes, _: object) -> None:
        logger.log(_LEVELS[severity], "%s", message.decode())  # type: ignore[union-attr]

    own = [number for number, theirs in _LEVELS.items() if theirs >= level]
    following = _library.LogCallback(callback) if logger is not None else _library.LogCallback()
    call("npad_log_set", following, None, max(own, default=1))
    _log_callback = following  # the one before is not called any more


class Cancellation:
    """Cancels batches that were given it, from any thread."""

    def __init__(self) -> None:
        self._handle = Handle(library.npad_cancellation_new(), "npad_cancellation_free")

    def cancel(self) -> None:
        """Asks the calls that look at it to stop, those under way and those to come."""
        library.npad_cancellation_cancel(self._handle.value)

    @property
    def cancelled(self) -> bool:
        """Whether that has been asked."""
        return library.npad_cancellation_is_cancelled(self._handle.value)


@dataclass
class Extractor:
    """A feature extractor of the program's own, in place of ONNX Runtime.

    extract takes the normalised input, float32 [3, h, w], and returns one array for each output, float32
    [channels, ceil(h / stride), ceil(w / stride)]. It is called from several threads at once.
    """

    name: str
    strides: list[int]
    channels: list[int]
    extract: Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def _table(self) -> _library.Extractor:
        if len(self.strides) != len(self.channels):
            raise ValueError("an extractor needs as many strides as channels")

        def extract(_: object, values: Any, height: int, width: int, outputs: Any, error: Any) -> int:
            try:
                array = np.ctypeslib.as_array(values, (3, height, width))
                found = self.extract(array)
                if len(found) != len(self.strides):
                    raise ValueError(f"the extractor gave {len(found)} outputs instead of {len(self.strides)}")
                for i, (stride, channels) in enumerate(zip(self.strides, self.channels)):
                    shape = (channels, -(-height // stride), -(-width // stride))
                    np.ctypeslib.as_array(outputs[i], shape)[...] = np.asarray(found[i], np.float32).reshape(shape)
                return 0
            except BaseException as raised:  # it must not pass through native code
                error.contents.message = f"{type(raised).__name__}: {raised}".encode()[:500]
                return 1

        count = len(self.strides)
        callbacks = (_library.ExtractCallback(extract), _FREE)
        key = id(callbacks[0])
        _extractors[key] = callbacks[0]
        triple = ctypes.c_float * 3
        return _library.Extractor(
            self.name.encode(),
            count,
            (ctypes.c_int32 * count)(*self.strides),
            (ctypes.c_int32 * count)(*self.channels),
            triple(*self.mean),
            triple(*self.std),
            *callbacks,
            key,
        )


# Callbacks that the library may call, until it frees them.
_extractors: dict[int, Any] = {}


def _free_extractor(key: int) -> None:
    _extractors.pop(key, None)


_FREE = _library.FreeCallback(_free_extractor)


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
    """The largest value of the anomaly map in the region."""
    calibrated_peak: float
    """The same on the calibrated scale: 0.5 is the map threshold."""


@dataclass(frozen=True)
class Decision:
    """What npad says about one image, but for its map."""

    score: float
    calibrated_score: float
    verdict: Verdict
    regions: list[Region]
    """The highest regions for which there was room."""
    region_count: int
    """All of them."""


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

    @property
    def map_u8(self) -> NDArray[np.uint8]:
        """The calibrated map in 8 bits: 128 and above is above the threshold."""
        values = np.empty(self.map.shape, np.uint8)
        call("npad_result_map_u8", self._handle.value, values.ctypes.data, 0)
        return values

    def region_mask(self, index: int) -> NDArray[np.bool_]:
        """The pixels of a region in its bounding box."""
        region = self.regions[index]
        values = np.empty((region.height, region.width), np.uint8)
        call("npad_result_region_mask", self._handle.value, index, values.ctypes.data, 0)
        return values > 0

    def region_runs(self, index: int) -> NDArray[np.int32]:
        """The pixels of a region as runs: row, first column, column after the last."""
        return self._table("npad_result_region_runs", index, 3)

    def region_contour(self, index: int) -> NDArray[np.int32]:
        """The outer boundary of a region, clockwise, as x and y of its pixels."""
        return self._table("npad_result_region_contour", index, 2)

    def _table(self, name: str, index: int, columns: int) -> NDArray[np.int32]:
        self.regions[index]  # an index that there is not raises
        count = ctypes.c_size_t()
        values = getattr(library, name)(self._handle.value, index, ctypes.byref(count))
        return np.ctypeslib.as_array(values, (count.value, columns)).copy()


class _Options:
    """Native options, and the callback that they may call."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.handle = Handle(library.npad_options_new(), "npad_options_free")
        self.error: BaseException | None = None
        options = dict(options)
        mask, progress = options.pop("mask", None), options.pop("progress", None)
        roi, extractor = options.pop("roi", None), options.pop("extractor", None)
        for key, value in options.items():
            call("npad_options_set", self.handle.value, key.encode(), str(value).encode())
        if mask is not None:
            view, _keep = _mask(mask)
            call("npad_options_set_mask", self.handle.value, ctypes.byref(view))
        if roi is not None:
            call("npad_options_set_roi", self.handle.value, *roi)
        if isinstance(extractor, Extractor):
            table = extractor._table()
            try:
                call("npad_options_set_extractor", self.handle.value, ctypes.byref(table))
            except Error:
                _free_extractor(table.user_data)
                raise
        elif extractor is not None:
            raise ValueError("extractor must be a npad.Extractor")
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


Roi = tuple[int, int, int, int]
"""A rectangle: x, y, width, height."""


def _view(
    image: Array, order: str, mask: Array | None = None, roi: Roi | None = None, significant_bits: int = 0
) -> tuple[_library.Image, list[object]]:
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
    view.significant_bits = significant_bits
    if roi is not None:
        view.roi_x, view.roi_y, view.roi_width, view.roi_height = roi
    if mask is None:
        return view, [array]
    mask_view, kept = _mask(mask)
    view.mask = ctypes.pointer(mask_view)
    return view, [array, kept, mask_view]


def _views(images: Iterable[Array], order: str, significant_bits: int = 0) -> tuple[ctypes.Array[_library.Image], list[object]]:
    pairs = [_view(image, order, significant_bits=significant_bits) for image in images]
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

    @property
    def method(self) -> str:
        """The detection method."""
        return library.npad_model_method(self._handle.value).decode()

    @property
    def backbone(self) -> str:
        """Name and checksum of the backbone."""
        return library.npad_model_backbone(self._handle.value).decode()

    @property
    def device(self) -> str:
        """Where the backbone runs."""
        return library.npad_model_device(self._handle.value).decode()

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return library.npad_model_input_height(self._handle.value), library.npad_model_input_width(self._handle.value)

    @property
    def images(self) -> int:
        """Good images that the model has learnt."""
        return library.npad_model_image_count(self._handle.value)

    def warm_up(self, height: int, width: int) -> None:
        """Makes everything ready for images of a size, so that the first one takes no longer than those that follow."""
        call("npad_model_warm_up", self._handle.value, width, height)

    def score(
        self,
        image: Array,
        order: str = "rgb",
        mask: Array | None = None,
        roi: Roi | None = None,
        significant_bits: int = 0,
    ) -> Result:
        """Scores one image, or the part of it that the mask (bool or uint8 [h, w]) and the rectangle keep. significant_bits
        is what a uint16 camera fills: 10 for Mono10, 12 for Mono12."""
        view, _keep = _view(image, order, mask, roi, significant_bits)
        return _result(output("npad_score", "npad_result_free", self._handle.value, ctypes.byref(view)))

    def score_batch(
        self, images: Iterable[Array], order: str = "rgb", cancellation: Cancellation | None = None
    ) -> list[Result]:
        """Scores several images, all or none. A cancellation is looked at between images."""
        views, _keep = _views(images, order)
        handles = (ctypes.c_void_p * len(views))()
        token = cancellation._handle.value if cancellation is not None else None
        call("npad_score_batch", self._handle.value, views, len(views), token, handles)
        return [_result(Handle(handle, "npad_result_free")) for handle in handles]

    def score_into(
        self, image: Array, map: NDArray[np.float32], order: str = "rgb", max_regions: int = 16
    ) -> Decision:
        """Scores one image into an array for its anomaly map, float32 [h, w], whose rows may be padded."""
        view, _keep = _view(image, order)
        fits = map.dtype == np.float32 and map.shape == (view.height, view.width) and map.flags.writeable
        if not fits or map.strides[1] != 4 or map.strides[0] < 4 * view.width:
            raise ValueError(f"the map must be a writable array of float32 [{view.height}, {view.width}] with whole rows")
        out, regions = _library.Output(), (_library.Region * max_regions)()
        out.map, out.map_stride = map.ctypes.data, map.strides[0]
        out.regions, out.region_size, out.region_capacity = regions, ctypes.sizeof(_library.Region), max_regions
        call("npad_score_into", self._handle.value, ctypes.byref(view), ctypes.byref(out))
        found = [_converted(region) for region in regions[: min(out.region_count, max_regions)]]
        return Decision(out.score, out.calibrated_score, Verdict(out.verdict), found, out.region_count)

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
    call("npad_result_region", result.value, index, ctypes.byref(region), ctypes.sizeof(region))
    return _converted(region)


def _converted(region: _library.Region) -> Region:
    centroid = (region.centroid_x, region.centroid_y)
    box = (region.x, region.y, region.width, region.height, region.area)
    return Region(*box, centroid, region.peak, region.calibrated_peak)


class Trainer:
    """A fit in progress, for images that come one by one. Belongs to one thread at a time.

    Options come by keyword, see options(); mask (bool or uint8 [h, w]), roi (x, y, width, height), extractor and progress are
    options too.
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

    def expect(self, images: int) -> None:
        """Announces how many images will come, so that the progress callback has a total."""
        call("npad_trainer_expect", self._handle.value, images)

    def add(self, image: Array, order: str = "rgb", significant_bits: int = 0) -> None:
        """Learns one good image; a failure changes nothing."""
        view, _keep = _view(image, order, significant_bits=significant_bits)
        with self._options.watched():
            call("npad_trainer_add_image", self._handle.value, ctypes.byref(view))

    def __len__(self) -> int:
        return library.npad_trainer_image_count(self._handle.value)

    def finish(self) -> Model:
        """Ends the fit. Where it raises, images may be added and it may be called again."""
        with self._options.watched():
            return Model(output("npad_trainer_finish", "npad_model_free", self._handle.value))


def fit(images: Iterable[Array], order: str = "rgb", **options: object) -> Model:
    """Learns from good images. Options by keyword; those with a dot through a dictionary: **{"npad.channels": 50}."""
    trainer = Trainer(**options)
    if hasattr(images, "__len__"):
        trainer.expect(len(images))
    for image in images:
        trainer.add(image, order)
    return trainer.finish()
