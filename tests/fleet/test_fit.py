"""Fits on clusters are the fits of one process."""

import json
import warnings

import npad
import numpy as np
import pytest
from conftest import DATA, QUICK, part
from npad import distributed
from PIL import Image


def single(paths, **values):
    """The bytes of the model of one process."""
    images = (np.asarray(Image.open(str(path).removeprefix("poison://"))) for path in paths)
    return npad.fit(images, threads=1, **values).to_bytes()


@pytest.fixture(scope="session")
def expected(good):
    return single(sorted(good.iterdir()), **QUICK)


@pytest.mark.parametrize("partition", [None, 1, 7, 100])
def test_partitions_do_not_change_the_model(client, good, expected, partition):
    model = distributed.fit(str(good), client=client, partition=partition, **QUICK)
    assert model.to_bytes() == expected and model.image_count == 40


def test_lists_globs_iterators_and_orders_do_not_change_the_model(client, good, expected):
    paths = sorted(str(path) for path in good.iterdir())
    for images in (f"{good}/*.png", good, paths[::-1], iter(paths), [f"{good}/00*.png", *paths[10:]]):
        assert distributed.fit(images, client=client, partition=9, **QUICK).to_bytes() == expected


def test_many_rounds_are_one_fit(client, good, expected, monkeypatch):
    monkeypatch.setattr("npad.distributed._fit._ROUND", 1)
    assert distributed.fit(good, client=client, partition=2, **QUICK).to_bytes() == expected


def arrays(model):
    """The arrays of a model file but for the mean image, in which copies count."""
    length = int.from_bytes(model[:8], "little")
    header = json.loads(model[8 : 8 + length])
    places = {name: info["data_offsets"] for name, info in header.items() if name not in ("__metadata__", "mean")}
    return {name: model[8 + length + start : 8 + length + end] for name, (start, end) in places.items()}


def test_the_same_image_is_learnt_once(client, good, expected):
    paths = sorted(good.iterdir())
    doubled = [*paths, *paths[:20], *paths]
    model = distributed.fit(doubled, client=client, partition=10, **QUICK)
    assert arrays(model.to_bytes()) == arrays(expected) and model.image_count == 40


@pytest.mark.parametrize("size", ["96", "native"])
def test_the_first_image_of_the_job_sets_the_size(client, tmp_path, size):
    for seed in range(12):
        shape = (90, 120) if seed % 2 == 0 else (120, 90)
        Image.fromarray(part(seed, *shape)).save(tmp_path / f"{seed:02}.png")
    values = {**QUICK, "size": size}
    paths = sorted(tmp_path.iterdir())
    assert distributed.fit(paths, client=client, partition=3, **values).to_bytes() == single(paths, **values)
    paths = paths[1:]
    assert distributed.fit(paths, client=client, partition=3, **values).to_bytes() == single(paths, **values)


def test_options_objects_travel_with_their_mask(client, good):
    mask = np.ones((90, 120), bool)
    mask[:20] = False
    options = npad.Options(mask=mask, **QUICK)
    model = distributed.fit(good, client=client, options=options)
    paths = sorted(good.iterdir())
    assert model.to_bytes() == npad.fit([np.asarray(Image.open(path)) for path in paths], options=options).to_bytes()


def test_images_of_sixteen_bits_and_colour(client, tmp_path):
    for seed in range(10):
        image = part(seed)
        wide = Image.fromarray(image.astype(np.uint16) * 4)
        wide.save(tmp_path / f"{seed}.png")
        Image.fromarray(np.stack([image, image // 2, image], -1)).save(tmp_path / f"{seed}.tif")
    grey, colour = sorted(tmp_path.glob("*.png")), sorted(tmp_path.glob("*.tif"))
    model = distributed.fit(grey, client=client, partition=4, significant_bits=10, **QUICK)
    images = [np.asarray(Image.open(path)) for path in grey]
    assert images[0].dtype == np.uint16
    assert model.to_bytes() == npad.fit(images, significant_bits=10, **QUICK).to_bytes()
    assert distributed.fit(colour, client=client, partition=4, **QUICK).to_bytes() == single(colour, **QUICK)


def test_unreadable_images_are_reported(client, good, expected, tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    whole = next(good.iterdir()).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    broken = [*sorted(tmp_path.iterdir()), tmp_path / "missing.png"]
    paths = sorted(good.iterdir())
    mixed = [*broken[:1], *paths[:20], *broken[1:], *paths[20:]]
    found = []
    model = distributed.fit(mixed, client=client, partition=8, on_error=found.append, **QUICK)
    assert model.to_bytes() == expected
    assert sorted(image.path for image in found) == sorted(str(path) for path in broken)
    assert all(image.reason for image in found)
    with pytest.warns(UserWarning, match="4 images were left out.*cut.png"):
        distributed.fit(mixed, client=client, partition=8, **QUICK)
    with pytest.raises(npad.Error, match="partition 0 .*cut.png.*decoded") as caught:
        distributed.fit(mixed, client=client, partition=8, on_error="raise", **QUICK)
    assert caught.value.status == npad.Status.INVALID_IMAGE
    with pytest.raises(npad.Error, match="none of the images can be used"):
        distributed.fit(broken, client=client, **{**QUICK, "size": 96})
    with pytest.raises(npad.Error, match="too few"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distributed.fit([*broken, paths[0]], client=client, **QUICK)


def test_progress_is_told_and_can_stop_a_fit(client, good):
    steps = []
    distributed.fit(good, client=client, partition=10, progress=lambda *step: steps.append(step) is None, **QUICK)
    assert steps == [("learning", done, 4) for done in range(5)]
    with pytest.raises(npad.Error, match="cancelled") as caught:
        distributed.fit(good, client=client, partition=10, progress=lambda _, done, total: done < 2, **QUICK)
    assert caught.value.status == npad.Status.CANCELLED


def test_wrong_use_says_what_to_do(client, good, tmp_path):
    for values, message in [
        ({"partition": 0}, "at least 1 image"),
        ({"on_error": "ignore"}, "'warn', 'raise' or a function"),
        ({"operating_point": "catch_all"}, "known defects"),
        ({"client": 7}, "must be a dask.distributed.Client"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            distributed.fit(good, **{"client": client, **QUICK, **values})
    with pytest.raises(npad.Error, match="known are method"):
        distributed.fit(good, client=client, colour="blue")
    with pytest.raises(ValueError, match="has no images"):
        distributed.fit(tmp_path, client=client)
    with pytest.raises(ValueError, match="there are no images"):
        distributed.fit([], client=client)


def test_real_images(client):
    folder = DATA / "metal_plate" / "train" / "good"
    if not folder.is_dir():
        pytest.skip(f"there is no data set in {folder}")
    paths = sorted(folder.iterdir())[:24]
    images = (np.asarray(Image.open(path).convert("RGB")) for path in paths)
    expected = npad.fit(images, date="none").to_bytes()
    assert distributed.fit(paths, client=client, partition=5, date="none").to_bytes() == expected
