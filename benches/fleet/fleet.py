#!/usr/bin/env python3
"""What a fit on Dask and Ray costs beside the same fit in one process, as tables.

    NPAD_LIBRARY=libnpad.so NPAD_ONNXRUNTIME=... PYTHONPATH=bindings/python ./fleet.py IMAGE_DIR [IMAGES] [ROUNDS]

The images are those of the folder, moved and with noise, so that all are distinct. Every fit is in a process of its own,
with a cluster of its own that has learnt a few images before; the fits take turns in rounds, so that all see the machine in
the same state. Medians of the wall time and of the processor time of all processes are printed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

RUNNERS = [(engine, count) for count in (1, 2) for engine in ("process", "dask", "ray")]
STATES = (1, 16, 64, 256, 1024, 2048)
QUALITY = 93
TITLES = {"process": "one process, threads:", "dask": "Dask, workers:", "ray": "Ray, workers:"}


def distinct(folder, count, target):
    """Writes `count` images."""
    sources = sorted(path for path in folder.iterdir() if path.is_file())
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = np.asarray(Image.open(sources[number % len(sources)]).convert("RGB")).astype(np.int16)
        pixels = np.roll(pixels, random.integers(-4, 5, 2), (0, 1)) + random.integers(-3, 4, pixels.shape, np.int16)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target / f"{number:05}.jpg", quality=QUALITY)


def decoded(paths):
    for path in paths:
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def processor_seconds():
    """Of this process and all that it has started."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            pass
    return total


@contextmanager
def fitting(engine, count):
    """A function that fits, and one that returns the bytes that each worker has received."""
    import npad

    if engine == "process":
        yield lambda paths: npad.fit(decoded(paths), threads=count, date="none"), lambda: []
        return
    from npad import distributed

    if engine == "dask":
        from distributed import Client, LocalCluster

        arguments = {"processes": True, "n_workers": count, "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(**arguments) as cluster, Client(cluster) as client:

            def received(dask_worker):
                return sum(transfer["total"] for transfer in dask_worker.transfer_incoming_log)

            yield (
                lambda paths: distributed.fit(paths, client=client, date="none"),
                lambda: list(client.run(received).values()),
            )
    else:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        ray.init(num_cpus=count, object_store_memory=2_000_000_000, include_dashboard=False, log_to_driver=False)
        yield lambda paths: distributed.fit(paths, client="ray", date="none"), lambda: []
        ray.shutdown()


def measure(engine, count, folder):
    paths = sorted(str(path) for path in Path(folder).iterdir())
    with fitting(engine, int(count)) as (fit, received):
        fit(paths[:64])  # loads the library in every worker
        start, used, moved = time.perf_counter(), processor_seconds(), received()
        model = fit(paths)
        seconds, used = time.perf_counter() - start, processor_seconds() - used
        moved = [now - before for now, before in zip(received(), moved)]
        print(json.dumps({"seconds": seconds, "processor": used, "moved": moved, "images": model.image_count}))


def states(folder):
    """Sizes of states, and what it costs to merge them."""
    import npad

    paths = sorted(Path(folder).iterdir())
    first, second = npad.Trainer(date="none"), npad.Trainer(date="none")
    print("| images of a state | state, MB | save, ms | merge, ms |\n| ---: | ---: | ---: | ---: |")
    learnt = 0
    for count in (count for count in STATES if 2 * count <= len(paths)):
        for one, other in zip(decoded(paths[2 * learnt : 2 * count : 2]), decoded(paths[2 * learnt + 1 : 2 * count : 2])):
            first.add(one)
            second.add(other)
        learnt = count
        start = time.perf_counter()
        state, more = first.to_bytes(), second.to_bytes()
        saved = (time.perf_counter() - start) / 2
        start = time.perf_counter()
        merged = npad.Trainer.from_bytes(state, date="none")
        merged.merge(more)
        seconds = time.perf_counter() - start
        assert len(merged) == 2 * count
        print(f"| {count} | {len(state) / 1e6:.1f} | {1e3 * saved:.0f} | {1e3 * seconds:.0f} |", flush=True)
    print()


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "measure":
        measure(*sys.argv[2:])
        return
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    count, rounds = (int(value) for value in (sys.argv[2:] + ["480", "5"][len(sys.argv[2:]) :]))
    with tempfile.TemporaryDirectory() as folder:
        distinct(Path(sys.argv[1]), count, Path(folder))
        states(folder)
        found = {runner: [] for runner in RUNNERS}
        for _ in range(rounds):
            for engine, workers in RUNNERS:
                command = [sys.executable, __file__, "measure", engine, str(workers), folder]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                found[engine, workers].append(json.loads(output.splitlines()[-1]))
    print(f"{count} images, medians of {rounds} rounds\n")
    print("| | ms per image | processor ms per image | overhead | processor overhead |\n| --- | ---: | ---: | ---: | ---: |")

    def median(runner, key):
        return 1e3 * statistics.median(run[key] for run in found[runner]) / count

    for engine, workers in RUNNERS:
        wall, processor = (
            (median((engine, workers), key), median(("process", workers), key)) for key in ("seconds", "processor")
        )
        overheads = " | ".join(f"{100 * (own / base - 1):+.0f} %" for own, base in (wall, processor))
        print(f"| {TITLES[engine]} {workers} | {wall[0]:.1f} | {processor[0]:.1f} | {overheads} |")
    moved = [max(run["moved"]) / 1e6 for run in found["dask", 2]]
    print(f"\nThe worker of two that received more got {statistics.median(moved):.1f} MB.")


if __name__ == "__main__":
    main()
