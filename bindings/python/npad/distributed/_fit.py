"""Fits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any

from .._library import Error, Status
from .._model import Model, Trainer
from .._options import Options, Progress
from . import _selection, _work
from ._engines import SUBMITTED, Engine, Task, engine, failure
from ._jobs import RETRIES, OnError, Reports, checked_bits, prepared, split
from ._sources import Partition, Unreadable

# Partitions of a round, for each task that runs at a time. The driver holds the state of all finished rounds, so that
# the loss of a worker costs no more than its share of one round, and the engine forgets the tasks of the others.
_ROUND = 16
_MERGING = "merging states"


class _Round:
    """Partitions that become one state."""

    def __init__(self) -> None:
        self.closed = False
        self.running = 0
        self.ready: Task | None = None


class _Fit:
    """Learns partitions and merges their states in a tree, at most a bounded number of them at a time.

    Which states meet depends on which tasks end first. The result does not: merging is associative and commutative.
    """

    def __init__(self, run: Engine, options: Options, told: Callable[[int], None]) -> None:
        self._run, self._options, self._told = run, options, told
        self._tasks: dict[Task, tuple[_Round, str]] = {}
        self._learnt = 0

    def states(self, parts: Iterator[Partition], significant_bits: int, strict: bool) -> Iterator[_work.State]:
        """The state of each round."""
        rounds: list[_Round] = []
        left, current, part = 0, None, next(parts, None)
        self._told(0)
        try:
            while part is not None or rounds:
                slots = self._run.slots()
                while part is not None and len(self._tasks) < SUBMITTED * slots:
                    if current is None:
                        current, left = _Round(), _ROUND * slots
                        rounds.append(current)
                    arguments = (part.name, part.content, self._options, significant_bits, strict)
                    self._start(current, part.name, "learn", _work.learn, *arguments)
                    part, left = next(parts, None), left - 1
                    if left == 0 or part is None:
                        current.closed, current = True, None
                for task in self._run.wait(list(self._tasks)):
                    self._end(task)
                for done in [each for each in rounds if each.closed and not each.running]:
                    rounds.remove(done)
                    yield self._fetched(done)
        finally:
            self._run.cancel(self._tasks)

    def _start(self, of: _Round, what: str, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        task = self._run.submit(name, function, *arguments, urgent=name == "merge")
        self._tasks[task] = (of, what)
        of.running += 1

    def _end(self, task: Task) -> None:
        of, what = self._tasks.pop(task)
        of.running -= 1
        try:
            self._run.check(task)
        except Exception as error:
            raise failure(what, error) from error
        if what != _MERGING:
            self._learnt += 1
            self._told(self._learnt)
        if of.ready is None:
            of.ready = task
        else:
            other, of.ready = of.ready, None
            self._start(of, _MERGING, "merge", _work.merge, other, task, self._options)

    def _fetched(self, of: _Round) -> _work.State:
        try:
            return self._run.fetch(of.ready)
        except Exception as error:
            raise failure("the state of a round", error) from error


def _fixed_size(
    run: Engine, parts: Iterator[Partition], options: Options, strict: bool
) -> tuple[str, Iterator[Partition]]:
    """The network's input size, by the first readable image of the job, and the partitions again.

    Else each partition would take the size of its own first image.
    """
    seen: list[Partition] = []
    first: Unreadable | None = None
    for part in parts:
        seen.append(part)
        task = run.submit("size", _work.size_of_first, part.content, options, strict, urgent=True)
        try:
            size, unreadable = run.fetch(task)
        except Exception as error:
            raise failure(part.name, error) from error
        if size is not None:
            return size, chain(seen, parts)
        first = first or unreadable
    message = f"none of the images can be used, in {len(seen)} partitions, but at least 3 are needed"
    if first is not None:
        message += f"; the first is {first.path}: {first.reason}"
    raise Error(Status.NOT_ENOUGH_IMAGES, message)


def fit(
    images: Any,
    *,
    client: Any = None,
    options: Options | None = None,
    partition: int | None = None,
    on_error: OnError = "warn",
    progress: Progress | None = None,
    significant_bits: int = 0,
    retries: int = RETRIES,
    **values: Any,
) -> Model:
    """Fits a model to good images on a cluster: the model of npad.fit of the same images, bit for bit, if `date` is set.

    `images` are paths or URLs of image files, folders and globs, a Dask Bag of paths or list of delayed lists of paths, or
    a Ray dataset with the column "path" or "image". `client` is a dask.distributed.Client or "ray"; by default, the one
    that this process has. `partition` is the number of images of a task; collections have partitions of their own.

    Options are an Options object or keywords, as for npad.fit. The option "threads" is that of each task, by default 1,
    since Dask runs a task for each thread of a worker; with Ray it is also the number of CPUs that a task takes.

    Images that cannot be read are left out: "warn" warns of them at the end, "raise" raises at the first one, a function
    gets an Unreadable for each. A task is run again up to `retries` times where it raises or its worker dies.

    `progress` is called in this process with "learning", the partitions learnt, and their number (0 while unknown).
    """
    chosen, tasks, threads = prepared(options, values)
    if chosen["operating_point"] != "rate":
        raise ValueError("operating_point needs known defects, which a fit on a cluster does not take: leave it at 'rate'")
    reports, bits = Reports(on_error), checked_bits(significant_bits)
    Trainer(tasks).to_bytes()  # wrong options and methods without states are found before any work
    run = engine(client, images, threads, retries)
    parts, total, count = split(images, partition, run)
    if "x" not in chosen["size"].lower():
        tasks["size"], parts = _fixed_size(run, parts, tasks, reports.strict)
        chosen = copy.copy(chosen)
        chosen["size"] = tasks["size"]
    if count is not None:
        _selection.check_count(count, chosen)
    trainer = Trainer(chosen)

    def told(learnt: int) -> None:
        if progress is not None and not progress("learning", learnt, total or 0):
            raise Error(Status.CANCELLED, "the fit was cancelled by its progress callback")

    with closing(_Fit(run, tasks, told).states(parts, bits, reports.strict)) as states:
        for state, unreadable in states:
            reports.add(unreadable)
            trainer.merge(state)
            _selection.check_state(trainer, chosen)
    try:
        model = trainer.finish()
    except Error as error:
        if error.status != Status.NOT_ENOUGH_IMAGES or not reports.summary():
            raise
        raise Error(error.status, f"{error}; {reports.summary()}") from error
    reports.warn()
    return model
