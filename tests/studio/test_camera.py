"""A camera: Aravis' fake one, and one on the network that disappears."""

import shutil
import subprocess

import pytest
from conftest import parts, until

FAKE = {"NPAD_STUDIO_FAKE_CAMERA": "1"}


@pytest.fixture
def network_camera():
    """A GigE Vision camera on the loopback interface, and a function that starts it again."""
    tool = shutil.which("arv-fake-gv-camera-0.8")
    if tool is None:
        pytest.skip("the package aravis-tools is not installed")
    started = []

    def start():
        started.append(subprocess.Popen([tool, "-i", "127.0.0.1", "-s", "NPAD01"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_good_images_are_taken_and_a_line_is_filmed(studio, tmp_path):
    server = studio(env=FAKE)
    cameras = server.get("api/cameras")
    assert cameras["error"] is None and "Fake_1" in [camera["id"] for camera in cameras["cameras"]]
    finished = server.wait(server.post("api/capture", {"camera": "Fake_1", "count": 10}))
    assert finished["error"] is None, finished
    assert len(list((tmp_path / "good").iterdir())) == 10
    server.teach(["good"])
    server.post("api/live", {"camera": "Fake_1"})
    live = until(lambda: (live := server.get("api/live"))["count"] >= 5 and live)
    assert live["error"] is None and live["source"] == "camera Fake_1"
    path = live["recent"][0]["path"]
    assert server.request("GET", f"api/picture?size=240&version=1&path={path}")[0] == 200
    server.post("api/live", {"stop": True})
    until(lambda: not server.get("api/live")["running"])
    assert server.request("POST", "api/capture", {"camera": "Fake_1", "count": 0})[0] == 400
    finished = server.wait(server.post("api/capture", {"camera": "none", "count": 1}))
    assert finished["error"], finished


def test_a_camera_that_disappears_is_told_and_opened_again(studio, tmp_path, network_camera):
    parts(tmp_path / "good", 10)
    camera = network_camera()
    server = studio()
    server.teach(["good"])
    found = lambda: [camera["id"] for camera in server.get("api/cameras")["cameras"] if "NPAD01" in camera["id"]]
    name = until(found)[0]
    server.post("api/live", {"camera": name})
    until(lambda: server.get("api/live")["count"] >= 2)
    camera.kill()
    camera.wait()
    live = until(lambda: (live := server.get("api/live"))["error"] and live)
    assert live["running"]
    network_camera()
    until(lambda: (now := server.get("api/live"))["error"] is None and now["count"] > live["count"])
    server.post("api/live", {"stop": True})
    until(lambda: not server.get("api/live")["running"])
