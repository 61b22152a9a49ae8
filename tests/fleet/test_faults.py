"""Workers that die, and run out of memory."""

import npad
import pytest
from conftest import QUICK
from npad import distributed
from test_fit import single


@pytest.mark.parametrize("fault", ["kill", "memory"])
def test_a_lost_worker_does_not_change_the_model(client, poisoned, fault):
    paths, folder = poisoned
    expected = single(paths, **QUICK)
    for number in (3, 22):
        (folder / f"{number:03}.png.{fault}").touch()
    model = distributed.fit(paths, client=client, partition=5, **QUICK)
    assert not list(folder.glob(f"*.{fault}")), "the fault did not happen"
    assert model.to_bytes() == expected


def test_a_partition_that_kills_every_worker_is_named(client, poisoned):
    paths, folder = poisoned
    (folder / "017.png.deadly").touch()
    with pytest.raises(npad.Error, match=r"partition 3 \(poison://.*/015.png to .*/019.png\) failed.*memory"):
        distributed.fit(paths, client=client, partition=5, retries=1, **QUICK)
    (folder / "017.png.deadly").unlink()
    assert distributed.fit(paths, client=client, partition=5, **QUICK).image_count == 40


@pytest.mark.parametrize("fault", ["kill", "memory"])
def test_every_row_is_written_once(client, poisoned, tmp_path, fault):
    paths, folder = poisoned
    model = distributed.fit(paths, client=client, **QUICK)
    (folder / f"013.png.{fault}").touch()
    output = tmp_path / "scores"
    table = distributed.score(model, paths, client=client, output=output, partition=5).to_table()
    assert not list(folder.glob(f"*.{fault}")), "the fault did not happen"
    assert sorted(table["path"].to_pylist()) == paths and table["error"].null_count == 40
    assert sorted(file.name for file in output.iterdir()) == [f"part-{number:07}.parquet" for number in range(8)]
