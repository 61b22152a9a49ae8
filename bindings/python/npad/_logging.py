"""Messages of npad as records of Python's logging."""

from __future__ import annotations

import atexit
import logging

from . import _library
from ._library import call

_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}
_logger = logging.getLogger("npad")


@_library.LogCallback
def _log(level: int, message: bytes, _: object) -> None:
    _logger.log(_LEVELS.get(level, logging.DEBUG), "%s", message.decode(errors="replace"))


def enable_logging(level: int = logging.INFO, logger: logging.Logger | str = "npad") -> None:
    """Passes npad's messages of a level and above, for example logging.DEBUG, to a logger.

    By default npad logs nothing. The setting applies to the process. Must not be called from a handler of the logger.
    """
    global _logger
    least = max((native for native, python in _LEVELS.items() if python >= level), default=1)
    previous, _logger = _logger, logging.getLogger(logger) if isinstance(logger, str) else logger
    try:
        call("npad_log_set", _log, None, least)
    except BaseException:
        _logger = previous
        raise


def disable_logging() -> None:
    """Stops the logging. Waits until running calls of the logger by npad have returned."""
    call("npad_log_set", _library.LogCallback(), None, 1)


atexit.register(disable_logging)
