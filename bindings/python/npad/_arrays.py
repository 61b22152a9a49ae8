"""Views of NumPy arrays, without copies."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._library import integer

Array = NDArray[Any]
Buffer = Union[bytes, bytearray, memoryview, NDArray[np.uint8]]
"""Any object that gives its bytes as a buffer."""
Roi = tuple[int, int, int, int]
"""A rectangle: left edge, upper edge, width, height."""

GRAY8, RGB8, BGR8, GRAY16, RGBA8, BGRA8, GRAYF32 = range(7)
MAX_SIDE = 65535


@dataclass(frozen=True, eq=False)
class Image:
    """An array with settings, accepted in place of an array, for batches whose images have different settings.

    Images are equal only if they are the same object.
    """

    array: Array
    order: str = "rgb"
    """Order of the channels: "rgb", or "bgr" as in OpenCV."""
    mask: Array | None = None
    """bool or uint8 [height, width]; pixels that are False or 0 are ignored."""
    roi: Roi | None = None
    """The rectangle (x, y, width, height) outside of which pixels are ignored."""
    significant_bits: int = 0
    """For uint16, the number of significant bits, 8 to 16: 10 for Mono10, 12 for Mono12. 0 means 16."""


Pixels = Union[Array, Image]


def content(data: Buffer) -> tuple[bytes | ctypes.c_char_p, int]:
    """The bytes of a buffer, which must outlive the call, and their number. Only what could change meanwhile is copied."""
    view = memoryview(data)
    if isinstance(data, bytes) or not (view.readonly and view.c_contiguous and view.nbytes):
        return bytes(view), view.nbytes
    return ctypes.c_char_p(np.frombuffer(view, np.uint8).ctypes.data), view.nbytes


def rows(array: Array, pixel: int) -> int | None:
    """The stride of an array whose rows are contiguous, `pixel` bytes per pixel; None for any other."""
    height, width = array.shape[:2]
    inner = array.itemsize
    if array.ndim == 3 and array.shape[2] > 1 and array.strides[2] != inner:
        return None
    if width > 1 and array.strides[1] != pixel:
        return None
    if height <= 1:
        return 0
    return array.strides[0] if array.strides[0] >= width * pixel else None


def packed(array: Array, pixel: int) -> tuple[Array, int]:
    """The array, or a copy if its rows are not contiguous, and its stride."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    stride = rows(array, pixel) if array.size else 0
    if stride is None:
        array = np.ascontiguousarray(array)
        stride = 0
    return array, stride


def sides(array: Array, what: str) -> tuple[int, int]:
    """Height and width of an array."""
    height, width = array.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise ValueError(f"{what} is {width} x {height}, but neither side may exceed {MAX_SIDE}")
    return height, width


def own(array: Array, copied: bool) -> Array:
    """The argument as an array, or as a copy."""
    return np.array(array, order="C") if copied else np.asarray(array)


def mask_view(mask: Array, copied: bool = False) -> tuple[_library.Mask, Array]:
    """A view of a mask, or of a copy of it, and the array that must outlive it."""
    array = own(mask, copied)
    if array.ndim != 2 or array.dtype not in (np.bool_, np.uint8):
        raise ValueError(f"an array of {array.dtype} {list(array.shape)} is no mask: expected bool or uint8 [h, w]")
    height, width = sides(array, "the mask")
    array, stride = packed(array, 1)
    return _library.Mask(data=array.ctypes.data, width=width, height=height, stride=stride), array


def rectangle(roi: Roi) -> tuple[int, ...]:
    """The four numbers of a rectangle."""
    if len(roi) != 4:
        raise ValueError(f"the region of interest is {roi!r}, but must be (x, y, width, height)")
    return tuple(integer(value, "a value of the region of interest", -MAX_SIDE, MAX_SIDE) for value in roi)


def view(image: Pixels, copied: bool = False, **settings: Any) -> tuple[_library.Image, list[object]]:
    """A view of an image, or of a copy of it, and the objects that must outlive it."""
    if not isinstance(image, Image):
        image = Image(image, **settings)
    if image.order not in ("rgb", "bgr"):
        raise ValueError(f"order is {image.order!r}, but must be 'rgb' or 'bgr'")
    rgb = image.order == "rgb"
    array = own(image.array, copied)
    channels = array.shape[2] if array.ndim == 3 else 1
    formats = {
        ("uint8", 1): GRAY8,
        ("uint8", 3): RGB8 if rgb else BGR8,
        ("uint8", 4): RGBA8 if rgb else BGRA8,
        ("uint16", 1): GRAY16,
        ("float32", 1): GRAYF32,
    }
    form = formats.get((array.dtype.name, channels))
    if form is None or array.ndim not in (2, 3):
        raise ValueError(
            f"an array of {array.dtype} {list(array.shape)} is not an image: expected uint8 [h, w], [h, w, 3] or "
            "[h, w, 4], uint16 [h, w] or float32 [h, w]"
        )
    height, width = sides(array, "the image")
    array, stride = packed(array, channels * array.itemsize)
    native = _library.Image(width=width, height=height, stride=stride, format=form)
    native.data[0] = array.ctypes.data
    native.significant_bits = integer(image.significant_bits, "significant_bits", 0, 16)
    kept: list[object] = [array]
    if image.mask is not None:
        mask, pixels = mask_view(image.mask, copied)
        native.mask = ctypes.pointer(mask)
        kept += [mask, pixels]
    if image.roi is not None:
        native.roi_x, native.roi_y, native.roi_width, native.roi_height = rectangle(image.roi)
    return native, kept


def views(images: Iterable[Pixels], **settings: Any) -> tuple[ctypes.Array[_library.Image], list[object]]:
    """Views of several images, and the objects that must outlive them."""
    # An iterator may yield the same array again and again, with other pixels each time.
    copied = not isinstance(images, (Sequence, np.ndarray))
    pairs = [view(image, copied, **settings) for image in images]
    return (_library.Image * len(pairs))(*(native for native, _ in pairs)), [kept for _, kept in pairs]


def writable(array: Array, dtype: type, shape: tuple[int, int], what: str) -> int:
    """The stride of an array that npad may write to."""
    good = isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == shape and array.flags.writeable
    stride = rows(array, array.itemsize) if good and array.dtype.isnative else None
    if stride is None:
        expected = f"{np.dtype(dtype).name} [{shape[0]}, {shape[1]}]"
        raise ValueError(f"{what} must be a writable array of {expected} with contiguous rows")
    return stride
