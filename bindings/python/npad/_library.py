"""The C interface through ctypes: the library, its structs, its functions' types, and errors as exceptions."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from enum import IntEnum
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = {"win32": "npad.dll", "darwin": "libnpad.dylib"}.get(sys.platform, "libnpad.so")

VERSION = (0, 2)
"""Major and minor version of the interface that this package was written for."""


class Status(IntEnum):
    """Status codes."""

    OK = 0
    INVALID_ARGUMENT = 1
    INVALID_IMAGE = 2
    INVALID_OPTION = 3
    NOT_ENOUGH_IMAGES = 4
    IO = 5
    INVALID_MODEL = 6
    UNSUPPORTED_MODEL = 7
    RUNTIME = 8
    DEVICE = 9
    BACKBONE = 10
    INTERNAL = 11
    CANCELLED = 12
    PLUGIN = 13
    OUT_OF_MEMORY = 14
    NOT_FOUND = 15
    WRONG_STATE = 16
    TIMED_OUT = 17
    UNTRUSTED_MODEL = 18


class Error(Exception):
    """A failed call: a status code, and a message that says what was wrong, what was expected and what to do."""

    status: int
    """One of Status, or a number that a newer library has added."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = Status(status) if status in list(Status) else status

    def __reduce__(self) -> tuple[object, ...]:
        # The default passes the message alone to __init__; process pools pickle what their tasks raise.
        return type(self), (self.status, str(self)), self.__dict__


_P = ctypes.c_void_p
_TEXT, _SIZE, _FLOAT, _INT, _INT64 = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_float, ctypes.c_int32, ctypes.c_int64
_DOUBLE, _BOOL, _COUNT = ctypes.c_double, ctypes.c_bool, ctypes.POINTER(ctypes.c_size_t)
_OUT = ctypes.POINTER(_P)
_INTS = ctypes.POINTER(ctypes.c_int32)

ProgressCallback = ctypes.CFUNCTYPE(_BOOL, _TEXT, _SIZE, _SIZE, _P)
LogCallback = ctypes.CFUNCTYPE(None, _INT, _TEXT, _P)
ExtractCallback = ctypes.CFUNCTYPE(_INT, _P, _P, _INT, _INT, _OUT, _P)
FreeCallback = ctypes.CFUNCTYPE(None, _P)

CALLBACK_MESSAGE_SIZE = 512


class Sized(ctypes.Structure):
    """A struct that begins with its size, which is set here."""

    def __init__(self, *arguments: object, **fields: object) -> None:
        super().__init__(*arguments, **fields)
        self.size = ctypes.sizeof(self)


class Mask(Sized):
    """npad_mask."""

    _fields_ = [("size", _SIZE), ("data", _P), ("width", _INT), ("height", _INT), ("stride", _INT64)]


class Image(Sized):
    """npad_image."""

    _fields_ = [
        ("size", _SIZE),
        ("data", _P * 3),
        ("width", _INT),
        ("height", _INT),
        ("stride", _INT64),
        ("format", _INT),
        ("significant_bits", _INT),
        ("mask", ctypes.POINTER(Mask)),
        ("roi_x", _INT),
        ("roi_y", _INT),
        ("roi_width", _INT),
        ("roi_height", _INT),
    ]


class Region(ctypes.Structure):
    """npad_region."""

    _fields_ = [
        ("x", _INT),
        ("y", _INT),
        ("width", _INT),
        ("height", _INT),
        ("area", _INT64),
        ("centroid_x", _FLOAT),
        ("centroid_y", _FLOAT),
        ("peak", _FLOAT),
        ("calibrated_peak", _FLOAT),
    ]


class Output(Sized):
    """npad_output."""

    _fields_ = [
        ("size", _SIZE),
        ("map", _P),
        ("map_stride", _INT64),
        ("map_u8", _P),
        ("map_u8_stride", _INT64),
        ("regions", ctypes.POINTER(Region)),
        ("region_size", _SIZE),
        ("region_capacity", _SIZE),
        ("score", _FLOAT),
        ("calibrated_score", _FLOAT),
        ("verdict", _INT),
        ("reserved", _INT),
        ("region_count", _SIZE),
    ]


class KnownDefects(Sized):
    """npad_known_defects."""

    _fields_ = [
        ("size", _SIZE),
        ("count", _SIZE),
        ("missed", _SIZE),
        ("rate_missed", _SIZE),
        ("cost_missed", _SIZE),
        ("false_alarm_rate", _DOUBLE),
        ("rate_false_alarm_rate", _DOUBLE),
        ("catch_all_false_alarm_rate", _DOUBLE),
        ("cost_false_alarm_rate", _DOUBLE),
        ("threshold", _FLOAT),
        ("rate_threshold", _FLOAT),
        ("catch_all_threshold", _FLOAT),
        ("cost_threshold", _FLOAT),
    ]


class Extractor(Sized):
    """npad_extractor."""

    _fields_ = [
        ("size", _SIZE),
        ("name", _TEXT),
        ("tap_count", _SIZE),
        ("strides", _INTS),
        ("channels", _INTS),
        ("mean", _FLOAT * 3),
        ("std", _FLOAT * 3),
        ("extract", ExtractCallback),
        ("free", FreeCallback),
        ("user_data", _P),
    ]


_IMAGES, _OUTPUTS = ctypes.POINTER(Image), ctypes.POINTER(Output)

# Result and argument types of each function of npad.h that this package calls.
_TYPES = {
    "npad_cancellation_cancel": (None, [_P]),
    "npad_cancellation_free": (None, [_P]),
    "npad_cancellation_is_cancelled": (_BOOL, [_P]),
    "npad_cancellation_new": (_P, []),
    "npad_device_check": (_INT, [_TEXT, _OUT]),
    "npad_device_count": (_SIZE, []),
    "npad_device_name": (_TEXT, [_SIZE]),
    "npad_log_set": (_INT, [LogCallback, _P, _INT, _OUT]),
    "npad_method_count": (_SIZE, []),
    "npad_method_help": (_TEXT, [_SIZE]),
    "npad_method_name": (_TEXT, [_SIZE]),
    "npad_option_count": (_SIZE, []),
    "npad_option_default": (_TEXT, [_SIZE]),
    "npad_option_get_type": (_INT, [_SIZE]),
    "npad_option_help": (_TEXT, [_SIZE]),
    "npad_option_name": (_TEXT, [_SIZE]),
    "npad_option_range": (_TEXT, [_SIZE]),
    "npad_runtime_open": (_INT, [_TEXT, _OUT]),
    "npad_plugin_load": (_INT, [_TEXT, _OUT]),
    "npad_version_string": (_TEXT, []),
    "npad_error_message": (_TEXT, [_P]),
    "npad_error_free": (None, [_P]),
    "npad_options_new": (_P, []),
    "npad_options_set": (_INT, [_P, _TEXT, _TEXT, _OUT]),
    "npad_options_get": (_INT, [_P, _TEXT, ctypes.POINTER(_TEXT), _OUT]),
    "npad_options_set_mask": (_INT, [_P, ctypes.POINTER(Mask), _OUT]),
    "npad_options_set_roi": (_INT, [_P, _INT, _INT, _INT, _INT, _OUT]),
    "npad_options_set_progress": (_INT, [_P, ProgressCallback, _P, _OUT]),
    "npad_options_set_extractor": (_INT, [_P, ctypes.POINTER(Extractor), _OUT]),
    "npad_options_free": (None, [_P]),
    "npad_trainer_new": (_INT, [_P, _OUT, _OUT]),
    "npad_trainer_resume": (_INT, [_P, _P, _OUT, _OUT]),
    "npad_trainer_add_image": (_INT, [_P, _IMAGES, _OUT]),
    "npad_trainer_add_defect": (_INT, [_P, _IMAGES, _OUT]),
    "npad_trainer_expect": (_INT, [_P, _SIZE, _OUT]),
    "npad_trainer_image_count": (_SIZE, [_P]),
    "npad_trainer_finish": (_INT, [_P, _OUT, _OUT]),
    "npad_trainer_save": (_INT, [_P, _TEXT, _OUT]),
    "npad_trainer_save_memory": (_INT, [_P, _OUT, _OUT]),
    "npad_trainer_load": (_INT, [_TEXT, _P, _OUT, _OUT]),
    "npad_trainer_load_memory": (_INT, [_TEXT, _SIZE, _P, _OUT, _OUT]),
    "npad_trainer_merge": (_INT, [_P, _TEXT, _OUT]),
    "npad_trainer_merge_memory": (_INT, [_P, _TEXT, _SIZE, _OUT]),
    "npad_trainer_free": (None, [_P]),
    "npad_model_save": (_INT, [_P, _TEXT, _OUT]),
    "npad_model_export": (_INT, [_P, _TEXT, _P, _OUT]),
    "npad_model_save_memory": (_INT, [_P, _OUT, _OUT]),
    "npad_model_load": (_INT, [_TEXT, _P, _OUT, _OUT]),
    "npad_model_load_memory": (_INT, [_TEXT, _SIZE, _P, _OUT, _OUT]),
    "npad_model_card": (_TEXT, [_P]),
    "npad_model_info": (_TEXT, [_P]),
    "npad_model_method": (_TEXT, [_P]),
    "npad_model_backbone": (_TEXT, [_P]),
    "npad_model_device": (_TEXT, [_P]),
    "npad_model_input_width": (_INT, [_P]),
    "npad_model_input_height": (_INT, [_P]),
    "npad_model_image_count": (_SIZE, [_P]),
    "npad_model_false_alarm_rate": (_DOUBLE, [_P]),
    "npad_model_threshold": (_FLOAT, [_P]),
    "npad_model_review_threshold": (_FLOAT, [_P]),
    "npad_model_known_defects": (_INT, [_P, ctypes.POINTER(KnownDefects), _OUT]),
    "npad_model_with_thresholds": (_INT, [_P, _FLOAT, _FLOAT, _OUT, _OUT]),
    "npad_model_with_signature": (_INT, [_P, _TEXT, _SIZE, _OUT, _OUT]),
    "npad_model_signer": (_TEXT, [_P]),
    "npad_model_recalibrate": (_INT, [_P, _IMAGES, _SIZE, _P, _OUT, _OUT]),
    "npad_model_warm_up": (_INT, [_P, _INT, _INT, _OUT]),
    "npad_model_free": (None, [_P]),
    "npad_buffer_data": (_P, [_P]),
    "npad_buffer_size": (_SIZE, [_P]),
    "npad_buffer_free": (None, [_P]),
    "npad_score": (_INT, [_P, _IMAGES, _OUT, _OUT]),
    "npad_score_into": (_INT, [_P, _IMAGES, _OUTPUTS, _OUT]),
    "npad_score_batch": (_INT, [_P, _IMAGES, _SIZE, _P, _OUT, _OUT]),
    "npad_score_batch_into": (_INT, [_P, _IMAGES, _SIZE, _P, _OUTPUTS, _OUT]),
    "npad_render": (_INT, [_P, _IMAGES, _P, _P, _INT64, _INT, _OUT]),
    "npad_render_output": (_INT, [_P, _IMAGES, _OUTPUTS, _P, _INT64, _INT, _OUT]),
    "npad_result_score": (_FLOAT, [_P]),
    "npad_result_calibrated_score": (_FLOAT, [_P]),
    "npad_result_verdict": (_INT, [_P]),
    "npad_result_width": (_INT, [_P]),
    "npad_result_height": (_INT, [_P]),
    "npad_result_map": (_P, [_P]),
    "npad_result_map_u8": (_INT, [_P, _P, _INT64, _OUT]),
    "npad_result_region_count": (_SIZE, [_P]),
    "npad_result_region": (_INT, [_P, _SIZE, ctypes.POINTER(Region), _SIZE, _OUT]),
    "npad_result_region_runs": (_INTS, [_P, _SIZE, _COUNT]),
    "npad_result_region_contour": (_INTS, [_P, _SIZE, _COUNT]),
    "npad_result_region_mask": (_INT, [_P, _SIZE, _P, _INT64, _OUT]),
    "npad_result_free": (None, [_P]),
}


def _load() -> ctypes.CDLL:
    """Loads the library of NPAD_LIBRARY, else of this package, else of the system, and checks its version."""
    chosen = os.environ.get("NPAD_LIBRARY")
    beside = HERE / NAME
    path = chosen or (str(beside) if beside.exists() else ctypes.util.find_library("npad") or NAME)
    try:
        loaded = ctypes.CDLL(path)
        loaded.npad_version_number.restype = ctypes.c_uint32
        number = loaded.npad_version_number()
    except (OSError, AttributeError) as error:
        message = f"the npad library could not be loaded from {path}: {error}; install npad or set NPAD_LIBRARY"
        raise ImportError(message) from error
    major, minor, patch = number // 1_000_000, number // 1_000 % 1_000, number % 1_000
    if (major, minor) != VERSION:
        raise ImportError(
            f"the npad library {path} has version {major}.{minor}.{patch}, but this package needs "
            f"{VERSION[0]}.{VERSION[1]}; install the library and the package from one release"
        )
    for name, (result, arguments) in _TYPES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


library = _load()


class _Running(threading.local):
    """The running calls of a thread, each with the exceptions of its callbacks, which must not pass through npad."""

    def __init__(self) -> None:
        self.calls: list[list[BaseException]] = []


_running = _Running()


def keep_exception(error: BaseException) -> bool:
    """Stores the exception of a callback, which the running call on this thread raises after it has returned.

    Returns False if this thread has no running call.
    """
    if _running.calls:
        _running.calls[-1].append(error)
    return bool(_running.calls)


def call(name: str, *arguments: object, place: str = "") -> None:
    """Calls a function whose last argument is an error. Raises the first exception of a callback, or npad's error, whose
    message then begins with `place`."""
    failure = ctypes.c_void_p()
    raised: list[BaseException] = []
    _running.calls.append(raised)
    try:
        status = getattr(library, name)(*arguments, ctypes.byref(failure))
    finally:
        _running.calls.pop()
    error = None
    if status != Status.OK:
        error = Error(status, place + library.npad_error_message(failure).decode())
        library.npad_error_free(failure)
    if raised:
        raise raised[0]
    if error is not None:
        raise error


class Handle:
    """Owns a handle of the library and frees it when nothing, including running calls, refers to this object."""

    def __init__(self, value: int | None, free: str) -> None:
        if not value:
            raise MemoryError("npad has no memory for another object")
        self._as_parameter_ = ctypes.c_void_p(value)
        self._free = getattr(library, free)

    def __del__(self) -> None:
        if hasattr(self, "_free"):
            self._free(self._as_parameter_)


def output(name: str, free: str, *arguments: object) -> Handle:
    """Calls a function whose last argument before the error receives a handle."""
    handle = ctypes.c_void_p()
    try:
        call(name, *arguments, ctypes.byref(handle))
    except BaseException:
        if handle.value:  # the call succeeded, but a callback raised
            Handle(handle.value, free)
        raise
    return Handle(handle.value, free)


def text(value: str | bytes | os.PathLike[str]) -> bytes:
    """Encodes text or a path for the library."""
    encoded = os.fsencode(value)
    if 0 in encoded:
        raise ValueError(f"{value!r} contains a zero character")
    return encoded


def integer(value: object, what: str, low: int, high: int) -> int:
    """Checks that an integer is within bounds, since ctypes would truncate it."""
    number = value.__index__() if hasattr(value, "__index__") else None
    if number is None or not low <= number <= high:
        raise ValueError(f"{what} is {value!r}, but must be a whole number from {low} to {high}")
    return number
