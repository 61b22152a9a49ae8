"""The C interface through ctypes: the library, its functions' types, and errors as exceptions."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = {"win32": "npad.dll", "darwin": "libnpad.dylib"}.get(sys.platform, "libnpad.so")


class Error(Exception):
    """A failed call: npad's status and its message, which says what was wrong, what was expected and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Sized(ctypes.Structure):
    """A struct of the interface that begins with its own size."""

    def __init__(self, *fields: object) -> None:
        super().__init__(ctypes.sizeof(self), *fields)


class Mask(Sized):
    """npad_mask."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("stride", ctypes.c_int64),
    ]


class Image(Sized):
    """npad_image."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("data", ctypes.c_void_p * 3),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("stride", ctypes.c_int64),
        ("format", ctypes.c_int32),
        ("significant_bits", ctypes.c_int32),
        ("mask", ctypes.POINTER(Mask)),
        ("roi_x", ctypes.c_int32),
        ("roi_y", ctypes.c_int32),
        ("roi_width", ctypes.c_int32),
        ("roi_height", ctypes.c_int32),
    ]


class Region(ctypes.Structure):
    """npad_region."""

    _fields_ = [
        ("x", ctypes.c_int32),
        ("y", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("area", ctypes.c_int64),
        ("centroid_x", ctypes.c_float),
        ("centroid_y", ctypes.c_float),
        ("peak", ctypes.c_float),
        ("calibrated_peak", ctypes.c_float),
    ]


class Output(Sized):
    """npad_output."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("map", ctypes.c_void_p),
        ("map_stride", ctypes.c_int64),
        ("map_u8", ctypes.c_void_p),
        ("map_u8_stride", ctypes.c_int64),
        ("regions", ctypes.POINTER(Region)),
        ("region_size", ctypes.c_size_t),
        ("region_capacity", ctypes.c_size_t),
        ("score", ctypes.c_float),
        ("calibrated_score", ctypes.c_float),
        ("verdict", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("region_count", ctypes.c_size_t),
    ]


class CallbackError(ctypes.Structure):
    """npad_callback_error."""

    _fields_ = [("message", ctypes.c_char * 512)]


def _load() -> ctypes.CDLL:
    """The library that NPAD_LIBRARY names, else the one in this package, else the system's."""
    chosen = os.environ.get("NPAD_LIBRARY")
    beside = HERE / NAME
    path = chosen or (str(beside) if beside.exists() else ctypes.util.find_library("npad") or NAME)
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        message = f"the npad library could not be loaded from {path}: {error}; install npad or set NPAD_LIBRARY"
        raise ImportError(message) from error


# The version of npad.h that this package was written against: major and minor.
HEADER = (0, 2)

library = _load()
library.npad_version_number.restype = ctypes.c_uint32
_number = library.npad_version_number()
if (_number // 1_000_000, _number // 1_000 % 1_000) != HEADER:
    raise ImportError(
        f"this package is for npad {HEADER[0]}.{HEADER[1]}, but the library is npad {_number // 1_000_000}."
        f"{_number // 1_000 % 1_000}: install a library and a package of one version"
    )

_P = ctypes.c_void_p
_TEXT, _SIZE, _FLOAT, _INT = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_float, ctypes.c_int32
_ERROR = ctypes.POINTER(_P)
ProgressCallback = ctypes.CFUNCTYPE(ctypes.c_bool, _TEXT, _SIZE, _SIZE, _P)
LogCallback = ctypes.CFUNCTYPE(None, _INT, _TEXT, _P)
ExtractCallback = ctypes.CFUNCTYPE(
    _INT, _P, ctypes.POINTER(_FLOAT), _INT, _INT, ctypes.POINTER(ctypes.POINTER(_FLOAT)), ctypes.POINTER(CallbackError)
)
FreeCallback = ctypes.CFUNCTYPE(None, _P)


class Extractor(Sized):
    """npad_extractor."""

    _fields_ = [
        ("size", _SIZE),
        ("name", _TEXT),
        ("tap_count", _SIZE),
        ("strides", ctypes.POINTER(_INT)),
        ("channels", ctypes.POINTER(_INT)),
        ("mean", _FLOAT * 3),
        ("std", _FLOAT * 3),
        ("extract", ExtractCallback),
        ("free", FreeCallback),
        ("user_data", _P),
    ]


# Result and argument types of each function of npad.h that this package calls.
_TYPES = {
    "npad_version_string": (_TEXT, []),
    "npad_version_number": (ctypes.c_uint32, []),
    "npad_runtime_open": (_INT, [_TEXT, _ERROR]),
    "npad_error_message": (_TEXT, [_P]),
    "npad_error_free": (None, [_P]),
    "npad_options_new": (_P, []),
    "npad_options_set": (_INT, [_P, _TEXT, _TEXT, _ERROR]),
    "npad_options_set_mask": (_INT, [_P, ctypes.POINTER(Mask), _ERROR]),
    "npad_options_set_progress": (_INT, [_P, ProgressCallback, _P, _ERROR]),
    "npad_options_free": (None, [_P]),
    "npad_plugin_load": (_INT, [_TEXT, _ERROR]),
    "npad_trainer_new": (_INT, [_P, _ERROR, _ERROR]),
    "npad_trainer_resume": (_INT, [_P, _P, _ERROR, _ERROR]),
    "npad_trainer_add_image": (_INT, [_P, ctypes.POINTER(Image), _ERROR]),
    "npad_trainer_image_count": (_SIZE, [_P]),
    "npad_trainer_finish": (_INT, [_P, _ERROR, _ERROR]),
    "npad_trainer_free": (None, [_P]),
    "npad_model_save": (_INT, [_P, _TEXT, _ERROR]),
    "npad_model_save_memory": (_INT, [_P, _ERROR, _ERROR]),
    "npad_model_load": (_INT, [_TEXT, _P, _ERROR, _ERROR]),
    "npad_model_load_memory": (_INT, [_TEXT, _SIZE, _P, _ERROR, _ERROR]),
    "npad_model_info": (_TEXT, [_P]),
    "npad_model_threshold": (_FLOAT, [_P]),
    "npad_model_review_threshold": (_FLOAT, [_P]),
    "npad_model_with_thresholds": (_INT, [_P, _FLOAT, _FLOAT, _FLOAT, _ERROR, _ERROR]),
    "npad_model_recalibrate": (_INT, [_P, ctypes.POINTER(Image), _SIZE, _P, _ERROR, _ERROR]),
    "npad_model_map_threshold": (_FLOAT, [_P]),
    "npad_model_free": (None, [_P]),
    "npad_buffer_data": (_P, [_P]),
    "npad_buffer_size": (_SIZE, [_P]),
    "npad_buffer_free": (None, [_P]),
    "npad_score": (_INT, [_P, ctypes.POINTER(Image), _ERROR, _ERROR]),
    "npad_score_into": (_INT, [_P, ctypes.POINTER(Image), ctypes.POINTER(Output), _ERROR]),
    "npad_score_batch": (_INT, [_P, ctypes.POINTER(Image), _SIZE, _P, _ERROR, _ERROR]),
    "npad_render": (_INT, [_P, ctypes.POINTER(Image), _P, _P, ctypes.c_int64, _INT, _ERROR]),
    "npad_option_count": (_SIZE, []),
    "npad_option_name": (_TEXT, [_SIZE]),
    "npad_option_get_type": (_INT, [_SIZE]),
    "npad_option_default": (_TEXT, [_SIZE]),
    "npad_option_range": (_TEXT, [_SIZE]),
    "npad_option_help": (_TEXT, [_SIZE]),
    "npad_method_count": (_SIZE, []),
    "npad_method_name": (_TEXT, [_SIZE]),
    "npad_device_count": (_SIZE, []),
    "npad_device_name": (_TEXT, [_SIZE]),
    "npad_log_set": (_INT, [LogCallback, _P, _INT, _ERROR]),
    "npad_options_set_roi": (_INT, [_P, _INT, _INT, _INT, _INT, _ERROR]),
    "npad_options_set_extractor": (_INT, [_P, ctypes.POINTER(Extractor), _ERROR]),
    "npad_cancellation_new": (_P, []),
    "npad_cancellation_cancel": (None, [_P]),
    "npad_cancellation_is_cancelled": (ctypes.c_bool, [_P]),
    "npad_cancellation_free": (None, [_P]),
    "npad_trainer_expect": (_INT, [_P, _SIZE, _ERROR]),
    "npad_model_warm_up": (_INT, [_P, _INT, _INT, _ERROR]),
    "npad_model_method": (_TEXT, [_P]),
    "npad_model_backbone": (_TEXT, [_P]),
    "npad_model_device": (_TEXT, [_P]),
    "npad_model_input_width": (_INT, [_P]),
    "npad_model_input_height": (_INT, [_P]),
    "npad_model_image_count": (_SIZE, [_P]),
    "npad_result_map_u8": (_INT, [_P, _P, ctypes.c_int64, _ERROR]),
    "npad_result_region_runs": (ctypes.POINTER(_INT), [_P, _SIZE, ctypes.POINTER(_SIZE)]),
    "npad_result_region_contour": (ctypes.POINTER(_INT), [_P, _SIZE, ctypes.POINTER(_SIZE)]),
    "npad_result_region_mask": (_INT, [_P, _SIZE, _P, ctypes.c_int64, _ERROR]),
    "npad_result_score": (_FLOAT, [_P]),
    "npad_result_calibrated_score": (_FLOAT, [_P]),
    "npad_result_verdict": (_INT, [_P]),
    "npad_result_width": (_INT, [_P]),
    "npad_result_height": (_INT, [_P]),
    "npad_result_map": (_P, [_P]),
    "npad_result_region_count": (_SIZE, [_P]),
    "npad_result_region": (_INT, [_P, _SIZE, ctypes.POINTER(Region), _SIZE, _ERROR]),
    "npad_result_free": (None, [_P]),
}
for _name, (_result, _arguments) in _TYPES.items():
    _function = getattr(library, _name)
    _function.restype, _function.argtypes = _result, _arguments


def call(name: str, *arguments: object) -> None:
    """Calls a function that returns a status and takes an error last; raises what it reports."""
    error = ctypes.c_void_p()
    status = getattr(library, name)(*arguments, ctypes.byref(error))
    if status == 0:
        return
    message = library.npad_error_message(error).decode()
    library.npad_error_free(error)
    raise Error(status, message)


class Handle:
    """Owns a handle of the library and frees it once."""

    def __init__(self, value: int | None, free: str) -> None:
        self._value, self._free = value, getattr(library, free)

    @property
    def value(self) -> int:
        if self._value is None:
            raise ValueError("this object has been closed")
        return self._value

    def close(self) -> None:
        if self._value is not None:
            value, self._value = self._value, None
            self._free(value)

    def __del__(self) -> None:
        self.close()


def output(name: str, free: str, *arguments: object) -> Handle:
    """Calls a function whose last argument but the error receives a handle."""
    handle = ctypes.c_void_p()
    call(name, *arguments, ctypes.byref(handle))
    return Handle(handle.value, free)
