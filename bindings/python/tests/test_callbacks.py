"""Code of the host that the library calls: progress, logging and feature extractors."""

import gc
import logging
import sys
import threading

import pytest

import npad
from parts import QUICK, part, squares


def test_a_trainer_refuses_the_calls_of_its_own_callback():
    refused = []

    def progress(*_):
        for call in (lambda: trainer.add(part(9)), trainer.finish):
            with pytest.raises(npad.Error, match="in use by another call") as caught:
                call()
            refused.append(caught.value.status)
        return True

    trainer = npad.Trainer(progress=progress, **QUICK)
    for seed in range(5):
        trainer.add(part(seed))
    trainer.finish()
    assert len(refused) > 10 and set(refused) == {npad.Status.WRONG_STATE}


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
    totals = []
    trainer = npad.Trainer(progress=lambda stage, done, total: totals.append(total) is None, **QUICK)
    gc.collect()
    trainer.add(part(1))
    trainer.expect(7)
    trainer.add(part(2))
    assert totals == [0, 7]
    with pytest.raises(ValueError, match="expected number of images"):
        trainer.expect(-1)
    with pytest.raises(npad.Error, match="/none.so"):
        npad.load_plugin("/none.so")


def test_messages_reach_pythons_logging(caplog):
    def fit():
        npad.fit([part(seed) for seed in range(3)], **QUICK)

    caplog.set_level(logging.DEBUG)
    fit()
    assert not caplog.records
    npad.enable_logging(logging.WARNING)
    fit()
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    caplog.clear()
    npad.enable_logging(logging.DEBUG, "other")
    fit()
    assert any(record.name == "other" and record.levelno == logging.INFO for record in caplog.records)
    npad.disable_logging()
    caplog.clear()
    fit()
    assert not caplog.records


@pytest.fixture
def no_logging():
    yield
    npad.disable_logging()


class Failing(logging.Logger):
    """A logger that raises, which those of the standard library's handlers do not."""

    def handle(self, record):
        raise ZeroDivisionError(record.getMessage())


def test_what_a_logger_raises_reaches_the_call(model, monkeypatch, no_logging):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    good = [part(seed) for seed in range(3)]
    npad.enable_logging(logging.DEBUG, Failing("failing"))
    with pytest.raises(ZeroDivisionError):
        npad.fit(good, **QUICK)
    # It comes before the error of the library, and after a callback's own call of npad.
    with pytest.raises(ZeroDivisionError):
        npad.fit(good, progress=lambda *_: model.score(good[0]) is not None, **QUICK)
    assert not ignored
    # Without a call in progress, as on a thread of the library's own.
    from npad import _logging

    _logging._receivers[-1](3, b"alone", None)
    assert [str(hook.exc_value) for hook in ignored] == ["alone"]


def test_the_logging_of_several_threads(no_logging):
    records = {"failed": 0, "other": 0}
    refused, begun = [], threading.Event()

    def replace():
        begun.wait()
        npad.enable_logging(logging.DEBUG, Counting("other"))  # returns after the handler that runs

    thread = threading.Thread(target=replace)

    class Counting(logging.Logger):
        def handle(self, record):
            records[self.name] = records.get(self.name, 0) + 1
            if self.name == "first" and not begun.is_set():
                begun.set()
                for _ in range(3000):
                    with pytest.raises(npad.Error) as caught:
                        npad.enable_logging(logging.DEBUG, Counting("failed"))
                    refused.append(caught.value.status)

    npad.enable_logging(logging.DEBUG, Counting("first"))
    thread.start()
    npad.fit([part(1), part(2), part(3)], **QUICK)
    thread.join()
    assert set(refused) == {npad.Status.WRONG_STATE}
    records.update(first=0, other=0)
    npad.fit([part(1), part(2), part(3)], **QUICK)
    assert records["first"] == 0 and records["other"] > 0 and records["failed"] == 0


def test_an_extractor_of_your_own():
    def extractor(extract):
        return npad.Extractor("squares", (4, 8), (2, 2), extract)

    good = [part(seed) for seed in range(15)]
    options = npad.Options(size=96, extractor=extractor(squares))
    model = npad.fit(good, options=options)
    del options
    gc.collect()
    assert model.score(part(201, scratched=True)).score > model.score(part(200)).score
    assert "squares" in model.backbone
    with pytest.raises(npad.Error) as caught:
        npad.Model.from_bytes(model.to_bytes())
    assert caught.value.status == npad.Status.UNSUPPORTED_MODEL
    broken = npad.Model.from_bytes(model.to_bytes(), extractor=extractor(lambda planes: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        broken.score(part(1))
    short = npad.Model.from_bytes(model.to_bytes(), extractor=extractor(lambda planes: squares(planes)[:1]))
    with pytest.raises(ValueError, match="returned 1 outputs"):
        short.score(part(1))
    wrong = npad.Model.from_bytes(model.to_bytes(), extractor=extractor(lambda planes: [planes, planes]))
    with pytest.raises(ValueError, match="must have"):
        wrong.score(part(1))
    with pytest.raises(npad.Error, match="name"):
        npad.Options(extractor=npad.Extractor("No Name", (4,), (2,), squares))
    with pytest.raises(ValueError, match="2 strides, but 1 channels"):
        npad.Options(extractor=npad.Extractor("squares", (4, 8), (2,), squares))
    from npad._options import _extractors

    del model, broken, short, wrong, caught
    gc.collect()
    assert not _extractors
