"""Many fits and what they are worth, as one job."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, product
from typing import Any

import fsspec

from .._library import Error
from .._model import Model, Trainer
from .._options import Options
from ._engines import engine, ordered
from ._jobs import RETRIES, prepared
from ._sources import ImageError, Source, absolute, base_name, described, listed, read


def auroc(scores: Iterable[tuple[float, bool]]) -> float | None:
    """The area under the ROC curve: the probability that a positive scores above a negative, ties counting half. None
    without both."""
    below = positives = wins = 0.0
    counts: dict[float, list[int]] = {}
    for score, positive in scores:
        counts.setdefault(score, [0, 0])[positive] += 1
    for _, (negative, positive) in sorted(counts.items()):
        wins += positive * (below + negative / 2)
        below += negative
        positives += positive
    return wins / (positives * below) if positives and below else None


def percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def folders(part: str) -> dict[str, list[str]]:
    """The images of a part in MVTec AD's layout: of "train/good", and of each folder of "test"."""
    files, root = fsspec.core.url_to_fs(part)
    tests = f"{root.rstrip('/')}/test"
    if not files.isdir(tests):
        raise ValueError(f"{part!r} is no part: expected MVTec AD's layout, with train/good, test/good and test/DEFECT")
    kinds = sorted(base_name(name) for name in files.ls(tests, detail=False) if files.isdir(name))
    found = {kind: listed(f"{part.rstrip('/')}/{kind}") for kind in ["train/good", *(f"test/{kind}" for kind in kinds)]}
    if "test/good" not in found or len(found) < 3:
        raise ValueError(f"{part!r} needs both good and defective images in test")
    return found


def measured(part: str, options: Options) -> dict[str, Any]:
    """Fits to the good images of a part, scores its test images, and computes what the npad tool computes of them."""
    images = folders(part)
    trainer, fitting = Trainer(options), 0.0
    for path, pixels in read(images.pop("train/good")):
        if isinstance(pixels, ImageError):
            raise ValueError(f"{path}: {pixels}")
        start = time.perf_counter()
        trainer.add(pixels)
        fitting += time.perf_counter() - start
    start = time.perf_counter()
    model: Model = trainer.finish()
    fitting += time.perf_counter() - start
    scores, times = [], []
    counts = {(defective, called): 0 for defective in (False, True) for called in (False, True)}
    for kind, names in images.items():
        defective = kind != "test/good"
        for path, pixels in read(names):
            if isinstance(pixels, ImageError):
                raise ValueError(f"{path}: {pixels}")
            start = time.perf_counter()
            result = model.score_into(pixels)
            times.append(time.perf_counter() - start)
            scores.append((result.score, defective))
            counts[defective, result.anomalous] += 1
    good, defective = (counts[kind, False] + counts[kind, True] for kind in (False, True))
    return {
        "train_images": model.image_count,
        "test_images": len(scores),
        "image_auroc": percent(auroc(scores)),
        "false_alarms": percent(counts[False, True] / max(good, 1)),
        "misses": percent(counts[True, False] / max(defective, 1)),
        "fit_seconds": round(fitting, 3),
        "score_ms_p50": round(1000 * statistics.median(times), 3),
        "model_mb": round(len(model.to_bytes()) / 1e6, 3),
    }


def _row(part: str, values: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**measured(part, Options(**values)), "error": None}
    except (Error, ValueError) as error:
        return {"error": str(error)}
    except (MemoryError, OSError):  # may be over when the task is run again
        raise
    except Exception as error:
        return {"error": described(error)}


def _failed(error: Error) -> dict[str, Any]:
    return {"error": str(error)}


def _checked(what: str, values: Iterable[Any]) -> list[Any]:
    """A list of what every other one is combined with."""
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise ValueError(f"{what} is {values!r}, but must be a list: write [{values!r}]")
    found = list(values)
    if not found:
        raise ValueError(f"{what} is empty, so that there is nothing to evaluate")
    return found


def _check_settings(what: str, values: Any) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"{what} are {values!r}, but must be a dictionary of options")
    for name in ("method", "seed"):
        if name in values:
            raise ValueError(f"{what} have the option {name!r}, which each row has of its own: use {name}s=[{values[name]!r}]")


COLUMNS = (
    "part", "method", "settings", "seed", "train_images", "test_images", "image_auroc", "false_alarms", "misses",
    "fit_seconds", "score_ms_p50", "model_mb", "error",
)  # fmt: skip


def evaluate(
    parts: Source | Sequence[Source],
    *,
    methods: Sequence[str] = ("npad",),
    settings: Sequence[Mapping[str, Any]] = ({},),
    seeds: Sequence[int] = (0,),
    client: Any = None,
    retries: int = RETRIES,
    **values: Any,
) -> list[dict[str, Any]]:
    """Fits and scores every part with every method, settings and seed, each as a task of a cluster.

    Parts are folders in MVTec AD's layout that the workers reach. Settings are dictionaries of options, added to those of
    the keywords. Returns one row for each, in this order, with the columns of COLUMNS: rates and areas are in percent, as
    those of `npad eval`, and "error" is None or says why the row has no others. The times are those of a task with the
    option "threads", by default 1, beside whatever else its machine does.
    """
    names = [absolute(part) for part in _checked("parts", [parts] if isinstance(parts, (str, os.PathLike)) else parts)]
    methods, settings, seeds = _checked("methods", methods), _checked("settings", settings), _checked("seeds", seeds)
    _check_settings("the keywords", values)
    for chosen in settings:
        _check_settings("settings", chosen)
    # Taken first, so that wrong ones are found before any work.
    fits = [
        (method, dict(chosen), seed, *_task_options({**values, **chosen, "method": method, "seed": seed}))
        for method, chosen, seed in product(methods, settings, seeds)
    ]
    engines = {threads: engine(client, None, threads, retries) for threads in {fit[-1] for fit in fits}}
    table = [
        {"part": base_name(part), "method": method, "settings": chosen, "seed": seed, "path": part}
        for part, (method, chosen, seed, _, _) in product(names, fits)
    ]

    def calls() -> Iterator[tuple[str, Any]]:
        for row, (_, _, _, options, threads) in zip(table, cycle(fits)):
            name = f"{row['path']} with {row['method']}, {row['settings']}, seed {row['seed']}"
            yield name, partial(engines[threads].submit, "evaluate", _row, row["path"], options)

    most = engines[min(engines)]  # of which the most tasks run at a time
    rows = [{**row, **result} for row, result in zip(table, ordered(most, calls(), _failed))]
    return [{column: row.get(column) for column in COLUMNS} for row in rows]


def _task_options(values: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The options of a task, and its threads."""
    _, tasks, threads = prepared(None, values)
    return {**values, "threads": tasks["threads"]}, threads
