"""What fits and scores have in common: options, partitions and reports of images that were left out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Union

from .._library import integer
from .._options import Options, given
from ._engines import Engine, is_collection
from ._sources import Partition, Unreadable, partitions, paths

OnError = Union[Literal["warn", "raise"], Callable[[Unreadable], None]]

RETRIES = 3

# Where the number of images is known, each worker gets a few partitions, so that all end at about the same time. A state
# of 4096 images of the usual size is as large as it gets, and so costs an image little.
_SHARE, _SMALLEST, _LARGEST, _UNKNOWN = 4, 16, 4096, 256


def prepared(options: Options | None, values: dict[str, Any]) -> tuple[Options, Options, int]:
    """The options of the driver, those of the tasks, and the threads of a task."""
    chosen = given(options, values)
    tasks = copy.copy(chosen)
    if tasks["threads"] == "0":
        tasks["threads"] = 1
    return chosen, tasks, int(tasks["threads"])


def checked_bits(significant_bits: int) -> int:
    """The significant bits of images, where wrong ones would make every image unreadable."""
    bits = integer(significant_bits, "significant_bits", 0, 16)
    if 0 < bits < 8:
        raise ValueError(f"significant_bits is {bits}, but must be 0 or from 8 to 16")
    return bits


def split(images: Any, size: int | None, run: Engine) -> tuple[Iterator[Partition], int | None, int | None]:
    """The partitions of a job, their number and that of the images where they are known."""
    if size is not None and not (hasattr(size, "__index__") and size.__index__() >= 1):
        raise ValueError(f"partition is {size!r}, but must be at least 1 image, a whole number")
    if is_collection(images):
        if size is not None:
            raise ValueError("partition is set, but the collection has partitions of its own: repartition the collection")
        return *run.partitions(images), None
    names, count = paths(images)
    if count == 0:
        raise ValueError("there are no images: expected paths or URLs of image files, folders or globs")
    if size is None and count is None:
        size = _UNKNOWN
    elif size is None:
        slots = run.slots()
        share = _SHARE if slots > 1 else 2  # one worker alone has nothing to balance, and merges cost it most
        size = min(max(-(-count // (share * slots)), _SMALLEST), _LARGEST)
    return partitions(names, size), None if count is None else -(-count // size), count


class Reports:
    """Passes on what could not be read."""

    def __init__(self, on_error: OnError) -> None:
        if on_error not in ("warn", "raise") and not callable(on_error):
            raise ValueError(f"on_error is {on_error!r}, but must be 'warn', 'raise' or a function")
        self._on_error, self._count = on_error, 0
        self._first: Unreadable | None = None

    @property
    def strict(self) -> bool:
        return self._on_error == "raise"

    def add(self, unreadable: Iterable[Unreadable]) -> None:
        for image in sorted(unreadable, key=lambda image: image.path):
            self._count += 1
            self._first = self._first or image
            if callable(self._on_error):
                self._on_error(image)

    def summary(self) -> str:
        """How many images were left out, and why the first of them was. Empty without any."""
        if self._first is None:
            return ""
        left_out = f"{self._count} images were" if self._count > 1 else "1 image was"
        return f"{left_out} left out, the first of them {self._first.path}: {self._first.reason}"

    def warn(self) -> None:
        if self._first is not None and not callable(self._on_error):
            warnings.warn(f"{self.summary()}; on_error= takes a function that gets them all", stacklevel=3)
