"""Collections of the engines, engines that are found, and what importing npad imports."""

import subprocess
import sys

import pyarrow
import pytest
from conftest import QUICK
from npad import distributed
from test_fit import expected  # noqa: F401, a fixture


def test_dask_bags_and_delayed_lists(dask_client, good, expected):  # noqa: F811
    import dask
    import dask.bag

    paths = sorted(str(path) for path in good.iterdir())
    bag = dask.bag.from_sequence(paths, npartitions=6)
    delayed = [dask.delayed(list)(paths[at : at + 15]) for at in range(0, 40, 15)]
    for images in (bag, delayed):
        model = distributed.fit(images, client=dask_client, **QUICK)
        assert model.to_bytes() == expected
        table = pyarrow.concat_tables(distributed.score(model, images, client=dask_client))
        assert table["path"].to_pylist() == paths
    with pytest.raises(ValueError, match="repartition"):
        distributed.fit(bag, client=dask_client, partition=4)
    with pytest.raises(TypeError, match="pass a dask.distributed.Client"):
        distributed.fit(bag, client="ray")


def test_ray_datasets_of_paths_and_of_images(ray_module, good, expected):  # noqa: F811
    import ray.data

    paths = sorted(str(path) for path in good.iterdir())
    of_paths = ray.data.from_items([{"path": path, "other": 1} for path in paths], override_num_blocks=5)
    of_images = ray.data.read_images(str(good), include_paths=True, override_num_blocks=4)
    nameless = of_images.select_columns(["image"])
    for images in (of_paths, of_images, nameless):
        assert distributed.fit(images, **QUICK).to_bytes() == expected
    model = distributed.fit(of_paths, **QUICK)
    for images in (of_paths, of_images):
        table = pyarrow.concat_tables(distributed.score(model, images))
        assert sorted(table["path"].to_pylist()) == paths and table["error"].null_count == 40
    with pytest.raises(ValueError, match="'path' or 'image'"):
        distributed.fit(ray.data.range(10))


def test_the_running_engine_is_found(dask_client, good, expected):  # noqa: F811
    with dask_client.as_current():
        assert distributed.fit(good, **QUICK).to_bytes() == expected


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_without_an_engine_the_error_says_what_to_do(good):
    program = f"import npad.distributed; npad.distributed.fit({str(good)!r})"
    for more in ("", "import distributed;", "import ray;"):
        result = run(more + program)
        assert "create a dask.distributed.Client or call ray.init() first" in result.stderr


def test_npad_alone_imports_none_of_it():
    program = (
        "import sys, npad; print({m.partition('.')[0] for m in sys.modules} & "
        "{'dask', 'distributed', 'ray', 'pyarrow', 'fsspec', 'PIL'}, 'npad.distributed' in sys.modules)"
    )
    result = run(program)
    assert result.stdout.strip() == "set() False", result.stderr
    result = run("import sys, npad.distributed; print({'dask', 'ray'} & set(sys.modules))")
    assert result.stdout.strip() == "set()", result.stderr
