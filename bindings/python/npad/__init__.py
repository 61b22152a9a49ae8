"""npad: industrial visual anomaly detection that learns from good images only.

    model = npad.fit(good_images)
    result = model.score(image)
    if result.anomalous: ...

Images are NumPy arrays and are read where they lie: uint8 [height, width] (grey), uint8 [height, width, 3] (RGB, or BGR
with order="bgr"), uint8 [height, width, 4] (the fourth channel is not looked at), uint16 [height, width] (65535 is white)
and float32 [height, width] (1 is white). Rows may be padded or cut out of a larger array.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._library import Error, Handle, Image, Region as _Region, call, library, output

__all__ = ["Error", "Model", "Region", "Result", "Trainer", "fit", "open_runtime", "version"]

_GRAY8, _RGB8, _BGR8, _GRAY16, _RGBA8, _BGRA8, _GRAYF32 = range(7)


def version() -> str:
    """The library's version."""
    return library.npad_version_string().decode()


def open_runtime(path: str | os.PathLike[str]) -> None:
    """Loads ONNX Runtime from a file or the folder that holds it, where the search would not find it."""
    call("npad_runtime_open", os.fsencode(path))


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
    anomalous: bool
    """Whether the score exceeds the model's threshold."""
    map: NDArray[np.float32]
    """The anomaly map in the image's geometry; read-only, in the library's memory, which it keeps alive."""
    regions: list[Region]
    """Regions of the map above its threshold, highest peak first."""


def _options(options: dict[str, object]) -> Handle:
    handle = Handle(library.npad_options_new(), "npad_options_free")
    for key, value in options.items():
        call("npad_options_set", handle.value, key.encode(), str(value).encode())
    return handle


def _view(image: NDArray[np.generic], order: str) -> tuple[Image, NDArray[np.generic]]:
    """A view of an array, and the array itself, which must live as long as the view is used."""
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
    view = Image()
    view.data[0] = array.ctypes.data
    view.height, view.width = array.shape[:2]
    view.stride, view.format = array.strides[0], form
    return view, array


class Model:
    """A fitted model. Any number of threads may score with it at once."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: object) -> Model:
        """Reads a model file; of the options, device and threads count."""
        given = _options(options)
        return cls(output("npad_model_load", "npad_model_free", os.fsencode(path), given.value))

    @classmethod
    def from_bytes(cls, data: bytes, **options: object) -> Model:
        """Reads a model from the bytes of its file."""
        given = _options(options)
        return cls(output("npad_model_load_memory", "npad_model_free", data, len(data), given.value))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file, all or nothing."""
        call("npad_model_save", self._handle.value, os.fsencode(path))

    def to_bytes(self) -> bytes:
        """The bytes of the model file."""
        buffer = output("npad_model_save_memory", "npad_buffer_free", self._handle.value)
        return ctypes.string_at(library.npad_buffer_data(buffer.value), library.npad_buffer_size(buffer.value))

    @property
    def threshold(self) -> float:
        """The raw image score above which an image counts as anomalous."""
        return library.npad_model_threshold(self._handle.value)

    @property
    def map_threshold(self) -> float:
        """The value of the anomaly map above which a pixel belongs to a region."""
        return library.npad_model_map_threshold(self._handle.value)

    def score(self, image: NDArray[np.generic], order: str = "rgb") -> Result:
        """Scores one image."""
        view, keep = _view(image, order)
        result = output("npad_score", "npad_result_free", self._handle.value, ctypes.byref(view))
        del keep
        shape = (library.npad_result_height(result.value), library.npad_result_width(result.value))
        buffer = (ctypes.c_float * (shape[0] * shape[1])).from_address(library.npad_result_map(result.value))
        buffer.owner = result  # the map's memory lives in the result
        values = np.frombuffer(buffer, np.float32).reshape(shape)
        values.flags.writeable = False
        return Result(
            score=library.npad_result_score(result.value),
            calibrated_score=library.npad_result_calibrated_score(result.value),
            anomalous=library.npad_result_is_anomalous(result.value),
            map=values,
            regions=[_region(result, i) for i in range(library.npad_result_region_count(result.value))],
        )

    def close(self) -> None:
        """Frees the model; no other thread may be using it. It happens by itself when nothing refers to it."""
        self._handle.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _region(result: Handle, index: int) -> Region:
    region = _Region()
    call("npad_result_region", result.value, index, ctypes.byref(region))
    centroid = (region.centroid_x, region.centroid_y)
    return Region(region.x, region.y, region.width, region.height, region.area, centroid, region.peak)


class Trainer:
    """A fit in progress, for images that come one by one. Belongs to one thread at a time."""

    def __init__(self, **options: object) -> None:
        given = _options(options)
        self._handle = output("npad_trainer_new", "npad_trainer_free", given.value)

    def add(self, image: NDArray[np.generic], order: str = "rgb") -> None:
        """Learns one good image; a failure changes nothing."""
        view, keep = _view(image, order)
        call("npad_trainer_add_image", self._handle.value, ctypes.byref(view))
        del keep

    def __len__(self) -> int:
        return library.npad_trainer_image_count(self._handle.value)

    def finish(self) -> Model:
        """Ends the fit; with too few images it raises, and more may be added."""
        return Model(output("npad_trainer_finish", "npad_model_free", self._handle.value))


def fit(images: Iterable[NDArray[np.generic]], order: str = "rgb", **options: object) -> Model:
    """Learns from good images. Options by keyword; those with a dot through a dictionary: **{"npad.channels": 50}."""
    trainer = Trainer(**options)
    for image in images:
        trainer.add(image, order)
    return trainer.finish()
