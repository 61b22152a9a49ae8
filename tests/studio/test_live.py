"""Inspection of images as they arrive, and where results go."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import parts, png, until


@pytest.fixture
def broker(tmp_path):
    """An MQTT broker that can be stopped and started again, and that keeps what it has for a subscriber."""
    port, kept = free_port(), tmp_path / "broker"
    kept.mkdir()
    settings = f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {kept}/\n"
    (tmp_path / "broker.conf").write_text(settings)
    broker = Broker(port, [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", tmp_path / "broker.conf"])
    broker.start()
    yield broker
    broker.stop()


class Broker:
    def __init__(self, port, command):
        self.port, self.command, self.url = port, command, f"mqtt://127.0.0.1:{port}/line/1"

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: is_open(self.port))

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def subscribe(self):
        """A subscriber that has subscribed, and misses nothing that is published from now on."""
        topics = ["-t", "line/1", "-t", "hello"]
        command = ["mosquitto_sub", "-p", str(self.port), "-q", "1", "-c", "-i", "subscriber", *topics]
        subscriber = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        # It has subscribed once it receives.
        greeting = threading.Thread(target=subscriber.stdout.readline)
        greeting.start()
        while greeting.is_alive():
            subprocess.run(["mosquitto_pub", "-p", str(self.port), "-t", "hello", "-m", "hello"], check=True)
            greeting.join(0.1)
        return subscriber


def received(subscriber):
    """The next result."""
    return json.loads(next(line for line in iter(subscriber.stdout.readline, "") if line != "hello\n"))


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


class Host:
    """A web server that keeps what is posted to it, and answers with the statuses that it is told, at last 204."""

    def __init__(self, port=0, statuses=()):
        self.posted, self.refused, statuses = [], [], list(statuses)
        self.awake = threading.Event()
        self.awake.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                result = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
                self.awake.wait()
                status = statuses.pop(0) if statuses else 204
                (self.posted if status == 204 else self.refused).append(result)
                handler.send_response(status)
                handler.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/in?key=secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def watched(studio, project, *arguments):
    """A studio that has been taught and watches the folder incoming."""
    parts(project / "good", 12)
    (project / "incoming").mkdir()
    server = studio(project, *arguments)
    server.teach(["good"])
    server.post("api/live", {"folder": "incoming"})
    return server


def counted(server, count):
    return until(lambda: (live := server.get("api/live"))["count"] >= count and live)


def lines_of(project):
    return [json.loads(line) for line in (project / "npad-studio/live.jsonl").read_text().splitlines()]


def test_a_folder_is_watched_and_results_go_to_all_outputs(studio, tmp_path, broker):
    project, host, subscriber = tmp_path / "project", Host(), broker.subscribe()
    incoming = project / "incoming"
    parts(incoming, 1, first=90)
    parts(project / "good", 12)
    server = studio(project, "--mqtt", broker.url, "--post", host.url)
    status, _, body = server.request("POST", "api/live", {"folder": "incoming"})
    assert status == 409 and "teach" in json.loads(body)["error"]
    server.teach(["good"])
    server.post("api/live", {"folder": "incoming"})
    assert server.request("POST", "api/live", {"folder": "incoming"})[0] == 409
    live = server.get("api/live")
    assert (live["ms_median"], live["version"], live["count"], live["skipped"]) == (None, None, 0, 0)
    # A slow writer: nothing is inspected before it has ended.
    data = png(7, True)
    slow = (incoming / "slow.png").open("wb")
    slow.write(data[:300])
    slow.flush()
    parts(incoming, 3)
    counted(server, 3)
    slow.write(data[300:])
    slow.close()
    verdicts = lambda: {row["path"]: row["verdict"] for row in reversed(server.get("api/live")["recent"])}
    until(lambda: verdicts().get("incoming/slow.png") == "defective")
    (incoming / "torn.png").write_bytes(data[:300])
    until(lambda: verdicts().get("incoming/torn.png") == "error")
    names = ["000.png", "001.png", "002.png", "slow.png", "torn.png"]
    assert sorted(verdicts()) == [f"incoming/{name}" for name in names], "what was there before is not new"
    live = server.get("api/live")
    assert "secret" not in json.dumps(live), "a key is not shown"
    lines = lines_of(project)
    assert [line.get("error") for line in lines if line["path"] == "incoming/slow.png"] == [None], "it was not half written"
    assert len(lines) == live["count"] and [line["path"] for line in lines] == [row["path"] for row in reversed(live["recent"])]
    until(lambda: len(host.posted) == len(lines))
    assert host.posted == lines
    assert [received(subscriber) for _ in lines] == lines
    assert server.get("api/live")["output_errors"] == []
    subscriber.kill()
    host.stop()


def test_hosts_that_were_away_miss_nothing(studio, tmp_path, broker):
    project, port, subscriber = tmp_path / "project", free_port(), broker.subscribe()
    server = watched(studio, project, "--mqtt", broker.url, "--post", f"http://127.0.0.1:{port}/in")
    errors = lambda of: [error for error in server.get("api/live")["output_errors"] if error.startswith(of)]
    parts(project / "incoming", 1)
    counted(server, 1)
    first = received(subscriber)
    until(lambda: errors("http:"))
    # The broker restarts. It knows the subscriber, but not the studio.
    broker.stop()
    until(lambda: errors("mqtt:"))
    parts(project / "incoming", 3, first=10)
    counted(server, 4)
    broker.start()
    parts(project / "incoming", 2, first=20)
    counted(server, 6)
    lines = lines_of(project)
    # Each comes at least once.
    missing = {line["path"] for line in lines} - {first["path"]}
    while missing:
        missing -= {received(subscriber)["path"]}
    until(lambda: not errors("mqtt:"))
    # What waits for a host stays while no inspection runs.
    server.post("api/live", {"stop": True})
    until(lambda: not server.get("api/live")["running"])
    server.post("api/live", {"folder": "incoming"})
    # An overloaded host is asked again, what is refused is told, and the order stays.
    host = Host(port, [503, 429, 400])
    until(lambda: len(host.posted) == 5)
    assert host.refused == [lines[0]] * 3 and host.posted == lines[1:]
    assert until(lambda: (found := errors("http:")) and len(found) == 1 and found)[0].endswith("1 result refused by the host: 400 Bad Request")
    subscriber.kill()
    host.stop()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_waits_is_delivered_when_the_studio_ends(studio, tmp_path, end):
    project, host = tmp_path / "project", Host()
    host.awake.clear()
    server = watched(studio, project, "--post", host.url)
    parts(project / "incoming", 5)
    counted(server, 5)
    server.process.send_signal(end)
    host.awake.set()
    assert "delivered" not in server.process.stderr.read() and server.process.wait() == 0
    # A host that was slow may have been asked twice.
    assert [line for number, line in enumerate(host.posted) if line not in host.posted[:number]] == lines_of(project)
    host.stop()


def test_an_inspection_outlasts_its_terminal_under_nohup(studio, tmp_path):
    server = studio(run=("sh", "-c", "trap '' HUP; exec \"$@\"", "sh"))
    server.process.send_signal(signal.SIGHUP)
    assert server.get("api/status")["job"] is None and server.process.poll() is None
    server.stop()
    assert server.process.returncode == 0


def test_what_a_host_has_not_taken_is_told_at_the_end(studio, tmp_path):
    server = watched(studio, tmp_path, "--post", f"http://127.0.0.1:{free_port()}/in")
    parts(tmp_path / "incoming", 5)
    counted(server, 5)
    server.process.terminate()
    assert "5 results not delivered" in server.process.stderr.read() and server.process.wait() == 0


def test_counts_are_those_of_the_present_version(studio, tmp_path):
    server = watched(studio, tmp_path)
    parts(tmp_path / "incoming", 3)
    counted(server, 3)
    images = server.get("api/images", version=1)
    server.post("api/thresholds", {"version": 1, "threshold": 2 * images["threshold"], "review": images["threshold"]})
    parts(tmp_path / "incoming", 1, first=30)
    live = until(lambda: (live := server.get("api/live"))["version"] == 2 and live)
    assert (live["count"], len(live["history"])) == (1, 1)
    assert [(row["number"], row["version"]) for row in live["recent"]] == [(4, 2), (3, 1), (2, 1), (1, 1)]


def test_a_folder_that_is_away_for_a_moment_is_not_inspected_again(studio, tmp_path):
    server = watched(studio, tmp_path)
    parts(tmp_path / "incoming", 3)
    counted(server, 3)
    (tmp_path / "incoming").rename(tmp_path / "away")
    until(lambda: server.get("api/live")["error"])
    (tmp_path / "incoming").mkdir()
    until(lambda: server.get("api/live")["error"] is None)
    (tmp_path / "incoming").rmdir()
    (tmp_path / "away").rename(tmp_path / "incoming")
    parts(tmp_path / "incoming", 1, first=30)
    live = counted(server, 4)
    assert live["recent"][0]["path"] == "incoming/030.png" and live["error"] is None
    parts(tmp_path / "incoming", 1, first=31)
    assert counted(server, 5)["recent"][0]["path"] == "incoming/031.png"


def test_a_full_disk_does_not_stop_the_inspection(small_disk, studio):
    server = studio(small_disk, env={"NPAD_STUDIO_FAKE_CAMERA": "1"})
    server.wait(server.post("api/capture", {"camera": "Fake_1", "count": 6}))
    server.teach(["good"])
    server.post("api/live", {"camera": "Fake_1"})
    counted(server, 2)
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while filler.write(bytes(size)) == size:
                    pass
    live = until(lambda: (live := server.get("api/live"))["error"] and live["output_errors"] and live)
    assert "not kept" in live["error"] and "live.jsonl" in live["output_errors"][0], live
    counted(server, live["count"] + 3)
    (small_disk / "filler").unlink()
    live = until(lambda: (live := server.get("api/live"))["error"] is None and not live["output_errors"] and live)
    counted(server, live["count"] + 2)
    server.stop()
    assert all(line["path"] for line in lines_of(small_disk)), "every line is whole"
