"""The page in a browser: teach, look, decide, revert, watch."""

import json
import re
import subprocess

from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import NPAD, parts, scores_of, solar_cells, until


MANY = 5000
PAGE = Path(__file__).parents[2] / "cli/src/studio/page"


def number(page, selector):
    """The first number of a text."""
    return int(re.search(r"\d+", page.inner_text(selector))[0])


def faint(page):
    """The visible texts whose contrast against what lies behind them, as WCAG defines it, is below 4.5."""
    return page.evaluate(
        """() => {
          const parse = (text) => text.match(/[\\d.]+/g).map(Number);
          const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const contrast = (element) => {
            let behind = element;
            while (behind && parse(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
            const back = behind ? parse(getComputedStyle(behind).backgroundColor) : [255, 255, 255];
            const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(back)].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05);
          };
          const texts = [...document.querySelectorAll("button, h1, h2, label, td, th, dt, dd, p")];
          const seen = texts.filter((e) => e.checkVisibility() && e.innerText.trim() && !e.disabled);
          if (seen.length < 5) throw new Error("hardly any text is visible");
          return seen.filter((e) => contrast(e) < 4.5).map((e) => e.innerText);
        }"""
    )


def test_teach_look_decide_and_revert(studio, tmp_path, page):
    project = tmp_path / "cells"
    solar_cells(project)
    server = studio(project)
    page.goto(server.url)
    # Teach, with a region of interest that is drawn and then corrected.
    page.click("#tab-teach")
    page.wait_for_selector(".roi-overlay")
    page.locator(".roi-overlay").scroll_into_view_if_needed()
    box = page.locator(".roi-overlay").bounding_box()
    at = lambda share: (box["x"] + share * box["width"], box["y"] + share * box["height"])
    page.mouse.move(*at(0.05))
    page.mouse.down()
    page.mouse.move(*at(0.5))
    page.mouse.move(*at(0.9))
    page.mouse.up()
    drawn = {side: int(page.input_value(f"#roi-{side}")) for side in ("x", "y", "width", "height")}
    assert all(abs(drawn[side] - expected) <= 2 for side, expected in {"x": 15, "y": 15, "width": 255, "height": 255}.items()), drawn
    page.fill("#roi-width", "280")
    page.click("#teach")
    until(lambda: server.get("api/project")["current"] == 1 and server.get("api/status")["job"] is None)
    version = server.get("api/project")["versions"][0]
    assert version["roi"] == {**drawn, "width": 280} and version["images"] == 40

    # Look: counts follow the slider at once, and are those of the scores.
    page.click("#tab-review")
    page.wait_for_selector("[data-path]")
    images = server.get("api/images", version=1)

    def expected(threshold):
        scored = [image for image in images["images"] if image["score"] is not None and image["label"] and not image["learnt"]]
        alarms = sum(image["score"] > threshold for image in scored if image["label"] == "good")
        misses = sum(image["score"] <= threshold for image in scored if image["label"] == "defective")
        return alarms, misses

    counts = lambda: (number(page, "#false-alarms"), number(page, "#misses"))
    until(lambda: counts() == expected(images["threshold"]))  # the page asks each second
    before = counts()
    page.focus("#threshold")
    page.keyboard.press("Home")
    lowest = counts()
    assert lowest[0] >= before[0] and lowest[1] <= before[1] and lowest != before
    page.keyboard.press("End")
    assert counts()[0] == 0 and counts()[1] > 0
    slider = float(page.eval_on_selector("#threshold", "element => element.value"))
    if slider > images["typical"]:
        assert counts() == expected(slider)

    # Save it as a version.
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.click("#save-thresholds")
    until(lambda: server.get("api/project")["current"] == 2)

    # Mark two images and update.
    page.click("#tab-review")
    for path in ("test/good", "test/broken"):
        button = "#mark-good" if path.endswith("good") else "#mark-defective"
        page.fill("#find", path)  # only the cards in view are there
        page.locator(f'[data-path^="{path}"]').first.click()
        page.click(button)
    page.fill("#find", "")
    until(lambda: server.get("api/images", version=2)["marks"] == 2)
    page.click("#update")
    until(lambda: server.get("api/project")["current"] == 3 and server.get("api/status")["job"] is None)
    third = server.get("api/project")["versions"][2]
    assert third["images"] == 41 and third["known_defects"]["count"] == 1

    # Revert.
    page.click("#tab-versions")
    page.click('[data-version="1"] .make-current')
    until(lambda: server.get("api/project")["current"] == 1)
    assert [version["number"] for version in server.get("api/project")["versions"]] == [1, 2, 3]

    # The model that is downloaded gives the same scores.
    with page.expect_download() as download:
        page.click('[data-version="3"] .download')
    model = tmp_path / "model.npad"
    download.value.save_as(model)
    files = sorted((project / "test/broken").iterdir())
    output = subprocess.run([NPAD, "score", model, "--json", *files], capture_output=True, text=True, check=True).stdout
    scores = scores_of(server.get("api/images", version=3))
    assert {str(Path(line["path"]).relative_to(project)): line["score"] for line in map(json.loads, output.splitlines())} == {
        str(path.relative_to(project)): scores[str(path.relative_to(project))] for path in files
    }

    # Watch a folder.
    (project / "incoming").mkdir()
    parts(project / "incoming", 1, first=5)
    page.reload()
    page.click("#tab-live")
    page.fill("#live-folder", "incoming")
    page.click("#live-start")
    until(lambda: server.get("api/live")["running"])
    for path in files[:3]:
        (project / "incoming" / path.name).write_bytes(path.read_bytes())
    until(lambda: page.locator("#live-rows > *").count() >= 3)
    assert page.inner_text("#live-errors") == ""
    page.click("#live-stop")
    until(lambda: not server.get("api/live")["running"])

    # The programs that use the model.
    page.click("#tab-use")
    page.wait_for_selector("#use-view code")
    shown = page.locator("#use-view code").all_inner_texts()
    assert [text.strip() for text in shown] == [(PAGE / name).read_text().strip() for name in ("score.cpp", "Score.cs")]


def test_thousands_of_images_and_hostile_names(studio, tmp_path, page):
    parts(tmp_path / "good", 12)
    many = tmp_path / "many"
    many.mkdir()
    data = (tmp_path / "good/003.png").read_bytes()
    for index in range(MANY):
        (many / f"{index:05}.png").write_bytes(data)
    hostile = ["<img src=x onerror=alert(1)>.png", "a'b\"c#d?e%f&g.png", "größe 検査.png"]
    for name in hostile:
        (tmp_path / "good" / name).write_bytes(data + name.encode())
    (many / "broken.png").write_bytes(b"not an image")
    server = studio()
    finished = server.teach(["good"])
    assert [skipped["path"] for skipped in finished["skipped"]] == ["many/broken.png"]
    page.goto(server.url)
    page.click("#tab-review")
    page.wait_for_selector("[data-path]")
    assert page.locator("[data-path]").count() < 200
    scrolled = page.evaluate(
        """async () => {
          const start = performance.now();
          let most = 0;
          for (let step = 0; step < 40; step++) {
            const scroller = [...document.querySelectorAll('*')].filter((e) => e.scrollHeight > 5000 && e.scrollHeight > e.clientHeight)
              .sort((a, b) => b.scrollHeight - a.scrollHeight);
            for (const element of [document.scrollingElement, ...scroller]) element.scrollTop += element.scrollHeight / 40;
            await new Promise(requestAnimationFrame);
            most = Math.max(most, document.querySelectorAll('[data-path]').length);
          }
          return most;
        }"""
    )
    assert scrolled < 200
    for name in hostile:
        answer = server.request("GET", "api/picture?size=240&path=" + quote("good/" + name))
        assert answer[0] == 200 and answer[1]["content-type"] == "image/jpeg"
    assert page.evaluate("document.querySelectorAll('img[src=\"x\"]').length") == 0


def test_two_browsers_see_the_same(studio, tmp_path, new_page):
    parts(tmp_path / "good", 12)
    parts(tmp_path / "test/spot", 3, defective=True)
    server = studio()
    first, second = new_page(), new_page()
    for page in (first, second):
        page.goto(server.url)
        page.click("#tab-versions")
    server.teach(["good"])
    for page in (first, second):
        page.wait_for_selector('[data-version="1"]')
    threshold = server.get("api/images", version=1)["threshold"]
    server.post("api/thresholds", {"version": 1, "threshold": 1.5 * threshold, "review": threshold})
    for page in (first, second):
        page.wait_for_selector('[data-version="2"]')


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_desktop_and_a_phone(studio, tmp_path, new_page, width, height, scheme):
    parts(tmp_path / "good", 12)
    parts(tmp_path / "test/good", 4, first=30)
    parts(tmp_path / "test/spot", 3, defective=True)
    server = studio()
    server.teach(["good"])
    page = new_page(width, height, color_scheme=scheme)
    page.goto(server.url)
    loaded = {
        "teach": "#teach-view .roi-image",
        "review": "[data-path] img",
        "versions": '[data-version="1"]',
        "live": "#live-view dd",
        "use": "#use-view code",
    }
    for tab, content in loaded.items():
        page.click(f"#tab-{tab}")
        page.wait_for_selector(content)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
        assert faint(page) == [], tab
    # Every tab by keyboard.
    page.focus("#tab-use")
    for tab in ("teach", "review", "versions", "live", "use"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{tab}" and page.is_visible(f"#{tab}-view")
    page.evaluate("document.querySelector('h1').style.color = 'rgb(128, 128, 128)'")
    assert faint(page) == ["npad studio"], "what is faint would be found"
