// @ts-check
// The region of interest, drawn on a sample image or typed.

import * as api from "./api.js";
import { button, field, fill, h, s } from "./dom.js";

/** @import { Rectangle } from "./types.js" */

/** @type {(keyof Rectangle)[]} */
const SIDES = ["x", "y", "width", "height"];
const NAMES = { x: "Left (x)", y: "Top (y)", width: "Width", height: "Height" };

export class RoiEditor {
  #image = h("img", { alt: "Sample image", class: "roi-image" });
  #box = s("rect", { class: "roi-box" });
  #overlay = s("svg", { class: "roi-overlay", "aria-hidden": "true" }, this.#box);
  #stage = h("div", { class: "roi-stage", hidden: true }, this.#image, this.#overlay);
  #state = h("p", { class: "muted", "aria-live": "polite" });
  #next = button("Another image", () => this.#showSample(this.#at + 1), { hidden: true });
  #remove = button("Remove the region", () => this.set(null));
  #inputs = SIDES.map((side) =>
    h("input", { type: "number", min: side === "x" || side === "y" ? 0 : 1, id: `roi-${side}` }),
  );

  /** @type {Rectangle | null} */
  #roi = null;
  /** @type {string[]} */
  #samples = [];
  #at = 0;

  element = h(
    "div",
    { class: "panel-part" },
    h("p", {}, "Only the region is learnt and scored. Draw it on the image, or type it in pixels."),
    this.#stage,
    h("div", { class: "row" }, ...this.#inputs.map((input, at) => field(NAMES[SIDES[at]], input))),
    h("div", { class: "row" }, this.#remove, this.#next, this.#state),
  );

  constructor() {
    this.#image.addEventListener("load", () => this.#draw());
    this.#image.addEventListener("error", () => (this.#stage.hidden = true));
    for (const input of this.#inputs) input.addEventListener("input", () => this.#type());
    this.#drag();
    this.set(null);
  }

  value() {
    return this.#roi;
  }

  /** @param {Rectangle | null} roi */
  set(roi) {
    this.#roi = roi;
    for (const [at, side] of SIDES.entries()) this.#inputs[at].value = roi ? String(roi[side]) : "";
    this.#draw();
  }

  /**
   * The images that can be drawn on.
   * @param {string[]} paths
   */
  setSamples(paths) {
    const shown = this.#samples[this.#at];
    this.#samples = paths;
    this.#next.hidden = paths.length < 2;
    if (paths.length === 0) this.#stage.hidden = true;
    else if (!paths.includes(shown)) this.#showSample(0);
    else this.#at = paths.indexOf(shown);
  }

  /** @param {number} at */
  #showSample(at) {
    this.#at = at % this.#samples.length;
    this.#image.src = api.picture(this.#samples[this.#at], 0);
  }

  /** Takes what was typed once it is a region. */
  #type() {
    const [x, y, width, height] = this.#inputs.map((input) =>
      input.value === "" ? NaN : Math.round(Number(input.value)),
    );
    const valid = x >= 0 && y >= 0 && width > 0 && height > 0;
    this.#roi = valid ? { x, y, width, height } : null;
    this.#draw();
  }

  #drag() {
    /** @type {{ x: number, y: number } | null} */
    let from = null;
    this.#overlay.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return;
      this.#overlay.setPointerCapture(event.pointerId);
      from = this.#point(event);
    });
    this.#overlay.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = this.#point(event);
      const [width, height] = [Math.abs(to.x - from.x), Math.abs(to.y - from.y)];
      if (width > 0 && height > 0) this.set({ x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), width, height });
    });
    for (const end of ["pointerup", "pointercancel"]) this.#overlay.addEventListener(end, () => (from = null));
  }

  /**
   * The pixel of the image under the pointer.
   * @param {PointerEvent} event
   */
  #point(event) {
    const { left, top, width, height } = this.#overlay.getBoundingClientRect();
    const { naturalWidth, naturalHeight } = this.#image;
    const along = (/** @type {number} */ share, /** @type {number} */ most) =>
      Math.round(Math.min(Math.max(share, 0), 1) * most);
    return {
      x: along((event.clientX - left) / width, naturalWidth),
      y: along((event.clientY - top) / height, naturalHeight),
    };
  }

  #draw() {
    const { naturalWidth, naturalHeight } = this.#image;
    this.#stage.hidden = naturalWidth === 0;
    this.#overlay.setAttribute("viewBox", `0 0 ${naturalWidth || 1} ${naturalHeight || 1}`);
    const roi = this.#roi;
    this.#remove.disabled = roi === null && this.#inputs.every((input) => input.value === "");
    this.#box.toggleAttribute("hidden", roi === null);
    for (const side of SIDES) this.#box.setAttribute(side, String(roi?.[side] ?? 0));
    fill(this.#state, this.#describe(naturalWidth, naturalHeight));
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #describe(width, height) {
    const roi = this.#roi;
    if (!roi) {
      const begun = this.#inputs.some((input) => input.value !== "");
      return begun ? "Give all four numbers; width and height must be above 0." : "The whole image counts.";
    }
    const outside = width > 0 && (roi.x + roi.width > width || roi.y + roi.height > height);
    if (outside) return `The region leaves the image, which has ${width} x ${height} pixels.`;
    return `The region has ${roi.width} x ${roi.height} pixels${width > 0 ? ` of ${width} x ${height}` : ""}.`;
  }
}
