// @ts-check
// One image, large, with what the model says about it and what the operator may say.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { button, checkbox, fill, h } from "./dom.js";
import { calibrated, plural, score } from "./format.js";

/** @import { Decision, Thresholds } from "./judge.js" */
/** @import { Label, ScoredImage } from "./types.js" */

/** Milliseconds after which the map follows the thresholds. */
const PAUSE = 300;

/**
 * What is shown of an image.
 * @typedef {object} View
 * @property {ScoredImage} image
 * @property {number} version
 * @property {Thresholds} at
 * @property {boolean} moved whether the thresholds differ from those of the version
 * @property {Decision} decision
 * @property {number | null} calibrated
 * @property {string} position such as "3 of 60"
 */

export class Detail {
  /** @type {(steps: number) => void} */
  onstep = () => {};
  /** @type {(label: Label) => void} */
  onmark = () => {};
  onclose = () => {};

  /** @type {View | null} */
  #view = null;
  #pause = 0;
  #withMap = true;
  #withMask = false;
  #picture = h("img", { alt: "" });
  #broken = h("p", { class: "empty", hidden: true });
  #original = h("a", { target: "_blank", class: "button" }, "Full size");
  #title = h("h2", { class: "path" });
  #facts = h("div", { class: "facts" });
  #position = h("span", { class: "muted" });
  #mask = checkbox("Ground truth", false, (checked) => {
    this.#withMask = checked;
    this.#load();
  });
  #marks = {
    good: button("Mark good (G)", () => this.onmark("good"), { id: "mark-good", "aria-keyshortcuts": "g" }),
    defective: button("Mark defective (D)", () => this.onmark("defective"), {
      id: "mark-defective",
      "aria-keyshortcuts": "d",
    }),
    none: button("Unmark (U)", () => this.onmark(null), { id: "unmark", "aria-keyshortcuts": "u" }),
  };
  #close = button("Close", () => this.onclose(), { class: "close" });
  #content = h(
    "div",
    { class: "content", hidden: true },
    h("div", { class: "row between" }, this.#title, this.#close),
    this.#facts,
    h("figure", {}, this.#picture, this.#broken),
    h(
      "div",
      { class: "row" },
      button("Previous", () => this.onstep(-1), { id: "previous", "aria-keyshortcuts": "ArrowLeft" }),
      button("Next", () => this.onstep(1), { id: "next", "aria-keyshortcuts": "ArrowRight" }),
      this.#position,
      checkbox("Map and regions", true, (checked) => {
        this.#withMap = checked;
        this.#load();
      }),
      this.#mask,
      this.#original,
    ),
    h("div", { class: "row" }, ...Object.values(this.#marks)),
  );
  #nothing = h("p", { class: "empty" }, "Choose an image to see it here.");

  element = h("section", { class: "panel detail", "aria-label": "Chosen image" }, this.#nothing, this.#content);

  constructor() {
    this.#picture.addEventListener("load", () => this.#loaded(true));
    this.#picture.addEventListener("error", () => this.#loaded(false));
  }

  /** Moves the focus into a panel that covers the page. */
  focus() {
    if (this.#close.offsetParent) this.#close.focus();
  }

  /** @param {View | null} view */
  show(view) {
    const before = this.#view;
    this.#view = view;
    this.#content.hidden = view === null;
    this.#nothing.hidden = view !== null;
    if (!view) return;
    const { image, decision, position } = view;
    this.#title.textContent = image.path;
    this.#position.textContent = position;
    this.#mask.hidden = !image.mask;
    this.#original.href = api.picture(image.path, 0);
    this.#marks.good.setAttribute("aria-pressed", String(image.marked && image.label === "good"));
    this.#marks.defective.setAttribute("aria-pressed", String(image.marked && image.label === "defective"));
    this.#marks.none.disabled = !image.marked;
    fill(this.#facts, badge(decision), ...this.#words(view));
    clearTimeout(this.#pause);
    if (before?.image.path !== image.path || before.version !== view.version) this.#load();
    else this.#pause = setTimeout(() => this.#load(), PAUSE);
  }

  /** @param {View} view */
  #words({ image, calibrated: value, moved }) {
    if (image.error !== null) return [h("span", { class: "error" }, image.error)];
    const source = image.marked ? "marked" : "label";
    return [
      value !== null && h("strong", {}, calibrated(value)),
      image.score !== null && h("span", {}, `score ${score(image.score)}`),
      // They are counted at the thresholds of the version.
      image.score !== null && image.regions !== null && !moved && h("span", {}, plural(image.regions, "region")),
      h("span", {}, image.label ? `${source} ${image.label}` : "no label"),
      image.learnt && h("span", {}, "learnt"),
      image.width !== null && h("span", {}, `${image.width} x ${image.height} pixels`),
    ];
  }

  #load() {
    if (!this.#view) return;
    const { image, version, at, moved } = this.#view;
    const drawn = this.#withMap && image.score !== null;
    const map = { version, ...(moved ? at : {}) };
    const mask = this.#withMask && image.mask;
    const address = api.picture(image.path, api.LARGE, { ...(drawn ? map : {}), mask, of: image.stamp });
    if (image.error !== null) {
      // The picture before must neither arrive late nor count as shown.
      this.#picture.removeAttribute("src");
      return this.#loaded(false);
    }
    if (this.#picture.getAttribute("src") === address) return;
    this.#picture.src = address;
    this.#picture.alt = drawn ? `${image.path} with its anomaly map` : image.path;
    this.#picture.classList.add("loading");
  }

  /** @param {boolean} good */
  #loaded(good) {
    this.#picture.classList.remove("loading");
    this.#picture.hidden = !good;
    this.#broken.hidden = good;
    this.#broken.textContent = this.#view?.image.error
      ? "There is no picture to show."
      : "The picture could not be loaded.";
  }
}
