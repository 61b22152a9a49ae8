// @ts-check
// The bar that brings the operator's marks into a new version of the model.

import * as api from "./api.js";
import { button, field, h, select } from "./dom.js";
import { oneAtATime, startJob } from "./jobs.js";

/** @import { Store } from "./store.js" */

/** @type {[value: string, text: string][]} */
const POINTS = [
  ["rate", "Keep the false-alarm rate"],
  ["catch_all", "Find every marked defect"],
  ["cost", "Weigh misses against false alarms"],
];

/** @param {Store} store */
export function updateBar(store) {
  const text = h("strong", { id: "marks", "aria-live": "polite" });
  const cost = h("input", { type: "number", min: 0, step: "any", value: "10", id: "miss-cost" });
  const costField = field("A miss costs as much as this many false alarms", cost);
  costField.hidden = true;
  const point = select(POINTS, "rate", (value) => (costField.hidden = value !== "cost"), {
    id: "operating-point",
    "aria-label": "What sets the threshold",
  });
  const start = () => {
    const request = {
      operating_point: point.value,
      ...(point.value === "cost" ? { miss_cost: Number(cost.value) } : {}),
    };
    return startJob(store, () => api.update(request));
  };
  const update = button("Update model", start, { id: "update", class: "primary" });
  store.on("project", () => {
    const marks = store.project?.marks ?? 0;
    if (marks === 0) text.textContent = "All marks are in the model.";
    else
      text.textContent = marks === 1 ? "1 mark is not in the model yet." : `${marks} marks are not in the model yet.`;
  });
  return h(
    "section",
    { class: "panel update", "aria-label": "Update of the model" },
    text,
    point,
    oneAtATime(store, update),
    costField,
  );
}
