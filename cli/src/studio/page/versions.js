// @ts-check
// Versions: what the model was and is, and the way back.

import * as api from "./api.js";
import { Comparison } from "./compare.js";
import { button, byId, fill, h, notTaught } from "./dom.js";
import { bytes, dateTime, score } from "./format.js";
import { describeCounts } from "./judge.js";
import { startJob } from "./jobs.js";
import { attempt, show } from "./message.js";

/** @import { Store } from "./store.js" */
/** @import { Version } from "./types.js" */

const COLUMNS = ["Version", "Made", "What changed", "Images", "Threshold", "False alarms", "Misses", "Actions"];

/** @param {Store} store */
export function showVersions(store) {
  const rows = h("tbody", { id: "versions" });
  const comparison = new Comparison(store);
  const card = cardDialog();
  /** @type {Map<number, () => Promise<void>>} */
  let counters = new Map();
  /** @type {Set<number>} */
  const counted = new Set();
  const countAll = button(
    "Count false alarms and misses of all versions",
    async () => {
      countAll.disabled = true;
      for (const number of [...counters.keys()]) {
        counted.add(number);
        // A change meanwhile has made other rows.
        await counters.get(number)?.();
      }
      countAll.disabled = false;
    },
    { id: "count-all" },
  );
  const head = h("tr", {}, ...COLUMNS.map((column) => h("th", { scope: "col" }, column)));
  const list = h("table", { class: "stacked" }, h("thead", {}, head), rows);
  const note = h("p", { class: "note" }, "Images that a version has learnt are not counted.");
  const table = h("div", { class: "panel", hidden: true }, list, note, h("div", {}, countAll));
  const empty = h("div", { class: "panel" }, notTaught("There is no version yet."));
  fill(byId("versions-view"), empty, table, comparison.element, card.element);

  // What has been counted once is counted again after a change; the current version always is.
  const countAgain = () => {
    if (store.tab !== "versions") return;
    for (const [number, counter] of counters) if (number === store.project?.current || counted.has(number)) counter();
    comparison.compute();
  };
  store.on("view", countAgain);
  store.on("job", () => {
    for (const report of /** @type {NodeListOf<HTMLButtonElement>} */ (rows.querySelectorAll(".report"))) {
      report.disabled = store.job !== null;
    }
  });
  store.on("project", () => {
    const versions = [...(store.project?.versions ?? [])].reverse();
    table.hidden = versions.length === 0;
    empty.hidden = versions.length > 0;
    counters = new Map();
    const made = versions.map((version) => {
      const { element, counter } = row(store, version, card.show);
      counters.set(version.number, counter);
      return element;
    });
    keepFocus(rows, made);
    comparison.fill(versions);
    countAgain();
  });
}

/**
 * Replaces rows without losing the focus of a button in one of them.
 * @param {HTMLElement} rows
 * @param {HTMLElement[]} made
 */
function keepFocus(rows, made) {
  const focused = rows.contains(document.activeElement) ? document.activeElement : null;
  const number = focused?.closest("tr")?.dataset.version;
  fill(rows, ...made);
  const again = made.find((element) => element.dataset.version === number);
  if (focused)
    /** @type {HTMLElement | null | undefined} */ (again?.querySelector(`.${focused.classList[0]}`))?.focus();
}

/**
 * @param {Store} store
 * @param {Version} version
 * @param {(number: number) => unknown} showCard
 */
function row(store, version, showCard) {
  const { number, created, change, images, threshold, warnings } = version;
  const current = number === store.project?.current;
  const falseAlarms = h("span", {}, "not counted");
  const misses = h("span", {}, "not counted");
  const counter = async () => {
    const answer = await attempt(() => store.images(number));
    if (!answer) return;
    const counts = describeCounts(answer);
    falseAlarms.textContent = counts.falseAlarms;
    misses.textContent = counts.misses;
  };
  const makeCurrent = button(
    "Make current",
    async () => {
      if (!(await attempt(() => api.makeCurrent(number)))) return;
      await store.refresh();
      show(`Version ${number} is the current one now.${store.elsewhere(number)}`);
    },
    { class: "make-current" },
  );
  const report = button("Report", () => startJob(store, () => api.report(number)), {
    class: "report",
    id: current && "report",
    disabled: store.job !== null,
  });
  const actions = h(
    "div",
    { class: "row" },
    !current && makeCurrent,
    h("a", { class: "button", href: `#review/${number}` }, "Review"),
    button("Card", () => showCard(number), { class: "card-button" }),
    h(
      "a",
      { class: "download button", href: api.modelAddress(number), download: true },
      `Download (${bytes(version.model_bytes)})`,
    ),
    report,
  );
  const about = [
    h("span", {}, change),
    warnings.length > 0 && h("ul", { class: "warnings" }, ...warnings.map((warning) => h("li", {}, warning))),
  ];
  const name = h("span", {}, h("strong", {}, String(number)), current && h("span", { class: "chip" }, "current"));
  const cells = [
    [name],
    [dateTime(created)],
    about,
    [String(images)],
    [score(threshold)],
    [falseAlarms],
    [misses],
    [actions],
  ];
  const element = h(
    "tr",
    { "data-version": number, "data-current": current },
    ...cells.map((cell, at) => h("td", { "data-column": COLUMNS[at] }, h("div", {}, ...cell))),
  );
  return { element, counter };
}

/** The calibration card, over the page. */
function cardDialog() {
  const title = h("h2", {});
  const text = h("pre", { tabindex: "0" });
  /** @type {HTMLDialogElement} */
  const element = h(
    "dialog",
    { class: "panel" },
    title,
    text,
    button("Close", () => element.close()),
  );
  /** @param {number} number */
  const showCard = async (number) => {
    const card = await attempt(() => api.card(number));
    if (card === undefined) return;
    title.textContent = `Calibration card of version ${number}`;
    text.textContent = card;
    element.showModal();
  };
  return { element, show: showCard };
}
