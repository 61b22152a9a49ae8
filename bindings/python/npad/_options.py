"""Options, and the callbacks that they carry."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._arrays import Array, Roi, mask_view, rectangle
from ._library import Handle, call, keep_exception, library, text

Progress = Callable[[str, int, int], bool]
"""Progress callback: stage, steps done, and steps in all (0 while unknown). Return False to cancel the fit or the load.

It must not use the trainer that calls it: the call raises an Error with the status WRONG_STATE.
"""


class OptionType(IntEnum):
    """Type of an option's value."""

    INTEGER = 0
    NUMBER = 1
    CHOICE = 2
    FLAGS = 3
    """Any of several words, joined by "+"."""
    TEXT = 4
    PATH = 5


@dataclass(frozen=True)
class OptionInfo:
    """An option for fitting and loading."""

    name: str
    type: OptionType
    default: str
    range: str
    """The values that the option takes, in words."""
    help: str


@dataclass(frozen=True)
class MethodInfo:
    """A detection method, a value of the option "method"."""

    name: str
    help: str


def options() -> list[OptionInfo]:
    """The options: first the general ones, then the parameters of every method, including those of loaded plug-ins."""
    return [
        OptionInfo(
            library.npad_option_name(i).decode(),
            OptionType(library.npad_option_get_type(i)),
            library.npad_option_default(i).decode(),
            library.npad_option_range(i).decode(),
            library.npad_option_help(i).decode(),
        )
        for i in range(library.npad_option_count())
    ]


def methods() -> list[MethodInfo]:
    """The detection methods, including those of loaded plug-ins."""
    names, helps = library.npad_method_name, library.npad_method_help
    return [MethodInfo(names(i).decode(), helps(i).decode()) for i in range(library.npad_method_count())]


def devices() -> list[str]:
    """The device types that the option "device" takes. The machine need not have them."""
    return [library.npad_device_name(i).decode() for i in range(library.npad_device_count())]


def check_device(device: str) -> None:
    """Checks that a fit or a load can use a device, a value of the option "device", by running a tiny network on it. Raises
    an Error with the cause and what to do if it cannot."""
    call("npad_device_check", text(device))


@dataclass(frozen=True)
class Extractor:
    """A feature extractor of your own, which replaces ONNX Runtime and the built-in backbone.

    `extract` takes a float32 array [3, height, width] of normalised red, green and blue planes and returns one array
    [channels, ceil(height / stride), ceil(width / stride)] of finite values for each output. It must depend on the image
    alone, and several threads may call it at once. A model can only be loaded with an extractor of the same name: choose
    another name whenever the features change. What `extract` raises, the call of npad raises.
    """

    name: str
    """1 to 64 lower-case letters, digits, "-" or "_"."""
    strides: Sequence[int]
    """Stride of each output: input pixels per position in each direction, 1 to 64."""
    channels: Sequence[int]
    """Number of planes of each output, 1 to 8192."""
    extract: Callable[[NDArray[np.float32]], Sequence[Array]] = field(repr=False)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Means of red, green and blue on a scale of 0 to 1, which are subtracted."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Standard deviations of red, green and blue on a scale of 0 to 1, which are the divisors."""

    def _run(self, address: int, height: int, width: int, outputs: Any) -> None:
        planes = (ctypes.c_float * (3 * height * width)).from_address(address)
        # A copy, since the library's memory is valid during this call only, but the callable may keep its argument.
        results = self.extract(np.array(planes, np.float32).reshape(3, height, width))
        if len(results) != len(self.strides):
            raise ValueError(f"the extractor returned {len(results)} outputs, but has {len(self.strides)} strides")
        for i, (result, stride, channels) in enumerate(zip(results, self.strides, self.channels)):
            shape = (channels, -(-height // stride), -(-width // stride))
            values = np.asarray(result)
            if values.shape != shape:
                raise ValueError(f"output {i} of the extractor has shape {values.shape}, but must have {shape}")
            target = (ctypes.c_float * int(np.prod(shape))).from_address(outputs[i])
            np.ctypeslib.as_array(target).reshape(shape)[...] = values


# Extractors that the library may call, by the number that it passes as user_data, until it calls _free for them.
_extractors: dict[int, Extractor] = {}
_numbers = itertools.count(1)


@_library.ExtractCallback
def _extract(number: int, planes: int, height: int, width: int, outputs: Any, error: int) -> int:
    try:
        _extractors[number]._run(planes, height, width, outputs)
        return 0
    except BaseException as raised:  # must not pass through native code; the call raises it
        keep_exception(raised)
        message = f"{type(raised).__name__}: {raised}".encode()[: _library.CALLBACK_MESSAGE_SIZE - 1]
        ctypes.memmove(error, message + b"\0", len(message) + 1)
        return 1


@_library.FreeCallback
def _free(number: int) -> None:
    _extractors.pop(number, None)


class Options:
    """Options for fitting and loading: Options(size=320, **{"npad.channels": 50}). Every option has a default.

    `options()` lists them. Values are read and changed by name, as text: options["size"]. Belongs to one thread at a time;
    calls that take options copy them. Options can be copied and pickled, but not with a progress callback, which is left out.
    """

    def __init__(
        self,
        *,
        mask: Array | None = None,
        roi: Roi | None = None,
        progress: Progress | None = None,
        extractor: Extractor | None = None,
        **values: object,
    ) -> None:
        self._handle = Handle(library.npad_options_new(), "npad_options_free")
        self._progress: object = None
        self._values: dict[str, Any] = {}
        for key, value in values.items():
            self[key] = value
        if mask is not None:
            self.set_mask(mask)
        if roi is not None:
            self.set_roi(roi)
        if progress is not None:
            self.set_progress(progress)
        if extractor is not None:
            self.set_extractor(extractor)

    def __setitem__(self, key: str, value: object) -> None:
        path = value if isinstance(value, (str, os.PathLike)) else str(value)
        call("npad_options_set", self._handle, text(key), text(path))
        # A copy sets them in this order again: a preset sets other options.
        self._values.pop(key, None)
        self._values[key] = os.fspath(path)

    def __getitem__(self, key: str) -> str:
        value = ctypes.c_char_p()
        call("npad_options_get", self._handle, text(key), ctypes.byref(value))
        return (value.value or b"").decode()

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (dict(self._values),)

    def set_mask(self, mask: Array | None) -> None:
        """Sets the mask (bool or uint8 [h, w]) that all images of a fit share; None for none. It is copied."""
        native, _kept = mask_view(mask) if mask is not None else (None, None)
        call("npad_options_set_mask", self._handle, native and ctypes.byref(native))
        self._values["mask"] = None if mask is None else np.array(mask)

    def set_roi(self, roi: Roi | None) -> None:
        """Sets the rectangle (x, y, width, height) outside of which a fit ignores pixels; None for none."""
        call("npad_options_set_roi", self._handle, *rectangle(roi or (0, 0, 0, 0)))
        self._values["roi"] = roi

    def set_progress(self, progress: Progress | None) -> None:
        """Sets the progress callback of fits and loads; None for none. An exception cancels the call, which raises it."""

        def callback(stage: bytes, done: int, total: int, _: object) -> bool:
            try:
                return bool(progress(stage.decode(), done, total))  # type: ignore[misc]
            except BaseException as error:  # must not pass through native code; the call raises it
                keep_exception(error)
                return False

        native = _library.ProgressCallback(callback) if progress is not None else _library.ProgressCallback()
        # Both, until npad certainly has the new one.
        self._progress = (self._progress, native)
        call("npad_options_set_progress", self._handle, native, None)
        self._progress = native

    def set_extractor(self, extractor: Extractor) -> None:
        """Sets a feature extractor, for a fit or for loading a model that was fitted with one."""
        count = len(extractor.strides)
        if len(extractor.channels) != count:
            raise ValueError(f"the extractor has {count} strides, but {len(extractor.channels)} channels")
        number = next(_numbers)
        table = _library.Extractor(
            name=text(extractor.name),
            tap_count=count,
            strides=(ctypes.c_int32 * count)(*extractor.strides),
            channels=(ctypes.c_int32 * count)(*extractor.channels),
            mean=tuple(extractor.mean),
            std=tuple(extractor.std),
            extract=_extract,
            free=_free,
            user_data=number,
        )
        _extractors[number] = extractor
        try:
            call("npad_options_set_extractor", self._handle, ctypes.byref(table))
        except _library.Error:
            _extractors.pop(number)
            raise
        self._values["extractor"] = extractor


def _restored(values: dict[str, Any]) -> Options:
    return Options(**values)


def given(options: Options | None, values: dict[str, Any]) -> Options:
    """The options of a call, from an object or from keywords."""
    if options is None:
        return Options(**values)
    if values:
        raise TypeError("options must be an Options object or keywords, not both")
    if not isinstance(options, Options):
        raise TypeError(f"options is {options!r}, but must be an Options object: write npad.Options(**{{...}}) or use keywords")
    return options
