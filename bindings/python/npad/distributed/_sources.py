"""Images of jobs: lists of paths and URLs, the partitions of a job, and reading and decoding of files."""

from __future__ import annotations

import io
import os
import posixpath
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Union

import fsspec
import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from .._arrays import Array

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
"""File name extensions of images, as the npad tool has them."""

Source = Union[str, "os.PathLike[str]"]

# Enough that a task computes while it waits for object storage, few enough that a worker's memory does not notice.
_READERS, _AHEAD = 4, 8
_ATTEMPTS, _PAUSE = 3, 0.5


@dataclass(frozen=True)
class Unreadable:
    """An image that was left out of a job."""

    path: str
    reason: str


@dataclass(frozen=True)
class Partition:
    """The images of one task."""

    number: int
    """Number of the partition in the job, from 0."""
    name: str
    """Description for messages."""
    content: Any
    """A list of paths, or the engine's reference to one."""


class ImageError(Exception):
    """An image cannot be read or decoded."""


def is_image(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def is_glob(path: str) -> bool:
    web = path.startswith(("http://", "https://"))  # where a question mark begins a query
    return "*" in path or ("?" in path and not web)


def listed(source: Source) -> list[str]:
    """The images of a path or URL: those of a glob or directly in a folder, by name, else the path itself."""
    path = os.fspath(source)
    if is_image(path) and not is_glob(path):
        return [path]  # without a request: there may be millions
    try:
        files, root = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{path!r} cannot be opened: {error}") from error
    if is_glob(path):
        found = [name for name in files.glob(root) if is_image(name)]
    elif files.isdir(root):
        found = [name for name in files.ls(root, detail=False) if is_image(name)]
    else:
        return [path]
    if not found:
        raise ValueError(f"{path!r} has no images; expected files that end in {', '.join(EXTENSIONS)}")
    return sorted(name if _is_local(files) else files.unstrip_protocol(name) for name in found)


def _is_local(files: fsspec.AbstractFileSystem) -> bool:
    return isinstance(files.protocol, tuple) and "file" in files.protocol


def paths(images: Source | Iterable[Source]) -> tuple[Iterable[str], int | None]:
    """The paths of images, and their number where it is known in advance."""
    if isinstance(images, (str, os.PathLike)):
        found = listed(images)
        return found, len(found)
    if isinstance(images, Sized):
        found = [path for source in images for path in listed(source)]
        return found, len(found)
    return (path for source in images for path in listed(source)), None


def partitions(names: Iterable[str], size: int) -> Iterator[Partition]:
    """Cuts a list of paths into partitions of `size` images."""
    names, number = iter(names), 0
    while content := list(islice(names, size)):
        name = f"partition {number} ({content[0]} to {content[-1]})"
        yield Partition(number, name, content)
        number += 1


def _fetch(path: str) -> bytes:
    for attempt in range(_ATTEMPTS):
        try:
            files, name = fsspec.core.url_to_fs(path)
            return files.cat_file(name)
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError, ValueError) as error:
            raise ImageError(f"{type(error).__name__}: {error}") from error
        except OSError as error:  # perhaps the network's, and over soon
            if attempt == _ATTEMPTS - 1:
                raise ImageError(f"{type(error).__name__}: {error}, {_ATTEMPTS} times") from error
            time.sleep(_PAUSE * 2**attempt)
    raise AssertionError


def decoded(data: bytes) -> Array:
    """The pixels of an image file: uint8 or uint16 [height, width], float32 [height, width] or uint8 [height, width, 3].

    Alpha is dropped. Pillow gives colours of 16 bits with 8.
    """
    try:
        with Pillow.open(io.BytesIO(data)) as image:
            image.load()
            if image.mode in ("L", "F") or image.mode.startswith("I;16"):
                pixels = np.asarray(image)
                return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
            if image.mode == "I":  # how Pillow reads some files of 16 bits
                wide = np.asarray(image)
                if wide.size and not (0 <= wide.min() and wide.max() <= 65535):
                    raise ImageError(f"grey values of {wide.min()} to {wide.max()}, but they must be from 0 to 65535")
                return wide.astype(np.uint16)
            return np.asarray(image.convert("L" if image.mode in ("1", "LA", "La") else "RGB"))
    except UnidentifiedImageError as error:  # whose text has an address, and so differs from run to run
        raise ImageError("cannot be decoded: it is no image that Pillow knows") from error
    except (OSError, SyntaxError, ValueError, EOFError, Pillow.DecompressionBombError) as error:
        raise ImageError(f"cannot be decoded: {error}") from error


def read(names: Iterable[str]) -> Iterator[tuple[str, Array | ImageError]]:
    """Reads files, some ahead of the one in use. Yields each path with its pixels, or with why there are none."""

    def attempt(path: str) -> bytes | ImageError:
        try:
            return _fetch(path)
        except ImageError as error:
            return error

    names = iter(names)
    with ThreadPoolExecutor(_READERS, "npad-read") as readers:
        waiting = deque((path, readers.submit(attempt, path)) for path in islice(names, _AHEAD))
        try:
            while waiting:
                path, future = waiting.popleft()
                data = future.result()
                waiting.extend((path, readers.submit(attempt, path)) for path in islice(names, 1))
                if isinstance(data, bytes):
                    try:
                        yield path, decoded(data)
                    except ImageError as error:
                        yield path, error
                else:
                    yield path, data
        finally:
            for _, future in waiting:
                future.cancel()


def base_name(path: str) -> str:
    """The last part of a path or URL."""
    return posixpath.basename(path.replace(os.sep, "/").rstrip("/"))
