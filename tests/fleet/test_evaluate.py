"""Evaluations on clusters."""

import numpy as np
import pytest
from conftest import DATA, QUICK, part
from npad import distributed
from npad.distributed._evaluate import auroc
from PIL import Image


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts") / "ring"
    for kind, seeds in [("train/good", range(15)), ("test/good", range(20, 26)), ("test/scratch", range(30, 36))]:
        (root / kind).mkdir(parents=True)
        for seed in seeds:
            image = part(seed)
            if kind == "test/scratch":
                image[40:48, 50:70] = 10
            Image.fromarray(image).save(root / kind / f"{seed}.png")
    return root


def test_every_combination_is_a_row(client, dataset):
    rows = distributed.evaluate(
        [dataset, dataset / "none"],
        methods=["npad", "padim"],
        settings=[{}, {"smoothing": 2}],
        seeds=[0, 1],
        client=client,
        **{key: value for key, value in QUICK.items() if key != "npad.channels"},
    )
    assert len(rows) == 16
    assert [(row["method"], row["settings"], row["seed"]) for row in rows[:4]] == [
        ("npad", {}, 0),
        ("npad", {}, 1),
        ("npad", {"smoothing": 2}, 0),
        ("npad", {"smoothing": 2}, 1),
    ]
    for row in rows[:8]:
        assert row["error"] is None and row["part"] == "ring"
        assert (row["train_images"], row["test_images"]) == (15, 12)
        assert row["image_auroc"] == 100 and row["misses"] == 0
        assert row["fit_seconds"] > 0 and row["score_ms_p50"] > 0 and row["model_mb"] > 0
    assert all("MVTec AD's layout" in row["error"] and row["image_auroc"] is None for row in rows[8:])


def test_the_area_counts_the_pairs():
    random = np.random.default_rng(0)
    for _ in range(50):
        scores = [(float(value), bool(kind)) for value, kind in zip(random.integers(0, 6, 20), random.integers(0, 2, 20))]
        of = {kind: [score for score, positive in scores if positive == kind] for kind in (False, True)}
        wins = sum((p > n) + (p == n) / 2 for p in of[True] for n in of[False])
        assert auroc(scores) == pytest.approx(wins / (len(of[True]) * len(of[False])))
    assert auroc([(1.0, True)]) is None


def test_real_images(client):
    root = DATA / "cookie"
    if not root.is_dir():
        pytest.skip(f"there is no data set in {root}")
    [row] = distributed.evaluate(root, client=client)
    assert row["error"] is None and row["test_images"] == 41 and row["image_auroc"] > 50
