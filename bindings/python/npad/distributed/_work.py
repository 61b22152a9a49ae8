"""What tasks do on the workers. Each function is called in a process that may have done nothing else of npad before.

States and models are arrays of bytes, which both engines move without pickling them. Options are copied, since tasks of one
process may have been given the same object, which belongs to one thread at a time.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array
from .._library import Error, Status
from .._model import Model, Trainer
from .._options import Options
from . import _selection
from ._allocator import keep_free_pages
from ._sources import ImageError, Unreadable, read

Bytes = NDArray[np.uint8]
State = tuple[Bytes, list[Unreadable]]
"""A trainer's state, and the images that are not in it."""

_REFUSED = (Status.INVALID_IMAGE, Status.INVALID_ARGUMENT)


def packed(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)


def images(content: Any) -> Iterator[tuple[str, Array | ImageError]]:
    """The images of a partition: a list of paths, or a block of a table with the column "image" or "path"."""
    keep_free_pages()
    if isinstance(content, (list, tuple)):
        return read(str(path) for path in content)
    if not hasattr(content, "columns"):
        raise TypeError(f"a partition is {content!r:.200}, but must be a list of paths")
    from ._ray import rows  # nothing else has blocks

    return rows(content)


def size_of_first(content: Any, options: Options, strict: bool) -> tuple[str | None, Unreadable | None]:
    """The network's input size that a fit whose first image is the first readable one takes, None if none is readable; and
    the first image that is not.

    It is the size of a model of three images of noise, so that nothing here repeats how npad computes it.
    """
    options = copy.copy(options)
    options["method"], options["checkpoint"] = "padim", ""  # which keeps none
    unreadable = None
    for path, pixels in images(content):
        random = np.random.default_rng(0)
        try:
            if isinstance(pixels, ImageError):
                raise Error(Status.INVALID_IMAGE, str(pixels))
            trainer = Trainer(options)
            for _ in range(3):
                trainer.add(random.integers(0, 256, pixels.shape[:2], np.uint8))
        except (Error, ValueError) as error:
            refused = _refused(path, error, strict)
            unreadable = unreadable or refused
            continue
        height, width = trainer.finish().input_size
        return f"{height}x{width}", unreadable
    return None, unreadable


def _refused(path: str, error: Error | ValueError, strict: bool) -> Unreadable:
    """What is reported of an image that npad does not take. Raises where the job, or more than the image, has failed."""
    if isinstance(error, Error) and error.status not in _REFUSED:
        raise Error(error.status, f"{path}: {error}") from error
    if strict:
        raise Error(Status.INVALID_IMAGE, f"{path}: {error}") from error
    return Unreadable(path, str(error))


def learn(name: str, content: Any, options: Options, significant_bits: int, strict: bool) -> State:
    """Learns the images of a partition."""
    trainer, unreadable = Trainer(copy.copy(options)), []
    for path, pixels in images(content):
        try:
            if isinstance(pixels, ImageError):
                raise Error(Status.INVALID_IMAGE, str(pixels))
            bits = significant_bits if pixels.dtype == np.uint16 else 0
            trainer.add(pixels, significant_bits=bits)
        except (Error, ValueError) as error:
            unreadable.append(_refused(path, error, strict))
    _selection.check_state(trainer, options)
    return packed(trainer.to_bytes()), unreadable


def merge(first: State, second: State, options: Options) -> State:
    """Merges two states."""
    trainer = Trainer.from_bytes(first[0], copy.copy(options))
    trainer.merge(second[0])
    _selection.check_state(trainer, options)
    return packed(trainer.to_bytes()), first[1] + second[1]


# One model in use and the one before it, for jobs that take turns.
_KEPT = 2
_models: OrderedDict[tuple[str, str], Model] = OrderedDict()
_lock = threading.Lock()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def model_of(data: Bytes, key: str, options: Options) -> Model:
    """The model with the hash `key`, loaded by the first task of this process."""
    chosen = (key, repr(sorted((name, str(value)) for name, value in options._values.items())))
    with _lock:
        if chosen not in _models:
            _models[chosen] = Model.from_bytes(data, copy.copy(options))
        _models.move_to_end(chosen)
        while len(_models) > _KEPT:
            _models.popitem(last=False)
        return _models[chosen]


def rows_of(
    content: Any, model: Model, significant_bits: int, max_regions: int, strict: bool
) -> Sequence[dict[str, Any]]:
    """One row of results per image."""
    rows = []
    for path, pixels in images(content):
        row: dict[str, Any] = {"path": path}
        try:
            if isinstance(pixels, ImageError):
                raise Error(Status.INVALID_IMAGE, str(pixels))
            bits = significant_bits if pixels.dtype == np.uint16 else 0
            result = model.score_into(pixels, max_regions=max_regions, significant_bits=bits)
        except (Error, ValueError) as error:
            row["error"] = _refused(path, error, strict).reason
        else:
            row.update(
                score=result.score,
                calibrated_score=result.calibrated_score,
                verdict=result.verdict.name.lower(),
                anomalous=result.anomalous,
                region_count=result.region_count,
                regions=[
                    {
                        "x": region.x,
                        "y": region.y,
                        "width": region.width,
                        "height": region.height,
                        "area": region.area,
                        "centroid_x": region.centroid[0],
                        "centroid_y": region.centroid[1],
                        "peak": region.peak,
                        "calibrated_peak": region.calibrated_peak,
                    }
                    for region in result.regions
                ],
            )
        rows.append(row)
    return rows
