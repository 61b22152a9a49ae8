// @ts-check
// A verdict as a word, a shape and a colour.

import { h, s } from "./dom.js";

/** @import { Decision } from "./judge.js" */

/** @type {Record<Decision, { word: string, shape: string, sign: string }>} */
const LOOKS = {
  good: { word: "Good", shape: "M8 1a7 7 0 1 0 0 14A7 7 0 1 0 8 1z", sign: "M4.5 8.2l2.4 2.4 4.6-5" },
  review: { word: "Review", shape: "M8 1l7.4 13.5H.6z", sign: "M8 5.5v4.2M8 11.6v1.2" },
  defective: { word: "Defective", shape: "M5 1h6l4 4v6l-4 4H5l-4-4V5z", sign: "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" },
  error: { word: "Unreadable", shape: "M1.5 1.5h13v13h-13z", sign: "M4.5 8h7" },
  unscored: { word: "Not scored", shape: "M1.5 1.5h13v13h-13z", sign: "" },
};

/** @param {Decision} decision */
export const word = (decision) => LOOKS[decision].word;

/** @param {Decision} decision */
export function badge(decision) {
  const { word: text, shape, sign } = LOOKS[decision];
  const outline = s("path", { class: "shape", d: shape });
  const icon = s(
    "svg",
    { viewBox: "0 0 16 16", "aria-hidden": "true" },
    outline,
    s("path", { class: "sign", d: sign }),
  );
  return h("span", { class: "badge", "data-verdict": decision }, icon, text);
}
