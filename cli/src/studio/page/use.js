// @ts-check
// Use it: the model file, and programs that use it.

import * as api from "./api.js";
import { button, byId, fill, h, notTaught } from "./dom.js";
import { bytes, dateTime } from "./format.js";
import { attempt, show } from "./message.js";

/** @import { Store } from "./store.js" */

/** @param {Store} store */
export function showUse(store) {
  const model = h("div", { class: "panel-part" });
  const programs = h("div", { class: "panel-part" });
  fill(
    byId("use-view"),
    h("section", { class: "panel" }, h("h2", {}, "The model file"), model),
    h("section", { class: "panel" }, h("h2", {}, "Programs"), programs),
  );
  store.on("project", () => fill(model, ...aboutModel(store)));
  store.on("view", () => {
    if (store.tab !== "use" || programs.hasChildNodes()) return;
    attempt(async () => {
      const { cpp, csharp } = await api.snippets();
      fill(programs, snippet("C++", cpp), snippet("C#", csharp));
    });
  });
}

/** @param {Store} store */
function aboutModel(store) {
  const current = store.find(store.project?.current ?? null);
  if (!current) return [notTaught("There is no model yet.")];
  const { number, created, model_bytes: size } = current;
  return [
    h(
      "p",
      {},
      `Version ${number} of ${dateTime(created)} is the current one. Its model is one file of ${bytes(size)}.`,
    ),
    h("p", {}, "Save it next to the program. It needs no connection to this page."),
    h("a", { class: "button primary", href: api.modelAddress(number), download: true }, "Download the model"),
  ];
}

/**
 * @param {string} language
 * @param {string} text
 */
function snippet(language, text) {
  const code = h("pre", { tabindex: "0", "aria-label": `${language} program` }, h("code", {}, text));
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      show(`The ${language} program is copied.`);
    } catch {
      // Without leave to write to the clipboard, the operator copies the selection.
      getSelection()?.selectAllChildren(code);
      show(`The ${language} program is selected. Press Ctrl+C to copy it.`);
    }
  });
  copy.setAttribute("aria-label", `Copy the ${language} program`);
  return h("div", { class: "snippet" }, h("div", { class: "row between" }, h("h3", {}, language), copy), code);
}
