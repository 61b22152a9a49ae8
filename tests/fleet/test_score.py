"""Scores on clusters are those of one process."""

import numpy as np
import pyarrow
import pytest
from conftest import DATA, QUICK, part
from npad import distributed
from PIL import Image

import npad


@pytest.fixture(scope="session")
def model(good):
    return npad.fit([np.asarray(Image.open(path)) for path in sorted(good.iterdir())], **QUICK)


@pytest.fixture(scope="session")
def inspected(tmp_path_factory):
    """20 images, every fourth of which has a scratch, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("inspected")
    for seed in range(20):
        image = part(100 + seed)
        if seed % 4 == 0:
            image[40:48, 50:70] = 10
        Image.fromarray(image).save(folder / f"{seed:03}.png")
    (folder / "009.png").write_text("no image")
    return folder


def check(table, model, folder):
    rows = {row["path"]: row for row in table.to_pylist()}
    assert len(rows) == table.num_rows == 20
    for path in sorted(folder.iterdir()):
        row = rows[str(path)]
        if path.name == "009.png":
            assert "decoded" in row["error"] and row["score"] is None and row["regions"] is None
            continue
        result = model.score(np.asarray(Image.open(path)))
        assert row["error"] is None
        assert (row["score"], row["calibrated_score"]) == (result.score, result.calibrated_score)
        assert (row["verdict"], row["anomalous"]) == (result.verdict.name.lower(), result.anomalous)
        assert row["region_count"] == len(result.regions)
        boxes = [(r.x, r.y, r.width, r.height, r.area, r.peak) for r in result.regions]
        names = ("x", "y", "width", "height", "area", "peak")
        assert [tuple(region[name] for name in names) for region in row["regions"]] == boxes[:100]
    assert sum(bool(row["anomalous"]) for row in rows.values()) >= 5


def test_tables_and_files_are_the_scores_of_one_process(client, model, inspected, tmp_path):
    with pytest.warns(UserWarning, match="1 image was left out.*009.png"):
        tables = list(distributed.score(model, inspected, client=client, partition=3))
    assert [table.num_rows for table in tables] == [3, 3, 3, 3, 3, 3, 2]
    check(pyarrow.concat_tables(tables), model, inspected)
    path = tmp_path / "model.npad"
    model.save(path)
    found = []
    dataset = distributed.score(path, inspected, client=client, output=tmp_path / "scores", partition=6, on_error=found.append)
    assert [image.path for image in found] == [str(inspected / "009.png")]
    check(dataset.to_table(), model, inspected)
    assert dataset.to_table(filter=pyarrow.compute.field("anomalous")).num_rows >= 5
    with pytest.raises(ValueError, match="has Parquet files already"):
        distributed.score(path, inspected, client=client, output=tmp_path / "scores")


def test_files_do_not_depend_on_the_run(client, model, inspected, tmp_path):
    for run in "ab":
        distributed.score(model, inspected, client=client, output=tmp_path / run, partition=6, on_error=lambda _: None)
    files = sorted((tmp_path / "a").iterdir())
    assert len(files) == 4
    assert all(file.read_bytes() == (tmp_path / "b" / file.name).read_bytes() for file in files)


def test_wrong_use_says_what_to_do(client, model, inspected, tmp_path):
    with pytest.raises(npad.Error, match="intact"):
        distributed.score(b"junk", inspected, client=client)
    with pytest.raises(npad.Error, match="partition 1 .*009.png.*decoded"):
        list(distributed.score(model, inspected, client=client, partition=6, on_error="raise"))


def test_real_images(client):
    root = DATA / "cookie"
    if not root.is_dir():
        pytest.skip(f"there is no data set in {root}")
    train, test = (sorted((root / kind).rglob("*.jpg")) for kind in ("train", "test"))
    model = distributed.fit(train, client=client, date="none")
    images = [np.asarray(Image.open(path).convert("RGB")) for path in test]
    expected = [result.score for result in model.score_batch(images)]
    table = pyarrow.concat_tables(distributed.score(model, test, client=client, partition=10))
    assert table["path"].to_pylist() == [str(path) for path in test] and table["score"].to_pylist() == expected
