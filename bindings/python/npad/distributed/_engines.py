"""What npad asks of an engine, and which engine runs a job."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from .._library import Error, Status, integer
from ._sources import Partition, described

Task = Any
"""An engine's reference to a task's result, which stays on a worker. Passed to another task, that task gets the result."""

SUBMITTED = 2
"""Tasks that are submitted, for each that runs at a time: a worker has the next one when it ends one."""


class Engine(Protocol):
    """Runs functions on workers."""

    def slots(self) -> int:
        """Number of tasks that run at the same time, at least 1."""

    def submit(self, name: str, function: Callable[..., Any], *arguments: Any, urgent: bool = False) -> Task:
        """Starts a task. Where its worker dies or it raises, it is run again, a limited number of times."""

    def constant(self, name: str, value: Any) -> Task:
        """A large value that many tasks take, which is sent to each worker once."""

    def wait(self, tasks: Sequence[Task]) -> list[Task]:
        """Waits until at least one task has ended, and returns those that have."""

    def check(self, task: Task) -> None:
        """Raises what an ended task has raised, without fetching its result."""

    def fetch(self, task: Task) -> Any:
        """Waits for the result of a task, and moves it here."""

    def cancel(self, tasks: Iterable[Task]) -> None:
        """Cancels tasks whose results nobody will use."""

    def partitions(self, images: Any) -> tuple[Iterator[Partition], int | None]:
        """The partitions of a collection of this engine's own, and their number where it is known."""


def _is_dask_collection(images: Any) -> bool:
    return "dask" in sys.modules and (hasattr(images, "__dask_graph__") or _are_delayed(images))


def _are_delayed(images: Any) -> bool:
    return isinstance(images, (list, tuple)) and bool(images) and all(hasattr(part, "__dask_graph__") for part in images)


def _is_ray_dataset(images: Any) -> bool:
    return "ray" in sys.modules and type(images).__module__.startswith("ray.data")


def is_collection(images: Any) -> bool:
    """Whether the images are a collection of an engine, which has partitions of its own."""
    return _is_dask_collection(images) or _is_ray_dataset(images)


def _current_dask() -> Any | None:
    # Who has a client has imported distributed.
    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    try:
        return Client.current()
    except ValueError:
        return None


def _is_dask_client(client: Any) -> bool:
    # As in _current_dask: a subclass may be of any package.
    return "distributed" in sys.modules and isinstance(client, sys.modules["distributed"].Client)


def _ray_runs() -> bool:
    return "ray" in sys.modules and sys.modules["ray"].is_initialized()


def engine(client: Any, images: Any, threads: int, retries: int) -> Engine:
    """The engine of a client, else of the images, else the one that this process is connected to."""
    of_dask, of_ray = _is_dask_collection(images), _is_ray_dataset(images)
    if client is None and not of_ray:
        client = _current_dask()
    if client is None and not of_dask and _ray_runs():
        client = "ray"
    if client is None:
        raise ValueError(
            "there is no Dask or Ray to run on: create a dask.distributed.Client or call ray.init() first, or pass the client as "
            "client="
        )
    retries = integer(retries, "retries", 0, 1_000_000)
    if client == "ray" or getattr(client, "__name__", None) == "ray":
        from ._ray import RayEngine

        if of_dask:
            raise TypeError("the images are a Dask collection, but the client is Ray: pass a dask.distributed.Client")
        return RayEngine(threads, retries)
    if _is_dask_client(client):
        from ._dask import DaskEngine

        if of_ray:
            raise TypeError("the images are a Ray dataset, but the client is Dask's: pass client='ray'")
        return DaskEngine(client, retries)
    advice = ": pass Client(cluster)" if hasattr(client, "scheduler_address") else ""
    raise TypeError(f"client is {client!r}, but must be a dask.distributed.Client, 'ray' or None{advice}")


_KILLED = {"KilledWorker", "WorkerCrashedError", "OutOfMemoryError"}
"""Exceptions of the engines for a task whose worker was ended."""


def failure(name: str, error: BaseException) -> Error:
    """npad's error for a task that has failed for good."""
    if isinstance(error, Error):
        return Error(error.status, f"{name}: {error}")
    message = f"{name} failed on every attempt: {described(error)}"
    if isinstance(error, MemoryError):
        advice = "use fewer images per partition, or give the workers more memory"
        return Error(Status.OUT_OF_MEMORY, f"{message}; {advice}")
    if any(kind.__name__ in _KILLED for kind in type(error).__mro__):
        message += "; the usual cause of killed workers is memory: give them more, or use smaller partitions"
    return Error(Status.INTERNAL, message)


def ordered(
    run: Engine, tasks: Iterator[tuple[str, Callable[[], Task]]], failed: Callable[[Error], Any] | None = None
) -> Iterator[Any]:
    """The results of tasks in their order, of which a bounded number is in flight at a time.

    The first task that fails for good ends them, unless `failed` makes a result of its error.
    """
    pending: deque[tuple[str, Task]] = deque()
    tasks, more = iter(tasks), True
    try:
        while more or pending:
            limit = SUBMITTED * run.slots()
            while more and len(pending) < limit:
                following = next(tasks, None)
                if following is None:
                    more = False
                else:
                    pending.append((following[0], following[1]()))
            if pending:
                name, task = pending[0]
                try:
                    result = run.fetch(task)
                except Exception as error:
                    if failed is None:
                        raise failure(name, error) from error
                    result = failed(failure(name, error))
                pending.popleft()
                yield result
    finally:
        run.cancel(task for _, task in pending)
