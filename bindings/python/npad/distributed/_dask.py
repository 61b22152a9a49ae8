"""Jobs on Dask."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dask
import distributed
from dask.delayed import Delayed

from ._sources import Partition


class DaskEngine:
    """Tasks are futures of a client. The scheduler knows them by keys that begin with "npad-learn", "npad-merge" and so on,
    which its dashboard and progress bars group."""

    def __init__(self, client: distributed.Client, retries: int) -> None:
        if client.asynchronous:
            raise TypeError("the Dask client is asynchronous, but npad needs one with asynchronous=False")
        if client.status in ("closing", "closed"):
            raise ValueError("the Dask client is closed: create another dask.distributed.Client")
        self._client, self._retries = client, retries
        self._job = uuid.uuid4().hex[:8]

    def slots(self) -> int:
        # A worker runs as many tasks as it has threads, whatever the option "threads" is.
        return max(1, sum(self._client.nthreads().values()))

    def submit(
        self, name: str, function: Callable[..., Any], *arguments: Any, urgent: bool = False
    ) -> distributed.Future:
        key = f"npad-{name}-{self._job}-{uuid.uuid4().hex}"
        return self._client.submit(
            function, *arguments, key=key, pure=False, retries=self._retries, priority=10 if urgent else 0
        )

    def constant(self, name: str, value: Any) -> distributed.Future:
        # A task, not scattered data: it can be computed again where all workers that have it die.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return self.submit(name, _same, value, urgent=True)

    def wait(self, tasks: Sequence[distributed.Future]) -> list[distributed.Future]:
        with self._client.as_current():  # wait uses the process's client, of which there may be several
            return list(distributed.wait(list(tasks), return_when="FIRST_COMPLETED").done)

    def check(self, task: distributed.Future) -> None:
        if task.status != "finished":
            task.result()

    def fetch(self, task: distributed.Future) -> Any:
        return task.result()

    def cancel(self, tasks: Iterable[distributed.Future]) -> None:
        self._client.cancel(list(tasks))

    def partitions(self, images: Any) -> tuple[Iterator[Partition], int | None]:
        if isinstance(images, Delayed):
            raise TypeError("the images are one delayed object, but must be a list of them, each of a list of paths")
        parts = images if isinstance(images, (list, tuple)) else images.to_delayed()
        if not isinstance(parts, (list, tuple)):
            parts = parts.ravel().tolist()  # of a dask array

        def each() -> Iterator[Partition]:
            for number, part in enumerate(parts):
                yield Partition(number, f"partition {number} of the Dask collection", self._client.compute(part))

        return each(), len(parts)


def _same(value: Any) -> Any:
    return value
