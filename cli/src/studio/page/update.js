// @ts-check
// The bar that brings the operator's marks into a new version of the model.

import * as api from "./api.js";
import { button, field, h, select } from "./dom.js";
import { plural } from "./format.js";
import { startJob } from "./jobs.js";
import { show as say } from "./message.js";

/** @import { Store } from "./store.js" */
/** @import { Images } from "./types.js" */

/** @type {[value: string, text: string][]} */
const POINTS = [
  ["rate", "Keep the false-alarm rate"],
  ["catch_all", "Find every marked defect"],
  ["cost", "Weigh misses against false alarms"],
];

/** @param {Store} store */
export function updateBar(store) {
  /** @type {Images | null} */
  let images = null;
  const text = h("strong", { id: "marks" });
  const from = h("span", { class: "note", id: "update-from" });
  const cost = h("input", { type: "number", min: 0, step: "any", value: "10", id: "miss-cost" });
  const costField = field("A miss costs as much as this many false alarms", cost);
  costField.hidden = true;
  const point = select(POINTS, "rate", (value) => (costField.hidden = value !== "cost"), {
    id: "operating-point",
    "aria-label": "What sets the threshold",
  });
  const start = () => {
    if (!images) return;
    // What is no number is NaN.
    if (point.value === "cost" && !(cost.valueAsNumber >= 0)) {
      cost.focus();
      return say("Type how many false alarms a miss costs: a number of 0 or more.", [], "alert");
    }
    const request = {
      version: images.version,
      operating_point: point.value,
      ...(point.value === "cost" ? { miss_cost: cost.valueAsNumber } : {}),
    };
    return startJob(store, () => api.update(request));
  };
  const update = button("Update model", start, { id: "update", class: "primary", disabled: true });
  const enable = () => {
    const known = store.find(images?.version ?? null)?.known_defects;
    // Known defects can set another threshold by another rule.
    update.disabled = store.job !== null || !images || (images.marks === 0 && !known);
  };
  store.on("job", enable);
  /** @param {Images} shown those of the version that is looked at */
  const show = (shown) => {
    images = shown;
    const { version, marks } = shown;
    if (marks === 0) text.textContent = `All marks are in version ${version}.`;
    else {
      const changes = plural(marks, "change of marks is", "changes of marks are");
      text.textContent = `${changes} not in version ${version} yet.`;
    }
    const current = version === store.project?.current;
    from.textContent = current ? "" : `The update starts from version ${version}, which is not the current one.`;
    enable();
  };
  const element = h(
    "section",
    { class: "panel update", "aria-label": "Update of the model" },
    h("div", { class: "about", "aria-live": "polite" }, text, from),
    point,
    update,
    costField,
  );
  return { element, show };
}
