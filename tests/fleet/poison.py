"""Files that end the process which reads them, once: the faults of the tests.

`poison:///folder/image.png` is the file of that path. Where the file image.png.kill or image.png.memory lies beside it, the
first reader removes that and kills its process, or takes memory until it is killed or told that there is none. Where
image.png.deadly lies beside it, every reader kills its process.
"""

import os
import signal
import time

import fsspec
from fsspec.implementations.local import LocalFileSystem

PREFIX = "poison://"


class Poisoned(LocalFileSystem):
    protocol = "poison"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix(PREFIX))

    def cat_file(self, path, start=None, end=None, **options):
        path = self._strip_protocol(path)
        if os.path.exists(f"{path}.deadly") or _taken(f"{path}.kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if _taken(f"{path}.memory"):
            limit = os.environ.get("NPAD_TEST_MEMORY")
            if limit is None:
                raise MemoryError("the test's own")
            kept = bytearray(int(limit))
            for page in range(0, len(kept), 4096):
                kept[page] = 1
            time.sleep(600)  # until the engine ends this process
        return super().cat_file(path, start, end)


def _taken(marker):
    """Whether this process is the one that has removed the marker."""
    try:
        os.remove(marker)
    except FileNotFoundError:
        return False
    return True


def install():
    fsspec.register_implementation("poison", Poisoned, clobber=True)


install()
