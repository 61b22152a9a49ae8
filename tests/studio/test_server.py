"""What the server does without the page: who may ask, what comes in, and what a fault leaves behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import LESSON, NPAD, parts, png, scores_of, until

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
    # A link on another site leads there as well, and then to the page itself.
    status, headers, page = server.request("GET", "/" + server.token, headers={"sec-fetch-site": "cross-site"})
    assert status == 200 and b'http-equiv="refresh" content="0;url=/"' in page
    cookie = headers["set-cookie"].split(";")[0]
    port = server.url.rsplit(":")[-1].strip("/")
    assert cookie.startswith(f"npad-studio-{port}="), "each studio of a machine has its own"
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
        assert status == 400 and "the page cannot choose" in json.loads(body)["error"]


def test_links_lead_nowhere(studio, tmp_path):
    outside, project = tmp_path / "outside", tmp_path / "project"
    parts(outside, 3)
    parts(project / "part", 5)
    parts(project / "test/spot", 1, defective=True)
    (project / "ground_truth/spot").mkdir(parents=True)
    (project / "ground_truth/spot/000_mask.png").symlink_to(outside / "000.png")
    (project / "good").symlink_to(outside)
    (project / "npad-studio").mkdir()
    (project / "npad-studio/frames").symlink_to(outside)
    for name in ("marks.json", "live.jsonl", "lock"):
        (project / "npad-studio" / name).symlink_to(outside / "001.png")
    (outside / ".npad-studio-other").write_bytes(b"of another studio")
    (project / "inspect").symlink_to(outside)
    os.mkfifo(project / "part/pipe.png")
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    for name in ("lock", "marks.json"):
        refused = subprocess.run([NPAD, "studio", project, "--port", "0"], capture_output=True, text=True)
        assert refused.returncode == 1 and f"npad-studio/{name}" in refused.stderr and "not a path inside" in refused.stderr
        (project / "npad-studio" / name).unlink()
    server = studio(project, env={"NPAD_STUDIO_FAKE_CAMERA": "1"})
    status, _, body = server.request("PUT", "api/upload?folder=good&name=a.png", png(1))
    assert status == 400 and "not a path inside" in json.loads(body)["error"]
    server.teach(["part"])
    assert not any(image["mask"] for image in server.get("api/images", version=1)["images"])
    status, _, body = server.request("POST", "api/live", {"camera": "Fake_1"})
    assert status == 400 and "live.jsonl" in json.loads(body)["error"]
    (project / "npad-studio/live.jsonl").unlink()
    server.post("api/live", {"camera": "Fake_1"})
    live = until(lambda: (live := server.get("api/live"))["count"] >= 2 and live["error"] and live)
    assert "not kept" in live["error"]
    server.post("api/live", {"stop": True})
    for path in ("part/pipe.png", "part"):
        assert server.request("POST", "api/mark", {"path": path, "label": "good"})[0] == 400, path
    assert server.request("GET", "api/picture?path=part/pipe.png")[0] == 400
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
    project.rename(tmp_path / "gone")
    status, _, body = server.request("PUT", "api/upload?folder=good&name=a.png", png(1))
    assert status == 404 and not project.exists(), "no new folder of that name"


def test_who_says_nothing_holds_nobody_up(studio, tmp_path):
    parts(tmp_path / "good", 4)
    server = studio()
    place = ("127.0.0.1", int(server.url.rsplit(":")[-1].strip("/")))
    silent = [socket.create_connection(place) for _ in range(200)]
    head = "PUT /api/upload?folder=good&name=a.png HTTP/1.1\r\nhost: localhost\r\nx-npad-studio: 1\r\ncontent-length: 1000\r\n\r\n"
    stalled = [socket.create_connection(place) for _ in range(6)]
    for connection in stalled:
        connection.sendall(head.encode() + b"abc")
    assert server.request("PUT", "api/upload?folder=good&name=b.png", png(1))[0] == 200
    assert server.get("api/project")["folders"][0]["images"] == 5
    for connection in silent + stalled:
        connection.close()


def test_uploads_are_images_of_a_limited_size_and_overwrite_nothing(studio, tmp_path):
    server = studio()

    def upload(name, data, folder="good"):
        status, _, body = server.request("PUT", f"api/upload?folder={folder}&name={name}", data)
        return status, json.loads(body or b"{}")

    first, second = png(1), png(2)
    assert upload("a.png", first) == (200, {"path": "good/a.png"})
    assert upload("a.png", first) == (200, {"path": "good/a.png"}), "the same image comes in once"
    assert upload("a.png", second) == (200, {"path": "good/a-2.png"})
    assert upload("b%23%3F%25%20%C3%A4.png", first, "inspect") == (200, {"path": "inspect/b#?% ä.png"})
    for name in ("..%2Fevil.png", "%2Fevil.png", ".png", ".hidden.png", "evil.exe", "a%00.png", "evil%5Ca.png"):
        status, body = upload(name, first)
        assert status == 400 and "name of an image" in body["error"], name
    status, body = upload("c.png", first[:-20])
    assert status == 400 and "c.png" in body["error"]
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

    server.post("api/current", {"version": 1})
    server.stop()
    again = studio()
    project = again.get("api/project")
    assert (project["current"], [version["number"] for version in project["versions"]]) == (1, [1, 2])
    assert (tmp_path / "npad-studio/versions/0001/model.npad").read_bytes() == model
    assert again.request("GET", "api/model?version=1")[2] == model
    assert again.request("GET", "api/model?version=9")[0] == 404
    finished = again.wait(again.post("api/report", {"version": 1}))
    assert finished["error"] is None, finished
    assert b"Anomaly detection report" in again.request("GET", "api/report?version=1")[2]


def update(server, version, point="rate", cost=None):
    return server.wait(server.post("api/update", {"version": version, "operating_point": point, "miss_cost": cost}))


def learnt(server, version):
    return {image["path"] for image in server.get("api/images", version=version)["images"] if image["learnt"]}


def test_marks_make_versions(studio, tmp_path):
    parts(tmp_path / "good", 12)
    parts(tmp_path / "test/good", 4, first=50)
    parts(tmp_path / "test/spot", 4, defective=True)
    server = studio()
    server.teach(["good"])
    mark = lambda path, label: server.post("api/mark", {"path": path, "label": label})
    marks = lambda version: server.get("api/images", version=version)["marks"]
    known = lambda version: server.get("api/project")["versions"][version - 1]["known_defects"]

    def refused(version):
        finished = update(server, version)
        assert "nothing to update" in finished["error"], finished

    refused(1)
    # A defect that was not found lowers the threshold, and good images are learnt. There is one name for a path.
    mark("./test//spot/000.png", "defective")
    mark("test/good/050.png", "good")
    assert marks(1) == 2
    finished = update(server, 1, "catch_all")
    assert finished["error"] is None and finished["version"] == 2, finished
    assert server.get("api/project")["versions"][1]["parent"] == 1
    assert learnt(server, 2) == learnt(server, 1) | {"test/good/050.png"} and len(learnt(server, 1)) == 12
    assert (known(2)["count"], known(2)["found"], marks(2)) == (1, 1, 0)

    # Without further good images, the defects move the threshold. One that cannot be read is left out.
    mark("test/spot/001.png", "defective")
    mark("test/spot/002.png", "defective")
    (tmp_path / "test/spot/002.png").write_bytes(b"torn")
    finished = update(server, 2, "cost", 100)
    assert finished["error"] is None and finished["version"] == 3, finished
    assert [skipped["path"] for skipped in finished["skipped"]] == ["test/spot/002.png"] * 2, "as a defect, and when all are scored"
    assert (known(3)["count"], known(3)["found"]) == (2, 2)
    (tmp_path / "test/spot/002.png").unlink()
    assert "nothing to update" in update(server, 3, "cost", 100)["error"], "it knows them"

    # The version that is looked at is updated, whichever is the current one.
    finished = update(server, 1, "catch_all")
    assert finished["version"] == 4 and server.get("api/project")["versions"][3]["parent"] == 1, finished

    # An image that was learnt as good and is defective is forgotten. One that is gone is told.
    (tmp_path / "good/003.png").unlink()
    mark("test/good/050.png", "defective")
    finished = update(server, 2)
    assert finished["error"] is None and finished["version"] == 5, finished
    assert [skipped["path"] for skipped in finished["skipped"]] == ["test/spot/002.png", "good/003.png"]
    assert learnt(server, 5) == learnt(server, 1) - {"good/003.png"}
    version = server.get("api/project")["versions"][4]
    assert version["images"] == 11 and version["settings"] == server.get("api/project")["versions"][0]["settings"]
    mark("test/good/050.png", None)

    # Marks that are taken back: the defect is known no longer, and the good image is learnt no longer.
    assert marks(2) == 2, "of the version that has learnt it, and does not know the second defect"
    mark("test/spot/000.png", None)
    mark("test/spot/001.png", None)
    assert marks(2) == 2
    finished = update(server, 2)
    assert finished["version"] == 6 and known(6) is None and learnt(server, 6) == learnt(server, 1) - {"good/003.png"}
    assert (marks(6), marks(5)) == (0, 3)
    status = server.wait(server.post("api/update", {"version": 6, "operating_point": "catch_all"}))
    assert "keep the false-alarm rate" in status["error"]

    # A change of mind: an image that was forgotten is learnt again.
    mark("good/001.png", "defective")
    assert marks(6) == 1
    finished = update(server, 6)
    assert finished["version"] == 7 and learnt(server, 7) == learnt(server, 6) - {"good/001.png"} and marks(7) == 0
    mark("good/001.png", "good")
    assert marks(7) == 1, "a flip is one change"
    mark("good/001.png", None)
    assert marks(7) == 1
    finished = update(server, 7)
    assert finished["version"] == 8 and learnt(server, 8) == learnt(server, 6) and known(8) is None and marks(8) == 0

    # Copies of a defect count once.
    (tmp_path / "test/spot/004.png").write_bytes((tmp_path / "test/spot/001.png").read_bytes())
    for path in ("test/spot/001.png", "test/spot/004.png"):
        mark(path, "defective")
    assert update(server, 8)["version"] == 9 and known(9)["count"] == 1 and marks(9) == 0
    assert "nothing to update" in update(server, 9)["error"]
    (tmp_path / "test/spot/004.png").unlink()

    # A good image that cannot be learnt is told, and the defects choose the threshold all the same.
    (tmp_path / "test/good/051.png").write_bytes(b"torn")
    (tmp_path / "test/good/052.png").write_bytes((tmp_path / "good/000.png").read_bytes())
    for path, label in (("test/good/051.png", "good"), ("test/good/052.png", "good"), ("test/spot/001.png", "defective")):
        mark(path, label)
    threshold = server.get("api/images", version=6)["threshold"]
    by_hand = server.post("api/thresholds", {"version": 6, "threshold": 2 * threshold, "review": 2 * threshold})["version"]
    finished = update(server, by_hand, "catch_all")
    assert finished["error"] is None and "test/good/051.png" in [skipped["path"] for skipped in finished["skipped"]]
    version = server.get("api/project")["versions"][-1]
    assert "set by hand" in version["change"] and version["known_defects"]["found"] == 1

    # A fit is not repeated from a rest of its images.
    for number in range(4, 12):
        (tmp_path / f"good/{number:03}.png").unlink()
    mark("good/000.png", "defective")
    finished = update(server, 6)
    assert "bring them back" in finished["error"], finished
    assert server.request("POST", "api/update", {"version": 99, "operating_point": "rate"})[0] == 404


def test_methods_that_cannot_resume_a_fit_repeat_it(studio, tmp_path):
    parts(tmp_path / "good", 8)
    parts(tmp_path / "more", 2, first=30)
    server = studio()
    finished = server.wait(server.post("api/teach", {**LESSON, "method": "patchcore", "options": {"size": "96x96"}}))
    assert finished["error"] is None, finished
    for number in (30, 31):
        server.post("api/mark", {"path": f"more/{number:03}.png", "label": "good"})
    (tmp_path / "more/031.png").write_bytes(b"torn")
    finished = update(server, 1)
    assert finished["version"] == 2 and len(learnt(server, 2)) == 9, finished
    assert "Taught anew from 9 images, without 1" in server.get("api/project")["versions"][1]["change"]
    # What cannot be read is no reason for another version.
    finished = update(server, 2)
    assert "nothing to update" in finished["error"] and finished["skipped"][0]["path"] == "more/031.png"
    assert len(server.get("api/project")["versions"]) == 2


def test_a_job_leaves_the_version_that_was_chosen_meanwhile(studio, tmp_path):
    parts(tmp_path / "good", 60)
    server = studio()
    server.teach(["good"])
    job = server.post("api/teach", {**LESSON, "options": {"size": "320x320"}})
    images = server.get("api/images", version=1)
    chosen = server.post("api/thresholds", {"version": 1, "threshold": 2 * images["threshold"], "review": images["threshold"]})["version"]
    assert server.get("api/status")["job"], "it takes far longer than a threshold"
    finished = server.wait(job)
    assert finished["version"] == 3 and any("version 2 was made the current one" in warning for warning in finished["warnings"])
    assert server.get("api/project")["current"] == chosen == 2


def test_scores_belong_to_files(studio, tmp_path):
    parts(tmp_path / "good", 12)
    parts(tmp_path / "test/spot", 2, defective=True)
    parts(tmp_path / "ground_truth/spot", 0)
    mask = tmp_path / "ground_truth/spot/000_mask.png"
    mask.write_bytes(png(1))
    server = studio()
    server.teach(["good"])
    tag = lambda path: server.request("GET", "api/picture?size=240&version=1&mask=1&path=" + path)[1]["etag"]
    before = scores_of(server.get("api/images", version=1))
    tags = {path: tag(path) for path in ("test/spot/000.png", "test/spot/001.png")}
    (tmp_path / "test/spot/001.png").write_bytes(png(3))
    mask.write_bytes(png(2))
    answer = server.get("api/images", version=1)
    after = scores_of(answer)
    assert after["test/spot/001.png"] is None and answer["unscored"] == 1, "the old score is not that of the new file"
    assert all(tag(path) != old for path, old in tags.items()), "nor are pictures of old files or masks shown"
    server.wait(server.post("api/score", {"version": 1}))
    answer = server.get("api/images", version=1)
    again = scores_of(answer)
    assert again["test/spot/001.png"] != before["test/spot/001.png"] and answer["unscored"] == 0
    assert again["test/spot/000.png"] == before["test/spot/000.png"]


def test_a_page_of_another_run_changes_nothing(studio, tmp_path):
    parts(tmp_path / "good", 4)
    server = studio()
    body = {"path": "good/000.png", "label": "good"}
    instance = server.get("api/status")["instance"]
    assert instance == server.get("api/project")["instance"]
    assert server.request("POST", "api/mark", body, headers={"x-npad-studio": instance})[0] == 200
    server.stop()
    again = studio()
    assert again.get("api/status")["instance"] != instance
    status, _, answer = again.request("POST", "api/mark", body, headers={"x-npad-studio": instance})
    assert status == 409 and "load the page again" in json.loads(answer)["error"]


def test_a_project_is_open_once_and_jobs_run_one_at_a_time(studio, tmp_path):
    parts(tmp_path / "good", 400)
    server = studio()
    signed = subprocess.run([NPAD, "studio", tmp_path, "--trusted-keys", "0" * 64], capture_output=True, text=True)
    assert signed.returncode == 2 and "nobody has signed" in signed.stderr
    second = subprocess.run([NPAD, "studio", tmp_path, "--port", "0"], capture_output=True, text=True)
    assert second.returncode == 1 and "another npad studio" in second.stderr
    # Of so many images, the job lasts longer than the requests by any measure.
    lesson = {**LESSON, "options": {"size": "448x448"}}
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


def test_a_full_disk_loses_nothing(small_disk, studio):
    parts(small_disk / "good", 10)
    server = studio(small_disk)
    server.teach(["good"])
    before = sorted(path.name for path in (small_disk / "npad-studio/versions").iterdir())
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    finished = server.wait(server.post("api/teach", LESSON))
    assert "space" in finished["error"], finished
    assert sorted(path.name for path in (small_disk / "npad-studio/versions").iterdir()) == before
    status, _, body = server.request("POST", "api/mark", {"path": "good/000.png", "label": "defective"})
    assert status == 500 and "space" in json.loads(body)["error"]
    assert server.request("GET", "api/picture?path=good/001.png&size=240&version=1")[0] == 200, "thumbnails need no disk"
    (small_disk / "filler").unlink()
    server.teach(["good"])
    assert len(server.get("api/project")["versions"]) == 2
    server.stop()



def test_a_studio_that_is_killed_leaves_whole_versions(studio, tmp_path):
    parts(tmp_path / "good", 12)
    server = studio()
    server.teach(["good"])
    versions = tmp_path / "npad-studio/versions"
    unfinished = lambda: [path for path in versions.iterdir() if not path.name.isdigit()]
    for number in range(6):
        server.post("api/teach", LESSON)
        # Killed while it learns, and, as well as this program can see it, while a version is being written.
        while number % 3 and not unfinished() and server.get("api/status")["job"]:
            pass
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        # In any case there is what a kill leaves there.
        shutil.copytree(versions / "0001", versions / f".npad-studio-{number}", dirs_exist_ok=True)
        server = studio()
        assert not unfinished(), "what was not finished is deleted"
        for version in server.get("api/project")["versions"]:
            model = versions / f"{version['number']:04}/model.npad"
            subprocess.run([NPAD, "score", model, tmp_path / "good/000.png"], check=True, capture_output=True)
