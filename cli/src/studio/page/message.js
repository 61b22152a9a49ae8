// @ts-check
// The line at the top that says what has happened.

import { button, byId, fill, h } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * Shows what has happened, until it is closed or replaced.
 * @param {Child} text
 * @param {Child[]} [details] a line each
 * @param {"status" | "alert"} [role] alert: something has failed
 */
export function show(text, details = [], role = "status") {
  const region = byId("message");
  region.setAttribute("role", role);
  const list = details.length > 0 && h("ul", {}, ...details.map((line) => h("li", {}, line)));
  fill(region, h("div", { class: "text" }, h("p", {}, text), list), button("Close", clear, { class: "quiet" }));
}

export function clear() {
  fill(byId("message"));
}

/** @param {unknown} error */
export function showError(error) {
  show(error instanceof Error ? error.message : String(error), [], "alert");
}

/**
 * Does something for the operator and shows its failure.
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T | undefined>} undefined: it has failed
 */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    showError(error);
    return undefined;
  }
}
