"""Clusters on this machine, and images."""

import os
from pathlib import Path

import numpy as np
import poison
import pytest
from PIL import Image

QUICK = {"size": "96x96", "npad.channels": 40, "date": "none"}
DATA = Path(os.environ.get("NPAD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
WORKERS = 3
# A Dask worker with more is ended. Ray has no limit for one worker.
WORKER_MEMORY = 2 << 30


def part(seed, height=90, width=120):
    """A grey part with rings and noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(-8, 9, x.shape)
    values = 120 + 50 * np.cos(np.hypot(x - width / 2, y - height / 2) / 3) + x / 4 + noise
    return values.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A folder of 40 good images."""
    folder = tmp_path_factory.mktemp("good")
    for seed in range(40):
        Image.fromarray(part(seed)).save(folder / f"{seed:03}.png")
    return folder


@pytest.fixture
def poisoned(tmp_path):
    """Copies of 40 good images whose paths are poison: the paths, and the folder for markers."""
    for seed in range(40):
        Image.fromarray(part(seed)).save(tmp_path / f"{seed:03}.png")
    return [f"{poison.PREFIX}{tmp_path}/{seed:03}.png" for seed in range(40)], tmp_path


@pytest.fixture(scope="session")
def dask_client():
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.preload": ["poison"],
        "distributed.scheduler.allowed-failures": 2,
        "distributed.nanny.environ.NPAD_TEST_MEMORY": str(WORKER_MEMORY + (512 << 20)),
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            processes=True, n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, memory_limit=WORKER_MEMORY
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def ray_module():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        num_cpus=WORKERS,
        object_store_memory=1_000_000_000,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": "poison.install"},
    )
    yield ray
    ray.shutdown()


class Here:
    """An engine that runs each task in this process when it is submitted."""

    def slots(self):
        return 1

    def submit(self, name, function, *arguments, urgent=False):
        results = [argument[0] if isinstance(argument, Task) else argument for argument in arguments]
        try:
            return Task((function(*results), None))
        except Exception as error:
            return Task((None, error))

    def constant(self, name, value):
        return Task((value, None))

    def wait(self, tasks):
        return tasks

    def check(self, task):
        if task[1] is not None:
            raise task[1]

    def fetch(self, task):
        self.check(task)
        return task[0]

    def cancel(self, tasks):
        pass


class Task(tuple):
    """A result and an exception, one of which is None."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@pytest.fixture
def here(monkeypatch):
    """Runs jobs in this process, where an engine would not change what is tested."""
    for module in ("_fit", "_score", "_evaluate"):
        monkeypatch.setattr(f"npad.distributed.{module}.engine", lambda *_: Here())


@pytest.fixture(params=["dask", "ray"])
def client(request):
    return request.getfixturevalue("dask_client" if request.param == "dask" else "ray_module")
