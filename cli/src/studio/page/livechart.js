// @ts-check
// The calibrated score over the last images.

import { fill, h, s } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 160;
const LEFT = 34;
const PAD = 10;
/** Scores beyond are drawn at the edge. */
const HIGHEST = 2;
const LOWEST = -0.5;

export class LiveChart {
  #svg = s("svg", { role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  element = h("div", { class: "chart" }, this.#svg);

  /**
   * @param {number[]} history oldest first
   * @param {number | null} review on the calibrated scale
   */
  show(history, review) {
    const values = history.map((value) => Math.min(Math.max(value, LOWEST), HIGHEST));
    const low = Math.min(0, ...values);
    const high = Math.max(1, ...values);
    const y = (/** @type {number} */ value) => HEIGHT - PAD - ((value - low) / (high - low)) * (HEIGHT - 2 * PAD);
    const x = (/** @type {number} */ at) => LEFT + ((at + 1) / Math.max(values.length, 2)) * (WIDTH - LEFT - PAD);
    const points = values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    const alarms = values.flatMap((value, at) => {
      if (value <= 0.5) return [];
      const [left, top] = [x(at), y(value)];
      return [s("path", { class: "alarm", d: `M${left - 4} ${top - 4}h8v8h-8z` })];
    });
    fill(
      this.#svg,
      ...this.#level(y(0.5), "0.5", "threshold"),
      ...(review === null ? [] : this.#level(y(review), "", "review")),
      ...this.#level(y(0), "0", "base"),
      s("polyline", { class: "curve", points }),
      ...alarms,
    );
    const above = alarms.length;
    this.#svg.setAttribute(
      "aria-label",
      `The last ${values.length} calibrated scores, ${above} above the threshold of 0.5`,
    );
  }

  /**
   * @param {number} y
   * @param {string} text
   * @param {string} kind
   */
  #level(y, text, kind) {
    return [
      s("line", { class: `level ${kind}`, x1: LEFT, x2: WIDTH - PAD, y1: y, y2: y }),
      s("text", { class: "tick", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, text),
    ];
  }
}
