"""Scores, and their Parquet files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import fsspec
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
from fsspec.implementations.local import LocalFileSystem

from .._library import Error, Status, integer
from .._model import Model
from .._options import Options, Progress
from . import _work
from ._engines import engine, ordered
from ._jobs import RETRIES, OnError, Reports, checked_bits, prepared, split
from ._sources import Unreadable, absolute

_REGION = pyarrow.struct(
    [
        ("x", pyarrow.int32()),
        ("y", pyarrow.int32()),
        ("width", pyarrow.int32()),
        ("height", pyarrow.int32()),
        ("area", pyarrow.int64()),
        ("centroid_x", pyarrow.float32()),
        ("centroid_y", pyarrow.float32()),
        ("peak", pyarrow.float32()),
        ("calibrated_peak", pyarrow.float32()),
    ]
)

SCHEMA = pyarrow.schema(
    [
        pyarrow.field("path", pyarrow.string(), nullable=False),
        ("score", pyarrow.float32()),
        ("calibrated_score", pyarrow.float32()),
        ("verdict", pyarrow.string()),
        ("anomalous", pyarrow.bool_()),
        ("region_count", pyarrow.int64()),
        ("regions", pyarrow.list_(_REGION)),
        ("error", pyarrow.string()),
    ]
)
"""The columns of a table of scores. Where an image cannot be scored, "error" says why and the others are null."""


def _score(
    number: int,
    name: str,
    content: Any,
    data: _work.Bytes,
    key: str,
    options: Options,
    output: str | None,
    settings: dict[str, Any],
) -> tuple[pyarrow.Table | None, list[Unreadable]]:
    """Scores a partition. The table is written to a file of the folder `output`, else it is the result."""
    rows = _work.rows_of(content, _work.model_of(data, key, options), **settings)
    table = pyarrow.Table.from_pylist(rows, SCHEMA)
    unreadable = [Unreadable(row["path"], row["error"]) for row in rows if row.get("error")]
    if output is None:
        return table, unreadable
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    _write(output, f"part-{number:07}.parquet", sink.getvalue().to_pybytes())
    return None, unreadable


def _write(folder: str, name: str, data: bytes) -> None:
    """Writes a file under its final name at once, so that a task which is run again replaces what it has written."""
    files, root = fsspec.core.url_to_fs(folder)
    final = f"{root.rstrip('/')}/{name}"
    if not isinstance(files, LocalFileSystem):
        files.pipe_file(final, data)  # object storage shows whole files alone
        return
    hidden = f"{root}/.{name}.{uuid.uuid4().hex}"
    with open(hidden, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(hidden, final)


def _made(folder: str) -> None:
    files, root = fsspec.core.url_to_fs(folder)
    if files.isfile(root):
        raise ValueError(f"output is {folder}, which is a file, but must be a folder: choose another")
    if files.exists(root) and any(name.endswith(".parquet") for name in files.ls(root, detail=False)):
        raise ValueError(f"the folder {folder} has Parquet files already: choose another, or delete them")
    files.makedirs(root, exist_ok=True)


def _opened(folder: str, count: int) -> pyarrow.dataset.Dataset:
    files, root = fsspec.core.url_to_fs(folder)
    files.invalidate_cache()
    found = sum(name.endswith(".parquet") for name in files.ls(root, detail=False))
    if found < count:
        raise Error(
            Status.NOT_FOUND,
            f"the folder {folder} has {found} of the {count} files that the tasks have written: choose one that all workers "
            "and this process reach",
        )
    return pyarrow.dataset.dataset(root, SCHEMA, format="parquet", filesystem=files)


def score(
    model: Model | bytes | str | os.PathLike[str],
    images: Any,
    *,
    client: Any = None,
    output: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    partition: int | None = None,
    on_error: OnError = "warn",
    progress: Progress | None = None,
    significant_bits: int = 0,
    max_regions: int = 100,
    retries: int = RETRIES,
    **values: Any,
) -> pyarrow.dataset.Dataset | Iterator[pyarrow.Table]:
    """Scores images on a cluster, with a model, its bytes or its path. The other parameters are those of fit.

    With `output`, the path or URL of a folder that all workers reach, each partition becomes one Parquet file there, and the
    dataset of all files is returned, which is read when it is used. A task that is run again replaces its file. Without
    `output`, an iterator of one table per partition is returned; tasks run ahead of it by a bounded number.

    The columns are those of SCHEMA; `regions` has at most `max_regions` of an image's regions, highest peak first.
    """
    chosen, tasks, threads = prepared(options, values)
    reports, bits = Reports(on_error), checked_bits(significant_bits)
    regions = integer(max_regions, "max_regions", 0, 1_000_000)
    folder = None if output is None else os.fspath(output)
    if folder == "":
        raise ValueError("output is empty, but must be the path or URL of a folder, or None for tables")
    folder = folder and absolute(folder)
    if isinstance(model, (str, os.PathLike)):
        with fsspec.open(os.fspath(model), "rb") as file:
            data = file.read()
    else:
        data = model.to_bytes() if isinstance(model, Model) else bytes(model)
    Model.from_bytes(data, chosen).close()  # a wrong file or option is found before any work
    run = engine(client, images, threads, retries)
    parts, total, _ = split(images, partition, run)
    if folder is not None:
        _made(folder)
    settings = {"significant_bits": bits, "max_regions": regions, "strict": reports.strict}
    written = 0

    def tables() -> Iterator[pyarrow.Table]:
        key, shipped = _work.digest(data), run.constant("model", _work.packed(data))
        calls = (
            (part.name, partial(run.submit, "score", _score, part.number, part.name, part.content, shipped, key, tasks, folder, settings))
            for part in parts
        )
        nonlocal written
        for number, (table, unreadable) in enumerate(ordered(run, calls)):
            written += table is None
            reports.add(unreadable)
            if progress is not None and not progress("scoring", number + 1, total or 0):
                raise Error(Status.CANCELLED, "the job was cancelled by its progress callback")
            if table is not None:
                yield table
        reports.warn()

    if folder is None:
        return tables()
    for _ in tables():
        pass
    return _opened(folder, written)
