// @ts-check
// The distribution of the scores of good, defective and unlabelled images, with the thresholds as lines to drag.

import { fill, h, s } from "./dom.js";
import { score } from "./format.js";

/** @import { Thresholds } from "./judge.js" */
/** @import { Images, ScoredImage } from "./types.js" */

/** @typedef {{ low: number, high: number, more: boolean }} Extent */

/** A lane for each label, so that colour alone tells nothing. @type {[label: string, text: string][]} */
const LANES = [
  ["good", "Good"],
  ["defective", "Defective"],
  ["unlabelled", "Unlabelled"],
];
const TOP = 20;
const LANE = 42;
const BARS = 26;
const BOTTOM = TOP + LANES.length * LANE;
const HEIGHT = BOTTOM + 36;
const MARGIN = 12;
/** Reach of a line for the pointer, in pixels on either side */
const REACH = 22;
const BIN_WIDTH = 8;

/**
 * The scores that are shown. Few images far above the threshold don't squeeze the rest.
 * @param {Images} images
 * @returns {Extent}
 */
export function extentOf({ images, threshold, typical, review }) {
  let [low, high] = [Math.min(typical, review), threshold];
  for (const { score: value } of images) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const most = typical + 5 * (threshold - typical);
  const shown = Math.min(high, most);
  return { low, high: shown + 0.02 * (shown - low), more: high > most };
}

export class Histogram {
  #bars = s("g", {});
  #band = s("rect", { class: "interval", y: TOP, height: BOTTOM - TOP });
  #threshold = line("threshold", "Threshold", TOP - 6);
  #review = line("review", "Review", BOTTOM + 32);
  #svg = s(
    "svg",
    { id: "histogram", role: "img", height: HEIGHT },
    this.#band,
    this.#bars,
    this.#review,
    this.#threshold,
  );

  /** @type {ScoredImage[]} */
  #images = [];
  /** @type {Extent} */
  #extent = { low: 0, high: 1, more: false };
  /** @type {Thresholds} */
  #at = { threshold: 1, review: 1 };
  /** @type {[number, number] | null} */
  #interval = null;
  #width = 600;

  element = h("div", { class: "chart" }, this.#svg);

  /** @param {(which: "threshold" | "review", value: number) => void} onmove */
  constructor(onmove) {
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === 0 || contentRect.width === this.#width) return;
      this.#width = contentRect.width;
      this.#draw();
    }).observe(this.element);
    this.#drag(onmove);
  }

  /**
   * @param {ScoredImage[]} images
   * @param {Extent} extent
   * @param {[number, number] | null} interval of the saved threshold
   */
  show(images, extent, interval) {
    this.#images = images;
    this.#extent = extent;
    this.#interval = interval;
    this.#draw();
  }

  /** @param {Thresholds} at */
  move(at) {
    this.#at = at;
    for (const [group, value] of /** @type {const} */ ([
      [this.#threshold, at.threshold],
      [this.#review, at.review],
    ])) {
      const x = this.#x(value);
      group.setAttribute("transform", `translate(${x} 0)`);
      const anchor = x < 40 ? "start" : x > this.#width - 40 ? "end" : "middle";
      group.querySelector("text")?.setAttribute("text-anchor", anchor);
    }
    this.#svg.setAttribute(
      "aria-label",
      `Scores of the images; threshold ${score(at.threshold)}, review ${score(at.review)}`,
    );
  }

  /** @param {number} value */
  #x(value) {
    const { low, high } = this.#extent;
    const share = Math.min(Math.max((value - low) / (high - low || 1), 0), 1);
    return MARGIN + share * (this.#width - 2 * MARGIN);
  }

  #draw() {
    this.#svg.setAttribute("width", String(this.#width));
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    fill(
      this.#bars,
      ...LANES.flatMap(([label, text], at) => this.#lane(label, text, TOP + at * LANE)),
      ...this.#axis(),
    );
    const [from, to] = (this.#interval ?? [0, 0]).map((value) => this.#x(value));
    this.#band.setAttribute("x", String(from));
    this.#band.setAttribute("width", String(this.#interval ? Math.max(to - from, 1) : 0));
    this.move(this.#at);
  }

  /**
   * @param {string} label
   * @param {string} text
   * @param {number} top
   */
  #lane(label, text, top) {
    const bins = new Array(Math.max(10, Math.floor((this.#width - 2 * MARGIN) / BIN_WIDTH))).fill(0);
    const { low, high } = this.#extent;
    let total = 0;
    for (const image of this.#images) {
      if (image.score === null || (image.label ?? "unlabelled") !== label) continue;
      const bin = Math.floor(((image.score - low) / (high - low || 1)) * bins.length);
      bins[Math.min(Math.max(bin, 0), bins.length - 1)] += 1;
      total += 1;
    }
    const highest = Math.max(...bins);
    const base = top + LANE;
    const step = (this.#width - 2 * MARGIN) / bins.length;
    const bars = bins.map((count, at) => {
      // One image stays visible beside many.
      const height = Math.max(3, (BARS * count) / highest);
      const place = { x: MARGIN + at * step, y: base - height, width: Math.max(1, step - 1), height };
      return count > 0 && s("rect", { class: `bar ${label}`, ...place });
    });
    return [
      ...bars,
      s("line", { class: "base", x1: MARGIN, x2: this.#width - MARGIN, y1: base, y2: base }),
      s("text", { class: "lane", x: MARGIN, y: top + 13 }, `${text} ${total}`),
    ];
  }

  #axis() {
    const { low, high, more } = this.#extent;
    const y = BOTTOM + 14;
    return [
      s("text", { class: "tick", x: MARGIN, y }, score(low)),
      s(
        "text",
        { class: "tick", x: this.#width - MARGIN, y, "text-anchor": "end" },
        `${score(high)}${more ? " and above" : ""}`,
      ),
    ];
  }

  /** @param {(which: "threshold" | "review", value: number) => void} onmove */
  #drag(onmove) {
    /** @type {"threshold" | "review" | null} */
    let held = null;
    /** @param {PointerEvent} event */
    const place = (event) => {
      const { left, top } = this.#svg.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    this.#svg.addEventListener("pointerdown", (event) => {
      const { x, y } = place(event);
      const [toThreshold, toReview] = [this.#at.threshold, this.#at.review].map((value) =>
        Math.abs(this.#x(value) - x),
      );
      if (Math.min(toThreshold, toReview) > REACH) return;
      // Where the lines lie close together, the upper half takes the threshold: its handle is there.
      const upper = Math.abs(toThreshold - toReview) < REACH ? y < (TOP + BOTTOM) / 2 : toThreshold < toReview;
      held = upper ? "threshold" : "review";
      this.#svg.setPointerCapture(event.pointerId);
    });
    this.#svg.addEventListener("pointermove", (event) => {
      if (!held) return;
      const { low, high } = this.#extent;
      const share = (place(event).x - MARGIN) / (this.#width - 2 * MARGIN);
      onmove(held, low + Math.min(Math.max(share, 0), 1) * (high - low));
    });
    for (const end of ["pointerup", "pointercancel"]) this.#svg.addEventListener(end, () => (held = null));
  }
}

/**
 * A line with its name and a handle at the end where the name is.
 * @param {string} name
 * @param {string} text
 * @param {number} y of the name
 */
function line(name, text, y) {
  const tip = y < TOP ? `M-7 ${TOP - 4}h14L0 ${TOP + 5}z` : `M-7 ${BOTTOM + 20}h14L0 ${BOTTOM + 11}z`;
  return s(
    "g",
    { class: `mark ${name}` },
    s("line", { y1: TOP, y2: BOTTOM + (y < TOP ? 0 : 12) }),
    s("path", { d: tip }),
    s("text", { y, "text-anchor": "middle" }, text),
  );
}
