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
from fsspec.core import split_protocol
from fsspec.implementations.local import make_path_posix
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from .._arrays import Array

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
"""File name extensions of images, as the npad tool has them."""

Source = Union[str, "os.PathLike[str]"]

# Enough that a task computes while it waits for object storage, few enough that a worker's memory does not notice.
_READERS, _AHEAD = 4, 8
_ATTEMPTS, _PAUSE = 3, 0.5

# What can stand before a URL and "::", which leaves the names of files to that URL.
_CACHES = ("blockcache", "cached", "filecache", "simplecache")


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


def _chain(path: str) -> tuple[list[str], str, list[str]]:
    """The parts of a chained URL: caches, the part that names files, and what that part lies in."""
    links = path.split("::")
    caches = next((i for i, link in enumerate(links[:-1]) if link not in _CACHES), len(links) - 1)
    return links[:caches], links[caches], links[caches + 1 :]


def is_glob(path: str) -> bool:
    _, name, _ = _chain(path)
    web = name.startswith(("http://", "https://"))  # where a question mark begins a query
    return "*" in name or ("?" in name and not web)


def absolute(source: Source) -> str:
    """A path or URL that does not depend on the working directory, in which workers differ."""
    path = os.fspath(source)
    if not path:
        raise ValueError("a path is empty: expected the path or URL of an image file, a folder or a glob")
    before, colons, last = path.rpartition("::")
    return before + colons + (last if split_protocol(last)[0] else make_path_posix(last))


def listed(source: Source) -> list[str]:
    """The images of a path or URL: those of a glob or directly in a folder, by name, else the path itself."""
    path = absolute(source)
    glob = is_glob(path)
    if is_image(path) and not glob:
        return [path]  # without a request: there may be millions
    try:
        files, root = fsspec.core.url_to_fs(path)
        if glob and not (_is_local(files) and files.exists(root)):  # a file may be named like a glob
            found = files.glob(root)
        elif files.isdir(root):
            found = files.ls(root, detail=False)
        else:
            return [path]
    except Exception as error:
        raise ValueError(f"{path!r} cannot be opened: {described(error)}") from error
    names = sorted(name for name in found if is_image(name))
    if not names:
        raise ValueError(f"{path!r} has no images; expected files that end in {', '.join(EXTENSIONS)}")
    if _is_local(files):
        return names
    caches, _, rest = _chain(path)
    return ["::".join([*caches, files.unstrip_protocol(name), *rest]) for name in names]


def described(error: BaseException) -> str:
    """An exception of another package in a message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_local(files: fsspec.AbstractFileSystem) -> bool:
    return isinstance(files.protocol, tuple) and "file" in files.protocol


def paths(images: Source | Iterable[Source]) -> tuple[Iterable[str], int | None]:
    """The paths of images, and their number where it is known in advance."""
    if isinstance(images, (str, os.PathLike)):
        found, path = listed(images), absolute(images)
        if found == [path]:
            _check_exists(path)
        return found, len(found)
    if isinstance(images, Sized):
        found = [path for source in images for path in listed(source)]
        return found, len(found)
    return (path for source in images for path in listed(source)), None


def _check_exists(path: str) -> None:
    try:
        files, root = fsspec.core.url_to_fs(path)
        exists = files.exists(root)
    except Exception as error:
        raise ValueError(f"{path!r} cannot be opened: {described(error)}") from error
    if not exists:
        raise ValueError(
            f"{path!r} does not exist or cannot be reached: expected the path or URL of an image file, a folder or a glob"
        )


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
            raise ImageError(described(error)) from error
        except MemoryError:  # of this worker, not of this image
            raise
        except Exception as error:  # perhaps the network's, and over soon; every file system has classes of its own
            if attempt == _ATTEMPTS - 1:
                raise ImageError(f"{described(error)}, {_ATTEMPTS} times") from error
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
