// @ts-check
// Live: a folder or a camera that is watched, image by image.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { cameraPicker } from "./cameras.js";
import { button, byId, field, fill, h } from "./dom.js";
import { calibrated, plural, time } from "./format.js";
import { describeDrift } from "./drift.js";
import { LiveChart } from "./livechart.js";
import { calibrate } from "./judge.js";
import { attempt, show } from "./message.js";

/** @import { Store } from "./store.js" */
/** @import { Live, LiveImage } from "./types.js" */

/** Milliseconds between two questions for the state. */
const POLL = 1000;

/** @param {Store} store */
export function showLive(store) {
  const panel = new LivePanel(store);
  store.on("view", () => panel.follow(store.tab === "live"));
}

class LivePanel {
  #store;
  #timer = 0;
  #following = false;
  /** The image that is shown: its time and number, since each start counts anew */
  #newest = "";

  #names = h("datalist", { id: "live-folders" });
  #folder = h("input", {
    type: "text",
    id: "live-folder",
    list: "live-folders",
    autocomplete: "off",
    spellcheck: "false",
  });
  #camera = cameraPicker("live-camera");
  #start = button("Start watching the folder", () => this.#watch({ folder: this.#folder.value.trim() }), {
    id: "live-start",
    class: "primary",
  });
  #startCamera = button("Start watching the camera", () => this.#startWithCamera(), { id: "live-start-camera" });
  #stop = button("Stop", () => this.#set({ stop: true }), { id: "live-stop", disabled: true });
  #cameras = h("div", { class: "row", hidden: true }, this.#camera.element, this.#startCamera);
  #state = h("p", { id: "live-state" });
  #errors = h("div", { id: "live-errors", role: "alert" });
  #verdict = h("div", { class: "big-verdict", "aria-live": "polite" });
  #picture = h("img", { alt: "Newest image", hidden: true });
  #counted = h("h2", {}, "Counts");
  #counts = h("dl", { class: "figures", id: "live-counts" });
  #drift = h("div", { id: "live-drift" });
  #outputs = h("ul", {});
  #rows = h("tbody", { id: "live-rows" });
  #chart = new LiveChart();

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    this.#picture.addEventListener("error", () => (this.#picture.hidden = true));
    const columns = ["Number", "Time", "Version", "Verdict", "Score", "Regions", "Time taken", "Image"].map((text) =>
      h("th", { scope: "col" }, text),
    );
    const note = "Watch a folder within the project or a camera. New images are judged as they come.";
    fill(
      byId("live-view"),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, "Source"),
        h("p", { class: "note" }, note),
        h("div", { class: "row" }, field("Folder", this.#folder), this.#names, this.#start, this.#stop),
        this.#cameras,
        this.#state,
        this.#errors,
      ),
      h(
        "div",
        { class: "live" },
        h("section", { class: "panel newest", "aria-label": "Newest image" }, this.#verdict, this.#picture),
        h(
          "div",
          {},
          h("section", { class: "panel" }, this.#counted, this.#counts),
          h("section", { class: "panel" }, h("h2", {}, "Calibrated score over time"), this.#chart.element),
          h("section", { class: "panel" }, h("h2", {}, "Drift"), this.#drift),
          h("section", { class: "panel" }, h("h2", {}, "Outputs"), this.#outputs),
        ),
      ),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, "Recent images"),
        h(
          "div",
          { class: "scroll", tabindex: "0", role: "group", "aria-label": "Recent images" },
          h("table", { class: "recent" }, h("thead", {}, h("tr", {}, ...columns)), this.#rows),
        ),
      ),
    );
    store.on("project", () => {
      const { project } = store;
      if (!project) return;
      fill(this.#names, ...project.folders.map(({ path }) => h("option", { value: path })));
      this.#cameras.hidden = !project.cameras;
    });
  }

  /**
   * Keeps asking for the state while the tab is looked at.
   * @param {boolean} following
   */
  follow(following) {
    if (following === this.#following) return;
    this.#following = following;
    clearTimeout(this.#timer);
    if (following) this.#poll();
  }

  async #poll() {
    await this.#ask();
    clearTimeout(this.#timer);
    if (this.#following) this.#timer = setTimeout(() => this.#poll(), POLL);
  }

  async #ask() {
    try {
      this.#show(await api.live());
    } catch (error) {
      this.#showErrors([error instanceof Error ? error.message : String(error)]);
    }
  }

  #startWithCamera() {
    const id = this.#camera.value();
    if (id) this.#watch({ camera: id });
    else show("Choose a camera first.", [], "alert");
  }

  /** @param {{ folder: string } | { camera: string }} source */
  #watch(source) {
    if (this.#store.project?.current === null) show("There is no model yet. Teach good images first.", [], "alert");
    else if ("folder" in source && source.folder === "") show("Type or choose the folder to watch.", [], "alert");
    else this.#set(source);
  }

  /** @param {{ folder: string } | { camera: string } | { stop: true }} request */
  async #set(request) {
    await attempt(() => api.setLive(request));
    await this.#ask();
  }

  /** @param {Live} live */
  #show(live) {
    const { running, source, version, error, output_errors: outputErrors } = live;
    this.#start.disabled = running;
    this.#startCamera.disabled = running;
    this.#stop.disabled = !running;
    const watched = `Watching ${source}${version === null ? "" : ` with version ${version}`}.`;
    this.#state.textContent = running
      ? watched
      : "Nothing is being watched. Choose a folder or a camera, then press Start.";
    this.#showErrors([...(error ? [error] : []), ...outputErrors]);
    this.#showNewest(live);
    // They begin anew with another version.
    this.#counted.textContent = version === null ? "Counts" : `Counts of version ${version}`;
    const figures = [
      ["Images", live.count],
      ["Good", live.good],
      ["Review", live.review],
      ["Defective", live.defective],
      ["Unreadable", live.unreadable],
      ...(live.skipped > 0 ? [["Skipped", live.skipped]] : []),
      ["Images per second", live.per_second.toFixed(1)],
      ["Median time per image", milliseconds(live.ms_median)],
    ];
    fill(this.#counts, ...figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    this.#chart.show(live.history, this.#reviewLine(version));
    fill(this.#drift, ...describeDrift(live.drift));
    const outputs = live.outputs.length > 0 ? live.outputs : ["Results are shown here only."];
    fill(this.#outputs, ...outputs.map((output) => h("li", {}, output)));
    fill(this.#rows, ...live.recent.map(row));
  }

  /**
   * Where images begin to need a review on the calibrated scale; null if there is no review.
   * @param {number | null} number of the version
   */
  #reviewLine(number) {
    const version = this.#store.find(number);
    if (!version || version.review >= version.threshold) return null;
    return calibrate(version.review, version.typical, version.threshold);
  }

  /** @param {string[]} errors */
  #showErrors(errors) {
    // An alert that is written anew is read out anew.
    if (errors.join("\n") === [...this.#errors.children].map((line) => line.textContent).join("\n")) return;
    fill(this.#errors, ...errors.map((error) => h("p", { class: "error" }, error)));
  }

  /** @param {Live} live */
  #showNewest({ recent: [newest] }) {
    if (!newest) {
      this.#newest = "";
      this.#picture.hidden = true;
      return fill(this.#verdict, h("p", { class: "empty" }, "No image has come yet."));
    }
    const name = `${newest.time} ${newest.number}`;
    if (name === this.#newest) return;
    this.#newest = name;
    const value = newest.calibrated === null ? "" : calibrated(newest.calibrated);
    fill(this.#verdict, badge(newest.verdict), h("span", { class: "score" }, value));
    this.#picture.hidden = newest.verdict === "error";
    if (newest.verdict !== "error") {
      this.#picture.src = api.picture(newest.path, api.LARGE, { version: newest.version, of: newest.time });
    }
  }
}

/** @param {number | null} value */
function milliseconds(value) {
  return value === null ? "" : `${value.toFixed(1)} ms`;
}

/** @param {LiveImage} image */
function row(image) {
  const cells = [
    String(image.number),
    time(image.time),
    image.version === null ? "" : String(image.version),
    badge(image.verdict),
    image.calibrated === null ? "" : calibrated(image.calibrated),
    image.regions === null ? "" : plural(image.regions, "region"),
    milliseconds(image.ms),
    image.error ? `${image.path}: ${image.error}` : image.path,
  ];
  return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
}
