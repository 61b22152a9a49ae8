"""The Python package against the installed library."""

import os
from pathlib import Path

import numpy as np
import pytest

import npad

QUICK = {"size": 96, "npad.channels": 40, "threads": 2}


def part(seed, scratched=False):
    """A grey part with rings and noise, perhaps with a scratch around (60, 45)."""
    y, x = np.mgrid[:90, :120]
    noise = np.random.default_rng(seed).integers(-8, 9, x.shape)
    values = 120 + 50 * np.cos(np.hypot(x - 60, y - 45) / 3) + x / 4 + noise
    image = values.clip(0, 255).astype(np.uint8)
    if scratched:
        for i in range(16):
            image[40 + i // 2 : 44 + i // 2, 52 + i] = 10
    return image


@pytest.fixture(scope="module")
def model():
    return npad.fit([part(seed) for seed in range(15)], **QUICK)


def test_finds_the_scratch(model):
    fine, scratched = model.score(part(100)), model.score(part(100, scratched=True))
    assert not fine.anomalous and scratched.anomalous
    assert fine.calibrated_score < 0.5 < scratched.calibrated_score
    assert scratched.map.shape == (90, 120) and scratched.map.dtype == np.float32
    assert abs(scratched.regions[0].centroid[0] - 60) < 15 and scratched.regions[0].area > 10


def test_the_map_outlives_everything_else(model):
    values = model.score(part(100)).map
    expected = values.copy()
    for seed in range(20):
        model.score(part(seed))
    assert (values == expected).all() and not values.flags.writeable


def test_save_and_load(model, tmp_path):
    path = tmp_path / "modèle ü.npad"
    model.save(path)
    assert path.read_bytes() == model.to_bytes()
    expected = model.score(part(7)).score
    with npad.Model.load(path, threads=1) as loaded:
        assert loaded.score(part(7)).score == expected and loaded.threshold == model.threshold
    assert npad.Model.from_bytes(path.read_bytes()).score(part(7)).score == expected
    with pytest.raises(ValueError, match="closed"):
        loaded.score(part(7))


def test_layouts_of_the_same_pixels_agree(model):
    gray = part(50)
    rgb = np.stack([gray, np.roll(gray, 3), gray.T.reshape(gray.shape)], axis=-1)
    expected = model.score(rgb).map
    bgr = rgb[..., ::-1]
    rgba = np.dstack([rgb, gray])
    wide = np.zeros((200, 300, 3), np.uint8)
    wide[10:100, 20:140] = rgb
    for image, order in [(bgr, "bgr"), (np.ascontiguousarray(bgr), "bgr"), (rgba, "rgb"), (wide[10:100, 20:140], "rgb")]:
        assert (model.score(image, order).map == expected).all()
    assert (model.score(gray).map == model.score(np.stack([gray] * 3, axis=-1)).map).all()
    assert (model.score(gray).map == model.score(gray.astype(np.uint16) * 257).map).all()
    assert model.score((part(50, scratched=True) / 255).astype(np.float32)).anomalous


def test_wrong_use_gets_the_librarys_message(model, tmp_path):
    with pytest.raises(npad.Error, match="too few") as caught:
        npad.fit([part(1)], **QUICK)
    assert caught.value.status == 4
    with pytest.raises(npad.Error, match="known are method"):
        npad.fit([], colour="blue")
    with pytest.raises(npad.Error, match="cannot read the model"):
        npad.Model.load(tmp_path / "none")
    with pytest.raises(npad.Error, match="intact"):
        npad.Model.from_bytes(b"junk")
    with pytest.raises(npad.Error, match="0 x 0|x 0 pixels|0 x"):
        model.score(np.zeros((0, 0), np.uint8))
    for bad in [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)]:
        with pytest.raises(ValueError, match="expected uint8"):
            model.score(bad)
    with pytest.raises(npad.Error, match="not finite"):
        model.score(np.full((8, 8), np.nan, np.float32))


def test_a_trainer_goes_on_after_too_few_images():
    trainer = npad.Trainer(**QUICK)
    with pytest.raises(npad.Error):
        trainer.finish()
    for seed in range(5):
        trainer.add(part(seed))
    assert len(trainer) == 5
    assert trainer.finish().threshold > 0
    assert npad.version().count(".") == 2


@pytest.mark.skipif("NPAD_ROOT" not in os.environ, reason="NPAD_ROOT does not name the repository")
def test_the_readmes_program_runs():
    readme = (Path(os.environ["NPAD_ROOT"]) / "README.md").read_text()
    (program,) = [part.split("```")[0] for part in readme.split("```python\n")[1:]]
    exec(program, {"images": [part(seed) for seed in range(10)], "image": part(20)})
