// @ts-check
// Teach: the good images, the settings and the region that a version is made of.

import * as api from "./api.js";
import { cameraPicker } from "./cameras.js";
import { button, byId, checkbox, field, fill, h } from "./dom.js";
import { plural } from "./format.js";
import { oneAtATime, startJob } from "./jobs.js";
import { attempt, show } from "./message.js";
import { OptionsForm } from "./options.js";
import { RoiEditor } from "./roi.js";
import { GOOD, dropZone } from "./upload.js";

/** @import { Store } from "./store.js" */

/** @param {Store} store */
export function showTeach(store) {
  const intro = h("p", { class: "lead" });
  const folders = new FolderList();
  const settings = new OptionsForm();
  const roi = new RoiEditor();
  const camera = cameraPicker("capture-camera");
  const count = h("input", { type: "number", min: 1, max: 1000, value: "10", id: "capture-count" });
  const capture = button("Capture images", () => {
    const id = camera.value();
    if (id) startJob(store, () => api.capture(id, Number(count.value)));
    else show("Choose a camera first.", [], "alert");
  });
  const cameras = h(
    "div",
    { class: "panel-part", hidden: true },
    h("h3", {}, "Capture from a camera"),
    h("div", { class: "row" }, camera.element, field("Images to capture", count), oneAtATime(store, capture)),
  );
  const teach = button("Teach", () => start(store, folders, settings, roi), { id: "teach", class: "primary" });
  const takeOver = button("Use the settings of this version", () => {
    const version = store.version;
    if (!version) return;
    settings.take(version.method, version.settings);
    roi.set(version.roi);
  });
  fill(
    byId("teach-view"),
    intro,
    h(
      "section",
      { class: "panel" },
      h("h2", {}, "Good images"),
      folders.element,
      dropZone(store, () => folders.choose(GOOD)),
      cameras,
    ),
    h("section", { class: "panel" }, h("h2", {}, "Settings"), takeOver, settings.element),
    h("section", { class: "panel" }, h("h2", {}, "Region of interest"), roi.element),
    h("div", { class: "actions sticky" }, oneAtATime(store, teach), folders.summary),
  );
  attempt(async () => settings.fill(await api.options()));

  const showSample = async () => {
    const { project } = store;
    if (!project || store.tab !== "teach") return;
    const chosen = folders.chosen();
    // A project without a version may have no list of images; the region can then be typed.
    const answer = await store.images(project.current).catch(() => null);
    const paths = (answer?.images ?? []).filter((image) => !image.error).map((image) => image.path);
    roi.setSamples(paths.filter((path) => chosen.some((folder) => inside(path, folder))));
  };
  folders.onchange = showSample;
  const showTakeOver = () => {
    const { version } = store;
    takeOver.hidden = version === null;
    if (version) takeOver.textContent = `Use the settings of version ${version.number}`;
  };
  store.on("view", showSample);
  store.on("view", showTakeOver);
  store.on("project", () => {
    const { project, version } = store;
    if (!project) return;
    intro.textContent = introduction(project.folders.length > 0, version !== null);
    folders.fill(project.folders);
    cameras.hidden = !project.cameras;
    showTakeOver();
    showSample();
  });
}

/**
 * @param {boolean} images
 * @param {boolean} taught
 */
function introduction(images, taught) {
  if (taught) return "Teaching makes a new version. The versions so far stay as they are.";
  if (images) return "This project has no version yet. Choose the folders of good images, then press Teach.";
  return "This project has no images yet. Add at least some 20 images of good parts, then press Teach.";
}

/**
 * Whether an image lies in a folder itself.
 * @param {string} path
 * @param {string} folder
 */
function inside(path, folder) {
  const cut = path.lastIndexOf("/");
  return (cut < 0 ? "." : path.slice(0, cut)) === (folder || ".");
}

/**
 * @param {Store} store
 * @param {FolderList} folders
 * @param {OptionsForm} settings
 * @param {RoiEditor} roi
 */
function start(store, folders, settings, roi) {
  const chosen = folders.chosen();
  if (chosen.length === 0) return show("Choose at least one folder of good images.", [], "alert");
  const request = { folders: chosen, method: settings.method(), options: settings.changed(), roi: roi.value() };
  return startJob(store, () => api.teach(request));
}

/** The folders of the project, of which some are taught. */
class FolderList {
  element = h("div", { class: "folders", role: "group", "aria-label": "Folders of good images" });
  summary = h("p", { class: "muted", "aria-live": "polite" });
  onchange = () => {};

  /** @type {import("./types.js").Folder[]} */
  #folders = [];
  /** @type {Map<string, boolean>} What the operator has chosen; the rest goes by the folders' names */
  #choices = new Map();

  /** @param {import("./types.js").Folder[]} folders */
  fill(folders) {
    this.#folders = folders;
    const boxes = folders.map(({ path, images, label }) => {
      const text = h(
        "span",
        {},
        path || ".",
        " ",
        h("small", {}, [plural(images, "image"), label].filter(Boolean).join(", ")),
      );
      const change = (/** @type {boolean} */ checked) => {
        this.#choices.set(path, checked);
        this.#update();
      };
      return checkbox(text, this.#isChosen(path, label), change, { "data-folder": path });
    });
    fill(
      this.element,
      ...(boxes.length > 0 ? boxes : [h("p", {}, "There are no images in the project's folder yet.")]),
    );
    this.#update();
  }

  /** @param {string} path */
  choose(path) {
    this.#choices.set(path, true);
    this.fill(this.#folders);
  }

  chosen() {
    return this.#folders.filter(({ path, label }) => this.#isChosen(path, label)).map(({ path }) => path);
  }

  /**
   * @param {string} path
   * @param {string | null} label
   */
  #isChosen(path, label) {
    // Good images of a test are there to measure the model, which must not have learnt them.
    return this.#choices.get(path) ?? (label === "good" && !path.split("/").includes("test"));
  }

  #update() {
    const chosen = this.#folders.filter(({ path, label }) => this.#isChosen(path, label));
    const images = chosen.reduce((sum, folder) => sum + folder.images, 0);
    this.summary.textContent = `${plural(images, "image")} in ${plural(chosen.length, "folder")} will be learnt.`;
    this.onchange();
  }
}
