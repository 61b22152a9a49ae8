"""Jobs on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import ray

from .._arrays import Array
from ._sources import ImageError, Partition, read


class RayTask:
    """A task with two results: whether it has ended, which is small enough to fetch, and its own."""

    def __init__(self, ended: ray.ObjectRef, result: ray.ObjectRef) -> None:
        self.ended, self.result = ended, result


class RayEngine:
    """Tasks are remote functions, named "npad-learn" and so on, which take as many CPUs as they have threads."""

    def __init__(self, threads: int, retries: int) -> None:
        if not ray.is_initialized():
            raise ValueError("Ray is not running in this process: call ray.init() first")
        largest = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)
        if 0 < largest < threads:  # Ray would wait for such a node without end
            raise ValueError(f"threads is {threads}, but no node of the cluster has more than {largest} CPUs: lower it")
        self._threads, self._retries = threads, retries

    def slots(self) -> int:
        return max(1, int(ray.cluster_resources().get("CPU", 1)) // self._threads)

    def submit(self, name: str, function: Callable[..., Any], *arguments: Any, urgent: bool = False) -> RayTask:
        options = {
            "name": f"npad-{name}",
            "num_cpus": self._threads,
            "num_returns": 2,
            "max_retries": self._retries,
            "retry_exceptions": True,
        }
        passed = [argument.result if isinstance(argument, RayTask) else argument for argument in arguments]
        return RayTask(*_run.options(**options).remote(function, *passed))

    def constant(self, name: str, value: Any) -> RayTask:
        stored = ray.put(value)  # by the driver, with which the job ends anyway
        return RayTask(stored, stored)

    def wait(self, tasks: Sequence[RayTask]) -> list[RayTask]:
        ended, _ = ray.wait([task.ended for task in tasks], num_returns=1, fetch_local=False)
        more, _ = ray.wait([task.ended for task in tasks], num_returns=len(tasks), timeout=0, fetch_local=False)
        found = {*ended, *more}
        return [task for task in tasks if task.ended in found]

    def check(self, task: RayTask) -> None:
        _get(task.ended)

    def fetch(self, task: RayTask) -> Any:
        self.check(task)
        return _get(task.result)

    def cancel(self, tasks: Iterable[RayTask]) -> None:
        # Left to end, a bounded number: ray.cancel of a task that ends at that moment ends this process (Ray 2.60).
        pass

    def partitions(self, images: Any) -> tuple[Iterator[Partition], int | None]:
        columns = images.columns() or []
        chosen = [column for column in ("path", "image") if column in columns]
        if not chosen:
            raise ValueError(f"the Ray dataset has the columns {columns}, but must have 'path' or 'image'")

        def each() -> Iterator[Partition]:
            number = 0
            for bundle in images.select_columns(chosen).iter_internal_ref_bundles():
                for block in bundle.block_refs:
                    yield Partition(number, f"block {number} of the Ray dataset", block)
                    number += 1

        return each(), None


@ray.remote
def _run(function: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    return True, function(*arguments)


def _get(reference: ray.ObjectRef) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # What the task has raised, without the text of Ray's own.
        raise (error.cause if isinstance(error.cause, Exception) else error) from None


def rows(block: Any) -> Iterator[tuple[str, Array | ImageError]]:
    """The images of a dataset's block."""
    from ray.data.block import BlockAccessor

    table = BlockAccessor.for_block(block)
    columns = table.column_names()
    names = [str(path) for path in table.to_numpy("path")] if "path" in columns else None
    if "image" not in columns:
        yield from read(names or [])
        return
    for number, row in enumerate(table.iter_rows(public_row_format=True)):
        path = names[number] if names else f"row {number}"
        yield path, np.asarray(row["image"])
