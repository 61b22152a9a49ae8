"""What the server does without the page: who may ask, what comes in, and what a fault leaves behind."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import NPAD, part, parts

MANY = 5000


def scores_of(images):
    return {image["path"]: image["score"] for image in images["images"]}


def until(true):
    while not (value := true()):
        time.sleep(0.05)
    return value


def test_other_sites_and_machines_are_refused(studio, tmp_path):
    server = studio()
    status = lambda method, **headers: server.request(method, "api/project", headers={k.replace("_", "-"): v for k, v in headers.items()})[0]
    assert status("GET") == 200
    assert status("GET", host="evil.example") == 403
    assert status("GET", sec_fetch_site="cross-site") == 403
    assert status("GET", origin="http://evil.example") == 403
    assert server.request("POST", "api/mark", {"path": "a.png", "label": None}, own=False)[0] == 403
    _, headers, _ = server.request("GET", "/")
    assert "script-src 'self'" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_another_address_needs_the_token(studio, tmp_path):
    server = studio(tmp_path, "--address", "0.0.0.0")
    assert server.token and server.request("GET", "api/project")[0] == 403
    assert server.request("GET", "/?token=" + "0" * 32)[0] == 403
    connection = socket.create_connection(("127.0.0.1", int(server.url.rsplit(":")[-1].strip("/"))))
    connection.sendall(f"GET /{server.token} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    cookie = next(line.split(" ")[1].rstrip(";") for line in answer.splitlines() if line.startswith("set-cookie"))
    assert server.request("GET", "api/project", headers={"cookie": cookie})[0] == 200
    assert server.request("POST", "api/mark", {"path": "a.png", "label": None}, headers={"cookie": cookie}, own=False)[0] == 403


def test_paths_stay_in_the_project(studio, tmp_path):
    parts(tmp_path / "project/good", 5)
    parts(tmp_path / "outside", 1)
    (tmp_path / "project/linked.png").symlink_to(tmp_path / "outside/000.png")
    server = studio(tmp_path / "project")
    for path in ("../outside/000.png", "/etc/passwd", "good/../../outside/000.png", "linked.png", str(tmp_path / "outside/000.png"), ""):
        status, _, body = server.request("GET", "api/picture?path=" + path)
        assert status == 400 and "error" in json.loads(body), path
    assert server.request("GET", "api/picture?path=good/none.png")[0] == 404
    assert server.request("GET", "..%2f..%2fetc%2fpasswd")[0] == 404
    server.teach(["good"])
    assert server.request("POST", "api/live", {"folder": "../outside"})[0] == 400
    for option in ("backbone", "checkpoint", "device", "trusted_keys"):
        lesson = {"folders": ["good"], "method": "npad", "options": {option: "/etc/passwd"}, "roi": None}
        status, _, body = server.request("POST", "api/teach", lesson)
        assert status == 400 and "command line" in json.loads(body)["error"]


def test_uploads_are_images_of_a_limited_size_and_overwrite_nothing(studio, tmp_path):
    server = studio()

    def upload(name, data, folder="good"):
        status, _, body = server.request("PUT", f"api/upload?folder={folder}&name={name}", data)
        return status, json.loads(body or b"{}")

    def png(seed):
        file = io.BytesIO()
        part(seed).save(file, "png")
        return file.getvalue()

    first, second = png(1), png(2)
    assert upload("a.png", first) == (200, {"path": "good/a.png"})
    assert upload("a.png", first) == (200, {"path": "good/a.png"}), "the same image comes in once"
    assert upload("a.png", second) == (200, {"path": "good/a-2.png"})
    assert upload("b%23%3F%25%20%C3%A4.png", first, "inspect") == (200, {"path": "inspect/b#?% ä.png"})
    for name in ("..%2Fevil.png", "%2Fevil.png", ".png", ".hidden.png", "evil.exe", "a%00.png", "evil%5Ca.png"):
        status, body = upload(name, first)
        assert status == 400 and "name of an image" in body["error"], name
    status, body = upload("c.png", first[:-20])
    assert status == 500 and "c.png" in body["error"]
    assert upload("d.png", first, "elsewhere")[0] == 400
    # The connection may end before everything has been sent.
    try:
        assert "at most 64 MB" in upload("e.png", bytes((64 << 20) + 1))[1]["error"]
    except OSError:
        pass
    assert sorted(path.name for path in (tmp_path / "good").iterdir()) == ["a-2.png", "a.png"]
    assert (tmp_path / "good/a.png").read_bytes() == first


def test_versions_are_never_overwritten(studio, tmp_path):
    parts(tmp_path / "good", 12)
    parts(tmp_path / "test/good", 4, first=50)
    parts(tmp_path / "test/spot", 4, defective=True)
    server = studio()
    server.teach(["good"])
    first = server.get("api/images", version=1)
    model = (tmp_path / "npad-studio/versions/0001/model.npad").read_bytes()
    threshold, typical = first["threshold"], first["typical"]
    assert server.post("api/thresholds", {"version": 1, "threshold": 2 * threshold, "review": threshold}) == {"version": 2}
    second = server.get("api/images", version=2)
    assert scores_of(second) == scores_of(first) and second["threshold"] == pytest.approx(2 * threshold)
    status, _, body = server.request("POST", "api/thresholds", {"version": 1, "threshold": typical / 2, "review": 0})
    assert status == 400 and "typical good image" in json.loads(body)["error"]

    # A defect that was not found lowers the threshold, and good images are learnt.
    server.post("api/mark", {"path": "test/spot/000.png", "label": "defective"})
    server.post("api/mark", {"path": "test/good/050.png", "label": "good"})
    assert server.get("api/project")["marks"] == 2
    finished = server.wait(server.post("api/update", {"operating_point": "catch_all", "miss_cost": None}))
    assert finished["error"] is None and finished["version"] == 3, finished
    project = server.get("api/project")
    assert [version["parent"] for version in project["versions"]] == [None, 1, 2]
    third = project["versions"][2]
    assert (third["images"], third["known_defects"]["found"], project["marks"]) == (13, 1, 0)
    learnt = {image["path"] for image in server.get("api/images", version=3)["images"] if image["learnt"]}
    assert "test/good/050.png" in learnt and len(learnt) == 13

    # Without further good images, the defects move the threshold.
    server.post("api/mark", {"path": "test/spot/001.png", "label": "defective"})
    finished = server.wait(server.post("api/update", {"operating_point": "cost", "miss_cost": 100}))
    assert finished["error"] is None and finished["version"] == 4, finished

    server.post("api/current", {"version": 1})
    server.stop()
    again = studio()
    project = again.get("api/project")
    assert (project["current"], [version["number"] for version in project["versions"]]) == (1, [1, 2, 3, 4])
    assert (tmp_path / "npad-studio/versions/0001/model.npad").read_bytes() == model
    assert again.request("GET", "api/model?version=1")[2] == model
    assert again.request("GET", "api/model?version=9")[0] == 404
    finished = again.wait(again.post("api/report", {"version": 1}))
    assert finished["error"] is None, finished
    assert b"Anomaly detection report" in again.request("GET", "api/report?version=1")[2]


def test_a_project_is_open_once_and_jobs_run_one_at_a_time(studio, tmp_path):
    parts(tmp_path / "good", 30)
    server = studio()
    second = subprocess.run([NPAD, "studio", tmp_path, "--port", "0"], capture_output=True, text=True)
    assert second.returncode == 1 and "another npad studio" in second.stderr
    lesson = {"folders": ["good"], "method": "npad", "options": {"npad.channels": "160"}, "roi": None}
    job = server.post("api/teach", lesson)
    status, _, body = server.request("POST", "api/teach", lesson)
    assert status == 409 and "still runs" in json.loads(body)["error"]
    server.post("api/cancel", job)
    assert "cancelled" in server.wait(job)["error"]
    assert server.get("api/project")["versions"] == []


def test_what_cannot_be_read_is_told_and_left_out(studio, tmp_path):
    parts(tmp_path / "good", 10)
    (tmp_path / "good/torn.png").write_bytes((tmp_path / "good/000.png").read_bytes()[:200])
    (tmp_path / "good/empty.png").touch()
    server = studio()
    finished = server.teach(["good"])
    assert {skipped["path"] for skipped in finished["skipped"]} == {"good/torn.png", "good/empty.png"}
    images = {image["path"]: image for image in server.get("api/images", version=1)["images"]}
    assert images["good/torn.png"]["score"] is None and images["good/torn.png"]["error"]
    assert server.request("GET", "api/picture?path=good/torn.png&size=240")[0] == 500
    status, _, body = server.request("POST", "api/teach", {"folders": ["none"], "method": "npad", "options": {}, "roi": None})
    assert status == 404
    status, _, body = server.request("POST", "api/teach", {"folders": ["good"], "method": "npad", "options": {"size": "-1"}, "roi": None})
    assert status == 400 and "size" in json.loads(body)["error"]
    assert server.request("POST", "api/teach", b"{")[0] == 400
    outside = {"folders": ["good"], "method": "npad", "options": {}, "roi": {"x": 0, "y": 0, "width": 5000, "height": 5000}}
    finished = server.wait(server.post("api/teach", outside))
    assert finished["error"] and "region of interest" in finished["skipped"][0]["error"], finished


def test_scores_are_those_of_the_tool(studio, tmp_path):
    parts(tmp_path / "good", 12)
    parts(tmp_path / "test/spot", 3, defective=True)
    server = studio()
    server.teach(["good"])
    (tmp_path / "model.npad").write_bytes(server.request("GET", "api/model?version=1")[2])
    files = sorted((tmp_path / "test/spot").iterdir())
    output = subprocess.run([NPAD, "score", tmp_path / "model.npad", "--json", *files], capture_output=True, text=True, check=True).stdout
    scores = scores_of(server.get("api/images", version=1))
    for line in map(json.loads, output.splitlines()):
        assert scores[str(Path(line["path"]).relative_to(tmp_path))] == line["score"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_loses_nothing(studio, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("cannot mount a file system here")
    try:
        parts(small / "good", 10)
        server = studio(small)
        server.teach(["good"])
        before = sorted(path.name for path in (small / "npad-studio/versions").iterdir())
        (small / "filler").write_bytes(bytes(shutil.disk_usage(small).free))
        finished = server.wait(server.post("api/teach", {"folders": ["good"], "method": "npad", "options": {"size": "96x96"}, "roi": None}))
        assert "space" in finished["error"], finished
        assert sorted(path.name for path in (small / "npad-studio/versions").iterdir()) == before
        status, _, body = server.request("POST", "api/mark", {"path": "good/000.png", "label": "defective"})
        assert status == 500 and "space" in json.loads(body)["error"]
        assert server.request("GET", "api/picture?path=good/001.png&size=240&version=1")[0] == 200, "thumbnails need no disk"
        (small / "filler").unlink()
        server.teach(["good"])
        assert len(server.get("api/project")["versions"]) == 2
        server.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_studio_that_is_killed_leaves_whole_versions(studio, tmp_path):
    parts(tmp_path / "good", 12)
    server = studio()
    server.teach(["good"])
    for pause in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0):
        server.post("api/teach", {"folders": ["good"], "method": "npad", "options": {"size": "96x96"}, "roi": None})
        time.sleep(pause)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server = studio()
        for version in server.get("api/project")["versions"]:
            assert server.request("GET", f"api/model?version={version['number']}")[0] == 200


def test_a_folder_is_watched_and_results_go_to_all_outputs(studio, tmp_path):
    parts(tmp_path / "project/good", 12)
    incoming = tmp_path / "project/incoming"
    parts(incoming, 1, first=90)
    posted = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    host = HTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    broker = subprocess.Popen([mosquitto, "-c", tmp_path / "broker.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subscribed = subprocess.Popen(
        ["bash", "-c", f"until mosquitto_sub -p {port} -t line/1 -C 5; do sleep 0.1; done"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        server = studio(tmp_path / "project", "--mqtt", f"mqtt://127.0.0.1:{port}/line/1", "--post", f"http://127.0.0.1:{host.server_port}/in")
        status, _, body = server.request("POST", "api/live", {"folder": "incoming"})
        assert status == 409 and "teach" in json.loads(body)["error"]
        server.teach(["good"])
        until(lambda: broker.poll() is None and _connected(port))
        server.post("api/live", {"folder": "incoming"})
        assert server.request("POST", "api/live", {"folder": "incoming"})[0] == 409
        # A slow writer: nothing is inspected before it has ended.
        slow = (incoming / "slow.png").open("wb")
        data = io.BytesIO()
        part(7, True).save(data, "png")
        slow.write(data.getvalue()[:300])
        slow.flush()
        parts(incoming, 3)
        time.sleep(1)  # the file looks as though its writing had ended
        slow.write(data.getvalue()[300:])
        slow.close()
        until(lambda: server.get("api/live")["count"] >= 4)
        (incoming / "torn.png").write_bytes(data.getvalue()[:300])
        live = until(lambda: (live := server.get("api/live"))["count"] == 5 and live)
        assert (live["unreadable"], live["defective"]) == (1, 1)
        assert live["recent"][0]["verdict"] == "error" and live["recent"][0]["path"] == "incoming/torn.png"
        assert [row["verdict"] for row in live["recent"] if row["path"].endswith("slow.png")] == ["defective"]
        lines = [json.loads(line) for line in (tmp_path / "project/npad-studio/live.jsonl").read_text().splitlines()]
        assert len(lines) == 5 and {line["path"] for line in lines} == {row["path"] for row in live["recent"]}
        until(lambda: len(posted) == 5)
        assert posted == lines
        assert [json.loads(line) for line in subscribed.communicate()[0].splitlines()] == lines
        assert server.get("api/live")["output_errors"] == []

        # A host that is gone is told, and holds nothing up.
        host.shutdown()
        host.server_close()
        parts(incoming, 2, first=20)
        live = until(lambda: (live := server.get("api/live"))["count"] == 7 and live["output_errors"] and live)
        assert any("http://" in error for error in live["output_errors"])
        server.post("api/live", {"stop": True})
        until(lambda: not server.get("api/live")["running"])
    finally:
        subscribed.kill()
        broker.kill()
        broker.wait()


def _connected(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False
