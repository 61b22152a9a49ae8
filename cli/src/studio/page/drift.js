// @ts-check
// The drift of the scores in plain words.

import { h } from "./dom.js";
import { percent, score } from "./format.js";

/** @import { Drift } from "./types.js" */

/**
 * Magnitudes from which an effect is small, medium and large, as npad has them.
 * @type {[least: number, word: string][]}
 */
const EFFECTS = [
  [0.42, "large"],
  [0.28, "medium"],
  [0.12, "small"],
  [0, "negligible"],
];

/** @param {Drift | null} drift */
export function describeDrift(drift) {
  if (!drift) return [h("p", {}, "There are too few images yet to tell whether the scores have drifted.")];
  const { drifted, effect, p_value: p, recent_count: count } = drift;
  const size = EFFECTS.find(([least]) => Math.abs(effect) >= least)?.[1];
  const change = effect > 0 ? "higher" : "lower";
  const advice = "Check the light, the lens, the focus and the parts. If the change is meant, teach anew.";
  const found = `The scores have drifted: they are ${change} than those of the good images at teaching. ${advice}`;
  const [recent, good] = [score(drift.recent_median), score(drift.good_median)];
  const medians = `Median score ${recent} of ${count} images, ${good} at teaching.`;
  const chance = p < 0.001 ? "below 0.001" : p.toFixed(3);
  const test = `The difference is ${size} (effect ${effect.toFixed(2)}, p-value ${chance}).`;
  return [
    h("p", { class: drifted ? "error" : "" }, drifted ? found : "The scores have not drifted."),
    h("p", { class: "note" }, medians, " ", test),
    h("p", { class: "note" }, `${percent(drift.above_share)} of these images are above the threshold.`),
  ];
}
