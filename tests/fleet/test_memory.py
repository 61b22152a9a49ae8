"""Memory does not grow with the number of images."""

import numpy as np
import psutil
import pytest
from npad import distributed
from PIL import Image

IMAGES, PARTITION = 5000, 50


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    y, x = np.mgrid[:48, :48]
    rings = 120 + 50 * np.cos(np.hypot(x - 24, y - 24) / 3)
    for seed in range(IMAGES):
        noise = np.random.default_rng(seed).integers(-8, 9, x.shape)
        Image.fromarray((rings + noise).astype(np.uint8)).save(folder / f"{seed:05}.bmp")
    return folder


def resident():
    """Resident memory of this process, which has the scheduler, and of all workers, in megabytes."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            pass
    return total / 1e6


def test_memory_is_flat_in_the_number_of_images(client, many):
    samples = []

    def progress(_stage, _done, _total):
        samples.append(resident())
        return True

    values = {"size": "64x64", "npad.channels": 20, "date": "none"}
    model = distributed.fit(many, client=client, partition=PARTITION, progress=progress, **values)
    assert model.image_count == IMAGES
    fifth = len(samples) // 5
    early, late = np.median(samples[fifth : 2 * fifth]), np.median(samples[-fifth:])
    print(f"resident memory: {early:.0f} MB early, {late:.0f} MB late")
    assert late < 1.2 * early + 100
    samples.clear()
    for table in distributed.score(model, many, client=client, partition=PARTITION, progress=progress):
        assert table.num_rows == PARTITION
    fifth = len(samples) // 5
    early, late = np.median(samples[fifth : 2 * fifth]), np.median(samples[-fifth:])
    print(f"resident memory: {early:.0f} MB early, {late:.0f} MB late")
    assert late < 1.2 * early + 100
