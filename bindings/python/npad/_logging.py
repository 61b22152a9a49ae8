"""Messages of npad as records of Python's logging."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import Any

from . import _library
from ._library import Error, Status, call, keep_exception

_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}

_lock = threading.Lock()
# The callback in use is the last. The one before it lives until npad_log_set has returned.
_receivers: list[Any] = []
_inside = threading.local()


def _set(logger: logging.Logger | None, level: int) -> None:
    def receive(level: int, message: bytes, _: object) -> None:
        assert logger is not None
        _inside.value = True
        try:
            logger.log(_LEVELS.get(level, logging.DEBUG), "%s", message.decode(errors="replace"))
        except BaseException as error:
            if not keep_exception(error):
                raise  # ctypes passes it to sys.unraisablehook
        finally:
            _inside.value = False

    # Before the lock: another thread may hold it and wait for this handler to return.
    if getattr(_inside, "value", False):
        message = "the logging was changed from a handler of the logger; change it after the handler has returned"
        raise Error(Status.WRONG_STATE, message)
    with _lock:
        receiver = _library.LogCallback() if logger is None else _library.LogCallback(receive)
        _receivers.append(receiver)
        call("npad_log_set", receiver, None, level)
        del _receivers[:-1]


def enable_logging(level: int = logging.INFO, logger: logging.Logger | str = "npad") -> None:
    """Passes npad's messages of a level and above, for example logging.DEBUG, to a logger.

    By default npad logs nothing. The setting applies to the process; any thread may change it. Must not be called from a
    handler of the logger. What the logger raises, the call of npad in progress on the same thread raises: the call has its
    effect, but its result is lost. Without such a call, as on a thread of npad's own, sys.unraisablehook receives the
    exception.
    """
    least = max((native for native, python in _LEVELS.items() if python >= level), default=1)
    _set(logging.getLogger(logger) if isinstance(logger, str) else logger, least)


def disable_logging() -> None:
    """Stops the logging. Waits until running calls of the logger by npad have returned."""
    _set(None, 1)


atexit.register(disable_logging)
