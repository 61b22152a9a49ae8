"""Wrong use is refused before any work, and says what to do. None of it needs workers."""

import sys
from types import SimpleNamespace

import npad
import numpy as np
import pytest
from conftest import QUICK, Here, part
from npad import distributed
from npad.distributed import _engines, _evaluate, _score, _work
from npad.distributed._sources import described
from PIL import Image


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    for seed in range(6):
        Image.fromarray(part(seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def model():
    return npad.fit([part(seed) for seed in range(6)], **QUICK)


@pytest.mark.parametrize(
    "values",
    [{"partition": value} for value in (0, "5", 2.5)]
    + [{"significant_bits": value} for value in (-1, 5, 99, "10", 9.5)]
    + [{"max_regions": value} for value in (-1, 2.5, "3")],
    ids=str,
)
def test_wrong_numbers_are_no_fault_of_the_images(here, few, model, values):
    [(name, value)] = values.items()
    with pytest.raises(ValueError, match=f"{name} is {value!r}, but must be"):
        distributed.score(model, few, **values)
    if name != "max_regions":
        with pytest.raises(ValueError, match=f"{name} is {value!r}, but must be"):
            distributed.fit(few, **values, **QUICK)


def test_whole_numbers_of_any_kind_are_taken(here, few, model):
    numbers = {"partition": np.int64(4), "significant_bits": np.uint8(10), "max_regions": np.int32(1)}
    assert [table.num_rows for table in distributed.score(model, few, **numbers)] == [4, 2]


def test_options_are_an_object(few, here, model):
    for call in (lambda options: distributed.fit(few, options=options), lambda options: npad.fit([], options=options)):
        with pytest.raises(TypeError, match="options is {'size': '96x96'}, but must be an Options object"):
            call({"size": "96x96"})


def test_outputs_are_folders(here, few, model, tmp_path):
    with pytest.raises(ValueError, match="output is empty"):
        distributed.score(model, few, output="")
    (tmp_path / "scores").touch()
    with pytest.raises(ValueError, match="scores, which is a file, but must be a folder"):
        distributed.score(model, few, output=tmp_path / "scores")


def test_relative_outputs_are_those_of_this_process(here, few, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    write = _score._write
    monkeypatch.setattr(_score, "_write", lambda folder, *rest: (folders.append(folder), write(folder, *rest)))
    assert distributed.score(model, few, output="scores", partition=4).count_rows() == 6
    assert folders == [str(tmp_path / "scores")] * 2


def test_files_that_are_elsewhere_are_missed(here, few, model, tmp_path, monkeypatch):
    write = _score._write
    monkeypatch.setattr(_score, "_write", lambda folder, name, data: "1" in name or write(folder, name, data))
    with pytest.raises(npad.Error, match="scores has 1 of the 2 files that the tasks have written") as missing:
        distributed.score(model, few, output=tmp_path / "scores", partition=4)
    assert missing.value.status == npad.Status.NOT_FOUND


def test_a_checkpoint_is_that_of_the_training_alone(here, few, tmp_path):
    values = {"method": "fastflow", "size": "96", "date": "none", "fastflow.epochs": 1}
    model = distributed.fit(few, checkpoint=tmp_path / "checkpoint", **values)
    assert model.image_count == 6 and model.method == "fastflow"


def test_partitions_are_lists(few):
    with pytest.raises(TypeError, match="a partition is '/parts/1.png', but must be a list of paths"):
        _work.learn("", "/parts/1.png", npad.Options(), 0, False)


def test_clients_that_cannot_be_used(few, model):
    from dask import delayed
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster:
        with pytest.raises(TypeError, match=r"but must be a dask.distributed.Client.*: pass Client\(cluster\)"):
            distributed.fit(few, client=cluster)
        with Client(cluster, set_as_default=False) as client:
            with pytest.raises(TypeError, match="one delayed object, but must be a list of them"):
                distributed.fit(delayed(["1.png"]), client=client)
            with pytest.raises(ValueError, match="retries is 'many', but must be a whole number"):
                distributed.fit(few, client=client, retries="many")
        with pytest.raises(ValueError, match="the Dask client is closed: create another"):
            distributed.score(model, few, client=client)


def test_only_killed_workers_are_put_down_to_memory():
    class KilledWorker(Exception):
        pass

    def message(error):
        return str(_engines.failure("partition 0", error))

    assert message(KilledWorker("of Dask")) == (
        "partition 0 failed on every attempt: KilledWorker: of Dask; the usual cause of killed workers is memory: give them "
        "more, or use smaller partitions"
    )
    assert message(MemoryError()).startswith("partition 0 failed on every attempt: MemoryError; use fewer images")
    assert message(ImportError("gcsfs")) == "partition 0 failed on every attempt: ImportError: gcsfs"
    assert described(TimeoutError()) == "TimeoutError"


def test_ray_needs_a_node_with_enough_cpus(monkeypatch):
    ray = pytest.importorskip("ray")
    from npad.distributed._ray import RayEngine

    def nodes(*counts):
        return lambda: [{"Alive": alive, "Resources": {"CPU": float(count)}} for count, alive in counts]

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", nodes((2, True), (1, True), (8, False)))
    RayEngine(2, 3)
    with pytest.raises(ValueError, match="threads is 3, but no node of the cluster has more than 2 CPUs: lower it"):
        RayEngine(3, 3)
    monkeypatch.setattr(ray, "nodes", nodes((0, True)))
    RayEngine(3, 3)  # a cluster that grows when there are tasks


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "padim"}, r"the keywords have the option 'method'.*use methods=\['padim'\]"),
        ({"seed": 3}, r"the keywords have the option 'seed'.*use seeds=\[3\]"),
        ({"settings": [{}, {"method": "padim"}]}, r"settings have the option 'method'"),
        ({"settings": [{"seed": 1}]}, r"settings have the option 'seed'"),
        ({"settings": ["smoothing"]}, "settings are 'smoothing', but must be a dictionary"),
        ({"settings": {}}, "settings is {}, but must be a list"),
        ({"settings": {"smoothing": 2}}, "settings is {'smoothing': 2}, but must be a list"),
        ({"methods": "npad"}, r"methods is 'npad', but must be a list: write \['npad'\]"),
        ({"seeds": 2}, r"seeds is 2, but must be a list: write \[2\]"),
        ({"methods": []}, "methods is empty"),
        ({"settings": []}, "settings is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"parts": []}, "parts is empty"),
        ({"colour": "blue"}, "known are method"),
        ({"settings": [{}, {"colour": "blue"}]}, "known are method"),
        ({"methods": ["npad", "colour"]}, "method is 'colour'"),
        ({"settings": [{"threads": "many"}]}, "threads is 'many'"),
    ],
    ids=str,
)
def test_evaluations_that_would_be_of_something_else(here, monkeypatch, values, message):
    monkeypatch.setattr(Here, "submit", lambda *_: pytest.fail("a task was submitted"))
    with pytest.raises((ValueError, npad.Error), match=message):
        distributed.evaluate(**{"parts": ["/parts/ring"], **values})


def test_a_part_that_fails_is_a_row(here, monkeypatch):
    raised = {"a": ImportError("install gcsfs"), "b": OSError("the network"), "c": ValueError("no part"), "d": MemoryError()}

    def measured(part, options):
        raise raised[part[-1]]

    monkeypatch.setattr(_evaluate, "measured", measured)
    rows = distributed.evaluate([f"/parts/{name}" for name in "abcd"])
    assert [row["part"] for row in rows] == list("abcd")
    errors = [row["error"] for row in rows]
    assert errors[0] == "ImportError: install gcsfs" and errors[2] == "no part"
    assert errors[1].endswith("failed on every attempt: OSError: the network") and "MemoryError; use fewer" in errors[3]


def test_each_row_has_its_threads(monkeypatch):
    seen = []

    class Counted(Here):
        def __init__(self, threads):
            self.threads = threads

        def submit(self, name, function, part, options):
            seen.append((part, options["size"], self.threads, int(options["threads"])))
            return super().submit(name, lambda *_: {}, part, options)

    monkeypatch.setattr(_evaluate, "engine", lambda client, images, threads, retries: Counted(threads))
    settings = [{"size": 100}, {"size": 200, "threads": 2}, {"size": 300, "threads": "0"}]
    distributed.evaluate(["/a", "/b"], settings=settings, threads=4)
    assert seen == [(part, *row) for part in ("/a", "/b") for row in [(100, 4, 4), (200, 2, 2), (300, 1, 1)]]


def test_clients_are_known_without_importing_an_engine(monkeypatch):
    monkeypatch.delitem(sys.modules, "distributed", raising=False)
    with pytest.raises(TypeError, match="must be a dask.distributed.Client, 'ray' or None$"):
        _engines.engine(SimpleNamespace(), None, 1, 3)
    assert "distributed" not in sys.modules
