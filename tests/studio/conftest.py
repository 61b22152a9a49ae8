"""Projects, servers and browsers."""

import io
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

NPAD = os.environ["NPAD_TOOL"]
CELLS = Path(os.environ["NPAD_SOLAR_CELLS"])
# A browser that asks nobody.
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]


def part(seed, defective=False, height=90, width=120):
    """A grey part with rings and noise, and a dark spot if it is defective."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(-8, 9, x.shape)
    values = 120 + 50 * np.cos(np.hypot(x - width / 2, y - height / 2) / 3) + x / 4 + noise
    if defective:
        values[30 + seed % 20 : 48 + seed % 20, 40:64] = 15
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def png(seed, defective=False):
    file = io.BytesIO()
    part(seed, defective).save(file, "png")
    return file.getvalue()


def parts(folder, count, defective=False, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        part(number, defective).save(folder / f"{number:03}.png")


def solar_cells(folder):
    """40 good cells to learn from, 20 others and 15 defective ones, in MVTec AD's layout."""
    with zipfile.ZipFile(CELLS) as archive:
        rows = [line.split() for line in archive.read("elpv_dataset/data/labels.csv").decode().splitlines() if line.strip()]
        of = {value: [path for path, share, kind in rows if (share, kind) == (value, "mono")] for value in ("0.0", "1.0")}
        for name, paths in (
            ("train/good", of["0.0"][:40]),
            ("test/good", of["0.0"][40:60]),
            ("test/broken", of["1.0"][:15]),
        ):
            (folder / name).mkdir(parents=True)
            for path in paths:
                (folder / name / Path(path).name).write_bytes(archive.read(f"elpv_dataset/data/{path}"))


def scores_of(images):
    return {image["path"]: image["score"] for image in images["images"]}


def until(true):
    """Waits for something, and for a hang not without end."""
    end = time.monotonic() + 600
    while not (value := true()):
        assert time.monotonic() < end, "it has not happened within ten minutes"
        time.sleep(0.05)
    return value


# Soon taught.
LESSON = {"folders": ["good"], "method": "npad", "options": {"size": "96x96", "npad.channels": "40"}, "roi": None}


class Studio:
    """A running `npad studio`."""

    def __init__(self, folder, *arguments, env=(), run=()):
        # Who runs the tests in the background may ignore signals.
        command = ["env", "--default-signal=INT,HUP", *run, NPAD, "studio", folder, "--port", "0", *arguments]
        environment = {**os.environ, **dict(env)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        line = self.process.stderr.readline()
        found = re.fullmatch(r"npad studio: (http://\S+/)(\?token=\w+)?\n", line)
        assert found, line + self.process.stderr.read()
        self.url, self.token = found[1], found[2] or ""

    def request(self, method, path, body=None, headers=(), own=True):
        """The status, the headers and the bytes of an answer."""
        body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **({"x-npad-studio": "1"} if own else {}), **dict(headers)}
        request = urllib.request.Request(self.url + path.lstrip("/"), body, sent, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def get(self, path, **query):
        status, _, body = self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        assert status == 200, body
        return json.loads(body)

    def post(self, path, body):
        status, _, answer = self.request("POST", path, body)
        assert status in (200, 202), answer
        return json.loads(answer)

    def wait(self, job):
        """Waits until a job has ended and returns how."""

        def ended():
            status = self.get("api/status")
            return status["job"] is None and (status["finished"] or {}).get("id", 0) >= job["job"] and status["finished"]

        return until(ended)

    def teach(self, folders):
        finished = self.wait(self.post("api/teach", {**LESSON, "folders": folders}))
        assert finished["error"] is None, finished
        return finished

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def studio(tmp_path):
    """A function that starts servers, which are stopped in the end."""
    started = []

    def start(folder=tmp_path, *arguments, **more):
        started.append(Studio(folder, *arguments, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """A function that opens pages, on which nothing may go wrong."""
    wrong, contexts = [], []

    def start(width=1440, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(600_000)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page(new_page):
    return new_page()
