"""The Python package against the installed library."""

import os
from concurrent.futures import ThreadPoolExecutor
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


def test_masks_keep_pixels_out(model):
    bad = part(200, scratched=True)
    assert model.score(bad).anomalous
    keep = np.zeros(bad.shape, bool)
    keep[:, :40] = True
    masked = model.score(bad, mask=keep)
    assert not masked.anomalous and (masked.map[:, 40:] == 0).all()
    scribbled = np.where(keep, bad, 77).astype(np.uint8)
    assert model.score(scribbled, mask=keep.astype(np.uint8) * 9).score == masked.score
    within = npad.fit([part(seed) for seed in range(15)], mask=keep, **QUICK)
    assert not within.score(bad).anomalous and within.info["mask"] == [120, 90]
    with pytest.raises(npad.Error, match="mask has 2 x 2"):
        model.score(bad, mask=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="is no mask"):
        model.score(bad, mask=np.ones(bad.shape))


def test_batches_and_own_memory(model):
    images = [part(200), part(201, scratched=True)]
    results = model.score_batch(images)
    assert [r.verdict for r in results] == [npad.Verdict.GOOD, npad.Verdict.DEFECTIVE]
    assert model.score_batch([]) == []
    values = np.zeros((90, 128), np.float32)[:, 3:123]
    decision = model.score_into(images[1], values)
    assert decision.score == results[1].score and (values == results[1].map).all()
    assert decision.verdict == npad.Verdict.DEFECTIVE and decision.region_count == len(results[1].regions)
    for bad in [np.zeros((90, 120)), np.zeros((9, 9), np.float32), np.zeros((120, 90), np.float32).T]:
        with pytest.raises(ValueError, match="the map must be"):
            model.score_into(images[1], bad)
    picture = model.render(images[1], results[1])
    assert picture.shape == (90, 120, 3) and (model.render(images[1], results[1], "bgr")[..., ::-1] == picture).all()


def test_other_thresholds_and_further_images(model):
    score = model.score(part(201, scratched=True)).score
    loose = model.with_thresholds(score + 1, review=score - 1)
    assert loose.score(part(201, scratched=True)).verdict == npad.Verdict.REVIEW
    assert loose.review_threshold == pytest.approx(score - 1) and model.review_threshold == model.threshold
    with pytest.raises(npad.Error, match="threshold is -1"):
        model.with_thresholds(-1)
    good = [part(seed) for seed in range(300, 312)]
    assert model.recalibrate(good, false_alarm_rate=0.3).threshold < model.recalibrate(good).threshold
    trainer = npad.Trainer.resume(model)
    for image in good:
        trainer.add(image)
    assert trainer.finish().info["images"] == 27


def test_progress_is_told_and_can_stop_a_fit():
    steps = []

    def progress(stage, done, total):
        steps.append((stage, done, total))
        return len(steps) != 3

    with pytest.raises(npad.Error, match="cancelled") as caught:
        npad.fit([part(seed) for seed in range(5)], progress=progress, **QUICK)
    assert caught.value.status == 12 and steps == [("learning", n, 5) for n in range(3)]
    with pytest.raises(ZeroDivisionError):
        npad.fit([part(1)], progress=lambda *_: 1 / 0, **QUICK)
    with pytest.raises(npad.Error, match="/none.so"):
        npad.load_plugin("/none.so")


def test_threads_agree(model):
    expected = model.score(part(9)).score
    with ThreadPoolExecutor(8) as pool:
        assert {r.score for r in pool.map(model.score, [part(9)] * 64)} == {expected}


@pytest.mark.skipif("NPAD_ROOT" not in os.environ, reason="NPAD_ROOT does not name the repository")
def test_the_readmes_program_runs():
    readme = (Path(os.environ["NPAD_ROOT"]) / "README.md").read_text()
    (program,) = [part.split("```")[0] for part in readme.split("```python\n")[1:]]
    exec(program, {"images": [part(seed) for seed in range(10)], "image": part(20)})
