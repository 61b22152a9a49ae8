"""Which images a job has, and how they are read. None of it needs a cluster."""

import os
import warnings
import zipfile

import fsspec
import npad
import numpy as np
import pytest
from conftest import QUICK, part
from fsspec.implementations.local import LocalFileSystem
from npad import distributed
from npad.distributed import _sources
from npad.distributed._sources import ImageError, listed, paths, read
from PIL import Image


class ResponseError(Exception):
    """Like the errors of HTTP clients, none of Python's own."""


class Server(LocalFileSystem):
    """`server:///folder/image.png`: a server that answers with the errors in `answers`, one after the other."""

    protocol = "server"
    answers = {}
    requests = []

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("server://"))

    def cat_file(self, path, start=None, end=None, **options):
        self.requests.append(os.path.basename(path))
        answers = self.answers.get(os.path.basename(path), [])
        if answers:
            raise answers.pop(0)
        return super().cat_file(path, start, end)


@pytest.fixture
def server(monkeypatch, good):
    fsspec.register_implementation("server", Server, clobber=True)
    monkeypatch.setattr(_sources, "_PAUSE", 0)
    monkeypatch.setattr(Server, "answers", {})
    monkeypatch.setattr(Server, "requests", [])
    return [f"server://{path}" for path in sorted(good.iterdir())[:6]]


def test_errors_of_any_class_are_tried_again(server):
    Server.answers = {
        "000.png": [ResponseError("503, Service Unavailable"), zipfile.BadZipFile("cut short")],
        "001.png": [ResponseError("403, Forbidden") for _ in range(3)],
        "002.png": [FileNotFoundError("404")],
        "003.png": [TimeoutError() for _ in range(3)],
    }
    found = [pixels for _, pixels in read(server)]
    assert isinstance(found[0], np.ndarray) and isinstance(found[4], np.ndarray)
    assert [str(error) for error in found[1:4]] == [
        "ResponseError: 403, Forbidden, 3 times",
        "FileNotFoundError: 404",
        "TimeoutError, 3 times",
    ]
    assert all(isinstance(error, ImageError) for error in found[1:4])
    assert [Server.requests.count(f"00{number}.png") for number in range(5)] == [3, 3, 1, 3, 1]


def test_memory_is_that_of_the_worker(server):
    Server.answers = {"000.png": [MemoryError()]}
    with pytest.raises(MemoryError):
        list(read(server))


def test_an_image_that_a_server_refuses_is_left_out(here, server):
    Server.answers = {"003.png": [ResponseError("500") for _ in range(3)]}
    with pytest.warns(UserWarning, match=r"1 image was left out.*003.png: ResponseError: 500, 3 times"):
        model = distributed.fit(server, **QUICK)
    assert model.image_count == 5


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as parts:
        for number in range(4):
            Image.fromarray(part(number)).save(folder / f"{number}.png")
            parts.write(folder / f"{number}.png", f"{number}.png" if number < 2 else f"more/{number}.png")
    return tmp_path / "parts.zip"


def test_chained_urls_keep_their_chain(archive):
    whole, more = ([f"zip://{name}.png::{archive}" for name in names] for names in (["0", "1"], ["more/2", "more/3"]))
    folder = archive.parent / "in"
    for source, expected in [
        (f"zip://*.png::{archive}", whole),
        (f"zip://::{archive}", whole),
        (f"zip://more/*.png::{archive}", more),
        (f"zip://more::{archive}", more),
        (f"zip://0.png::{archive}", whole[:1]),
        (f"zip://*.png::simplecache::file://{archive}", [f"zip://{n}.png::simplecache::file://{archive}" for n in "01"]),
        (f"simplecache::zip://*.png::{archive}", [f"simplecache::{path}" for path in whole]),
        (f"simplecache::file://{folder}/*.png", [f"simplecache::file://{folder}/{n}.png" for n in "0123"]),
    ]:
        assert listed(source) == expected
        for _, pixels in read(expected):
            assert isinstance(pixels, np.ndarray), (source, pixels)


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "parts.zip").write_text("no archive")
    with pytest.raises(ValueError, match=r"parts.zip' cannot be opened: BadZipFile: File is not a zip file"):
        listed(f"zip://*.png::{tmp_path}/parts.zip")


def test_question_marks_of_the_web_are_no_globs():
    assert not _sources.is_glob("https://host/part.png?signature=1")
    assert not _sources.is_glob("zip://part.png::https://host/parts.zip?signature=1")
    assert _sources.is_glob("zip://part?.png::https://host/parts.zip")


def test_a_file_may_be_named_like_a_glob(tmp_path):
    names = ["a1.png", "a[1].png", "a?.png", "b*.png", "b2.png"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "c?").mkdir()
    (tmp_path / "c?" / "d.png").touch()
    for name in names:
        assert listed(tmp_path / name) == paths(tmp_path / name)[0] == [str(tmp_path / name)]
    assert listed(tmp_path / "c?") == [str(tmp_path / "c?" / "d.png")]
    (tmp_path / "a?.png").unlink()
    assert listed(tmp_path / "a?.png") == [str(tmp_path / "a1.png")]


def test_relative_paths_are_those_of_this_process(tmp_path, monkeypatch, archive):
    monkeypatch.chdir(tmp_path)
    assert listed("in") == listed("in/*.png") == [f"{tmp_path}/in/{number}.png" for number in range(4)]
    assert paths(["in/0.png", "./in/1.png"])[0] == [f"{tmp_path}/in/{number}.png" for number in range(2)]
    assert listed("zip://more::parts.zip") == [f"zip://more/{number}.png::{archive}" for number in (2, 3)]
    for path in ("s3://parts/0.png", "/parts/0.png"):
        assert listed(path) == [path]
    with pytest.raises(ValueError, match="a path is empty"):
        listed("")


def test_what_does_not_exist_is_refused_by_name(tmp_path, here):
    for name in ("none", "none.png", "none/"):
        with pytest.raises(ValueError, match=f"{name}' does not exist or cannot be reached"):
            distributed.fit(f"{tmp_path}/{name}", **QUICK)
    with pytest.raises(ValueError, match="none.*has no images"):
        distributed.fit(f"{tmp_path}/none/*.png", **QUICK)
    with pytest.raises(ValueError, match="none.png::.*cannot be opened: FileNotFoundError"):
        distributed.fit(f"zip://none.png::{tmp_path}/none.zip", **QUICK)


def test_a_fit_without_images_says_why(tmp_path, here, good):
    missing = [tmp_path / f"{number}.png" for number in range(4)]
    for size, message in [
        ("96x96", "too few.*; 4 images were left out, the first of them"),
        ("96", "none of the images.*; the first is"),
    ]:
        with pytest.raises(npad.Error, match=rf"{message} .*/0.png: FileNotFoundError") as few:
            distributed.fit(missing, partition=2, **{**QUICK, "size": size})
        assert few.value.status == npad.Status.NOT_ENOUGH_IMAGES
    mask = np.ones((50, 50), bool)
    for size in ("96x96", "96"):
        with pytest.raises(npad.Error, match=r"the first (of them|is) .*000.png: .*50"):
            distributed.fit(good, mask=mask, **{**QUICK, "size": size})
    paths = sorted(good.iterdir())
    for size in ("96x96", "96"):
        with pytest.raises(npad.Error, match=r"partition 0 .*/0.png: FileNotFoundError") as refused:
            distributed.fit([missing[0], *paths], on_error="raise", **{**QUICK, "size": size})
        assert refused.value.status == npad.Status.INVALID_IMAGE
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert distributed.fit(paths, **{**QUICK, "size": "96"}).image_count == 40
