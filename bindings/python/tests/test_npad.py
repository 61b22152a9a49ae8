"""The Python package against the installed library."""

import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import npad
from parts import QUICK, part, squares


def test_finds_the_scratch(model):
    fine, scratched = model.score(part(100)), model.score(part(100, scratched=True))
    assert not fine.anomalous and scratched.anomalous
    assert fine.calibrated_score < 0.5 < scratched.calibrated_score
    assert scratched.map.shape == (90, 120) and scratched.map.dtype == np.float32
    assert any(abs(region.centroid[0] - 60) < 15 and region.area > 10 for region in scratched.regions)


def test_the_map_outlives_everything_else(model):
    values = model.score(part(100)).map
    expected = values.copy()
    for seed in range(20):
        model.score(part(seed))
    assert (values == expected).all() and not values.flags.writeable
    for view in values, values.base, values[:2]:
        if isinstance(view, np.ndarray):
            with pytest.raises(ValueError, match="WRITEABLE"):
                view.setflags(write=True)


def test_save_and_load(model, tmp_path):
    path = tmp_path / "modèle ü.npad"
    model.save(path)
    model.export_onnx(tmp_path / "part.onnx", export_batch=2, export_size="90x80")
    assert json.loads((tmp_path / "part.json").read_text())["input"]["shape"] == [2, 3, 90, 80]
    with pytest.raises(npad.Error, match=r"ends in \.onnx"):
        model.export_onnx(path)
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
    trainer = npad.Trainer.resume(model, date="2026-11-02")
    for image in good:
        trainer.add(image)
    resumed = trainer.finish()
    assert resumed.info["images"] == 27 and resumed.info["fitted_on"] == "2026-11-02"


def test_merged_states_give_the_model_of_one_fit(tmp_path):
    images, options = [part(seed) for seed in range(12)], dict(size=96, threads=2, date="none")
    whole = npad.fit(images, **options).to_bytes()
    first, rest = npad.Trainer(**options), npad.Trainer(**options)
    for number, image in enumerate(images):
        (first if number < 5 else rest).add(image)
    first.save(tmp_path / "first.state")
    merged = npad.Trainer.from_bytes(rest.to_bytes(), date="none")
    merged.merge(tmp_path / "first.state")
    again = npad.Trainer.load(tmp_path / "first.state", date="none")
    again.merge(np.frombuffer(rest.to_bytes(), np.uint8))
    assert len(merged) == len(again) == 12
    assert merged.finish().to_bytes() == again.finish().to_bytes() == whole
    with pytest.raises(npad.Error, match="trainer state") as refusal:
        first.merge(b"no state")
    assert refusal.value.status == npad.Status.INVALID_MODEL and len(first) == 5
    with pytest.raises(npad.Error, match="seed is 7"):
        npad.Trainer.from_bytes(rest.to_bytes(), seed=7)
    with pytest.raises(npad.Error, match="none.state"):
        first.merge(tmp_path / "none.state")
    with pytest.raises(TypeError, match="bytes-like object"):
        first.merge(5)


def test_models_and_states_load_from_any_buffer(model):
    data = model.to_bytes()
    spaced = np.zeros(2 * len(data), np.uint8)
    spaced[::2] = np.frombuffer(data, np.uint8)
    spaced.flags.writeable = False
    score = model.score(part(7)).score
    buffers = [bytearray(data), memoryview(data), memoryview(data).cast("c"), np.frombuffer(data, np.uint8), spaced[::2]]
    for buffer in buffers:
        assert npad.Model.from_bytes(buffer).score(part(7)).score == score
    for empty in (b"", memoryview(b""), np.empty(0, np.uint8)):
        with pytest.raises(npad.Error) as refusal:
            npad.Model.from_bytes(empty)
        assert refusal.value.status == npad.Status.INVALID_MODEL
    for wrong in (5, "model.npad", None):
        with pytest.raises(TypeError, match="bytes-like object"):
            npad.Model.from_bytes(wrong)
        with pytest.raises(TypeError, match="bytes-like object"):
            npad.Trainer.from_bytes(wrong)


def test_a_signed_model_says_by_whom(model):
    signed = model.with_signature(bytes(range(32)))
    assert len(signed.signer) == 64 and model.signer == "" and signed.info["signed_by"] == signed.signer
    loaded = npad.Model.from_bytes(signed.to_bytes(), trusted_keys=signed.signer)
    assert loaded.signer == signed.signer
    with pytest.raises(npad.Error, match="not signed") as refusal:
        npad.Model.from_bytes(model.to_bytes(), trusted_keys=signed.signer)
    assert refusal.value.status == npad.Status.UNTRUSTED_MODEL
    with pytest.raises(npad.Error, match="3 bytes"):
        model.with_signature(b"key")
    with pytest.raises(npad.Error, match="256 bytes"):
        model.with_signature(np.arange(32, dtype=np.int64))


def test_the_card_shows_where_model_and_threshold_come_from(model):
    assert model.info["images_hash"] in model.card and model.backbone in model.card
    good = [part(seed) for seed in range(300, 306)]
    record = model.recalibrate(good, date="2026-11-03").info["recalibration"]
    assert record["images"] == 6 and record["date"] == "2026-11-03"
    assert "set to a given value" in model.with_thresholds(2 * model.threshold).card


def test_known_defects_report_and_set_the_threshold(model):
    assert model.known_defects is None
    good, bad = [part(seed) for seed in range(12)], [part(seed, scratched=True) for seed in (201, 202)]
    trainer = npad.Trainer(size=96, threads=2, operating_point="catch_all")
    with pytest.raises(npad.Error, match="good images before"):
        trainer.add_defect(bad[0])
    for image in good:
        trainer.add(image)
    with pytest.raises(npad.Error, match="no known defects"):
        trainer.finish()
    for image in bad:
        trainer.add_defect(image)
    careful = trainer.finish()
    known = careful.known_defects
    assert known.count == 2 and known.in_use.missed == 0 and known.in_use == known.catch_all
    assert known.in_use.threshold == careful.threshold <= known.rate.threshold
    assert known.rate.false_alarm_rate == pytest.approx(0.01, abs=1e-4)
    assert all(careful.score(image).anomalous for image in bad)
    resumed = npad.Trainer.resume(careful, operating_point="rate")
    resumed.add(part(300))
    assert resumed.finish().known_defects is None


def test_drift_of_scores(model):
    good = [model.score(part(seed)).score for seed in range(100, 120)]
    same = model.drift(good)
    assert not same.drifted and same.good_count == 15 and same.recent_count == 20
    assert same.above_count == sum(score > model.threshold for score in good)
    assert same.above_share == same.above_count / 20 and same.above_interval[0] <= same.above_share < same.above_interval[1]
    assert same.recent_median == pytest.approx(np.median(good)) and same.false_alarm_rate == pytest.approx(0.01, abs=1e-4)
    risen = model.drift(np.array(good, np.float32) * 3)
    assert risen.drifted and risen.effect > risen.least_effect >= 0.28 and risen.p_value < 0.01
    assert model.drift(np.array(good)[::-1]) == same
    recalibrated = model.recalibrate([part(seed) for seed in range(300, 306)])
    assert recalibrated.drift(good).good_count == 6
    with pytest.raises(npad.Error, match="score 4 is NaN") as caught:
        model.drift(good[:4] + [float("nan")] + good[4:])
    assert caught.value.status == npad.Status.INVALID_ARGUMENT
    with pytest.raises(npad.Error, match="at least 10"):
        model.drift([])
    with warnings.catch_warnings(), pytest.raises(npad.Error, match="score 0 is"):
        warnings.simplefilter("error")
        model.drift([1e39] * 10)
    with pytest.raises(ValueError, match="2 dimensions"):
        model.drift([good])


def test_threads_agree(model):
    expected = model.score(part(9)).score
    with ThreadPoolExecutor(8) as pool:
        assert {r.score for r in pool.map(model.score, [part(9)] * 64)} == {expected}


def test_options_methods_and_devices_are_listed():
    listed = {option.name: option for option in npad.options()}
    assert listed["size"].default == "240" and listed["size"].range and listed["size"].help
    assert listed["threads"].type == npad.OptionType.INTEGER and listed["method"].default == "npad"
    assert "npad" in [method.name for method in npad.methods() if method.help]
    assert "cpu" in npad.devices()
    npad.check_device("cpu")
    with pytest.raises(npad.Error, match="'cuda:999' cannot be used"):
        npad.check_device("cuda:999")
    options = npad.Options(size=96, **{"npad.channels": 40})
    assert options["size"] == "96" and options["npad.channels"] == "40"
    assert all(npad.Options()[name] == option.default for name, option in listed.items())
    with pytest.raises(npad.Error, match="colour"):
        options["colour"]
    with pytest.raises(TypeError, match="not both"):
        npad.Trainer(options, size=3)
    with pytest.raises(ValueError, match="zero character"):
        options["size"] = "9\0"
    assert npad.fit([part(1), part(2), part(3)], options=options).image_count == 3


def test_a_model_tells_what_it_knows(model):
    assert (model.method, model.device, model.image_count) == ("npad", "cpu", 15)
    assert model.backbone and model.false_alarm_rate == 0.01
    assert model.input_size == (model.info["input"]["height"], model.info["input"]["width"])
    model.warm_up(120, 90)
    with pytest.raises(ValueError, match="width is 0"):
        model.warm_up(0, 90)


def test_regions_have_pixels(model):
    result = model.score(part(201, scratched=True))
    above = result.map > model.threshold
    assert ((result.map_u8() >= 128) == above).all()
    everything = np.zeros(above.shape, bool)
    assert result.regions
    for region in result.regions:
        box = np.s_[region.y : region.y + region.height, region.x : region.x + region.width]
        mask = region.mask()
        assert set(np.unique(mask)) <= {0, 255} and (mask == 255).sum() == region.area
        drawn = np.zeros(above.shape, bool)
        for row, begin, end in region.runs():
            drawn[row, begin:end] = True
        assert (drawn[box] == (mask == 255)).all() and drawn.sum() == region.area
        x, y = region.contour().T
        assert drawn[y, x].all() and (x.min(), y.min()) == (region.x, region.y)
        assert region.calibrated_peak > 0.5
        everything |= drawn
    assert everything.sum() == sum(region.area for region in result.regions) and above[everything].all()
    kept = result.regions[0]
    del result
    gc.collect()
    assert (kept.mask() == 255).sum() == kept.area


def test_rectangles_and_significant_bits(model):
    bad = part(200, scratched=True)
    assert not model.score(bad, roi=(0, 0, 40, 90)).anomalous
    within = npad.fit([part(seed) for seed in range(15)], roi=(0, 0, 40, 90), **QUICK)
    assert not within.score(bad).anomalous
    with pytest.raises(npad.Error) as caught:
        model.score(bad, roi=(100, 0, 40, 90))
    assert caught.value.status == npad.Status.INVALID_IMAGE
    with pytest.raises(ValueError, match="whole number"):
        model.score(bad, roi=(0, 0, 2**32 + 40, 90))
    with pytest.raises(ValueError, match="x, y, width, height"):
        model.score(bad, roi=(0, 0, 1))
    # Thirds of white, which 16 and 10 bits both hold exactly.
    thirds = np.random.default_rng(1).integers(0, 4, (90, 120), np.uint16)
    wide, narrow = thirds * 21845, thirds * 341
    same = model.score(narrow, significant_bits=10).score
    assert same == pytest.approx(model.score(wide).score, rel=1e-3)
    assert abs(same - model.score(narrow).score) > 0.02 * same
    assert model.score(npad.Image(narrow, significant_bits=10)).score == same
    with pytest.raises(npad.Error, match="bits"):
        model.score(narrow, significant_bits=7)


def test_own_memory_for_maps_and_regions(model):
    images = [part(200), npad.Image(part(201, scratched=True))]
    results = model.score_batch(images)
    maps, small = np.zeros((2, 90, 120), np.float32), np.zeros((2, 90, 130), np.uint8)[:, :, 5:125]
    decisions = model.score_batch_into(images, maps, maps_u8=small, max_regions=1)
    for i, result in enumerate(results):
        assert decisions[i].score == result.score and decisions[i].verdict == result.verdict
        assert (maps[i] == result.map).all() and (small[i] == result.map_u8()).all()
        assert decisions[i].region_count == len(result.regions)
    assert decisions[1].anomalous and decisions[1].regions == results[1].regions[:1]
    with pytest.raises(ValueError, match="no pixels"):
        decisions[1].regions[0].mask()
    every = model.score_into(images[1], maps[1], max_regions=100)
    assert (model.render(images[1], every) == model.render(images[1], results[1])).all()
    with pytest.raises(ValueError, match="rows"):
        model.render(part(1)[:50], every)
    with pytest.raises(npad.Error, match="map"):
        model.render(images[1], model.score_into(images[1]))
    with pytest.raises(ValueError, match="1 maps for 2 images"):
        model.score_batch_into(images, maps[:1])
    frozen = np.zeros((90, 120), np.float32)
    frozen.flags.writeable = False
    for bad in [frozen, np.zeros((90, 120), ">f4"), np.zeros((90, 240), np.float32)[:, ::2], maps[0][::-1]]:
        with pytest.raises(ValueError, match="the map must be"):
            model.score_into(images[0], bad)


def test_arrays_of_any_stride_are_read_right(model):
    image = part(50)
    expected = model.score(image).score
    padded = np.zeros((180, 130), np.uint8)
    padded[::2, 5:125] = image
    for same in [padded[::2, 5:125], image[::-1][::-1], np.asfortranarray(image), image.astype(">u2") * 257]:
        assert model.score(same).score == expected
    keep = np.zeros((90, 130), bool)[:, 5:125]
    keep[:, :40] = True
    assert model.score(image, mask=keep).score == model.score(image, mask=keep.copy()).score
    with pytest.raises(ValueError, match="65535"):
        model.score(np.broadcast_to(np.uint8(1), (4, 70000)))
    with pytest.raises(ValueError, match="65535"):
        model.score(image, mask=np.broadcast_to(np.uint8(1), (4, 70000)))


def test_a_batch_can_be_cancelled(model):
    request = npad.Cancellation()
    assert model.score_batch([part(1)], cancellation=request) and not request.cancelled
    timer = threading.Timer(0.02, request.cancel)
    timer.start()
    with pytest.raises(npad.Error) as caught:
        model.score_batch([part(1)] * 3000, cancellation=request)
    timer.join()
    assert caught.value.status == npad.Status.CANCELLED and request.cancelled
    with pytest.raises(npad.Error, match="cancel"):
        model.score_batch_into([part(1)], cancellation=request)


def test_errors_can_be_pickled():
    with pytest.raises(npad.Error) as caught:
        npad.Model.load("none")
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is npad.Error and error.status is npad.Status.NOT_FOUND and str(error) == str(caught.value)


def test_options_are_copied_and_pickled():
    mask = np.ones((90, 120), bool)
    mask[:, :30] = False
    options = npad.Options(mask=mask, roi=(0, 10, 110, 70), progress=lambda *_: False, **QUICK)
    images = [part(seed) for seed in range(5)]
    expected = npad.fit(images, options=npad.Options(mask=mask, roi=(0, 10, 110, 70), **QUICK)).to_bytes()
    for twin in copy.copy(options), pickle.loads(pickle.dumps(options)):
        assert npad.fit(images, options=twin).to_bytes() == expected
        twin["threads"] = 1
        assert options["threads"] == "2"


def test_images_and_results_are_compared_by_identity(model):
    image = npad.Image(part(1))
    first, second = model.score(image), model.score(image)
    assert image == image and image != npad.Image(part(1)) and first == first and first != second
    assert len({image, npad.Image(part(1)), first, second}) == 4


def test_iterators_may_reuse_their_array(model):
    buffer, keep = np.empty((90, 120), np.uint8), np.empty((90, 120), bool)

    def reused(images, masked=False):
        for image in images:
            buffer[:] = image
            keep[:] = image > 60
            yield npad.Image(buffer, mask=keep) if masked else buffer

    images = [part(200), part(201, scratched=True), part(202)]
    masked = [npad.Image(image, mask=image > 60) for image in images]
    scores = [result.score for result in model.score_batch(images)]
    assert len(set(scores)) == 3
    assert [result.score for result in model.score_batch(reused(images))] == scores
    assert [decision.score for decision in model.score_batch_into(reused(images))] == scores
    expected = [result.score for result in model.score_batch(masked)]
    assert [result.score for result in model.score_batch(reused(images, masked=True))] == expected
    assert model.recalibrate(reused(images)).threshold == model.recalibrate(images).threshold
    assert npad.fit(reused(images), **QUICK).to_bytes() == npad.fit(images, **QUICK).to_bytes()


def test_a_fit_names_the_image(model):
    flat = np.zeros((0, 4), np.uint8)
    with pytest.raises(npad.Error, match="^image 2: "):
        npad.fit([part(1), part(2), flat], **QUICK)
    with pytest.raises(npad.Error, match="^(?!image)"):
        model.score(flat)


def test_a_model_in_use_survives_its_closing():
    def closing(planes):
        if opened:
            opened.pop().close()
            gc.collect()
        return squares(planes)

    opened = []
    extractor = npad.Extractor("squares", (4, 8), (2, 2), closing)
    with npad.fit([part(seed) for seed in range(5)], extractor=extractor, size=96) as model:
        expected = model.score(part(1)).score
        opened.append(model)
        assert model.score(part(1)).score == expected and not opened
        with pytest.raises(ValueError, match="closed"):
            model.score(part(1))


def test_another_release_of_the_library_is_refused(tmp_path):
    source = tmp_path / "old.c"
    source.write_text("unsigned npad_version_number(void) { return 3004005; }")
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "old.so", source])
    if built.returncode:
        pytest.skip("no C compiler")
    package = str(Path(npad.__file__).parents[1])
    environment = {**os.environ, "NPAD_LIBRARY": str(tmp_path / "old.so"), "PYTHONPATH": package}
    outcome = subprocess.run([sys.executable, "-c", "import npad"], env=environment, capture_output=True, text=True)
    assert outcome.returncode and "has version 3.4.5, but this package needs 0.2" in outcome.stderr
