"""How a worker's C library gives memory back to the system."""

from __future__ import annotations

import ctypes
import functools
import os

# What Dask's nanny sets for its workers: each block above 64 KiB is given back as soon as it is free. Decoding an image then takes
# two to three times as long, since the system clears the pages of every buffer anew.
_DASK_DEFAULT = "65536"
_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt()
_KEPT, _MAPPED = 128 << 20, 32 << 20


@functools.cache
def keep_free_pages() -> bool:
    """Lets a worker with Dask's default keep up to 128 MiB of free memory. Any other value of MALLOC_TRIM_THRESHOLD_ stays in force.

    It returns whether it has changed something, which it does once in a process.
    """
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != _DASK_DEFAULT:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # not glibc
    return bool(mallopt(_MAP, _MAPPED)) and bool(mallopt(_TRIM, _KEPT))
