// @ts-check
// Two versions side by side: their counts, and the images on which they differ.

import { badge } from "./badge.js";
import { button, field, fill, h, options, select } from "./dom.js";
import { calibrated, plural, score } from "./format.js";
import { calibrate, decide, describeCounts, isLearnt, savedThresholds } from "./judge.js";
import { attempt } from "./message.js";

/** @import { Store } from "./store.js" */
/** @import { Images, ScoredImage, Version } from "./types.js" */

/** Largest number of images that are listed. */
const LISTED = 200;

export class Comparison {
  #store;
  #first = select([], "", () => {}, { id: "compare-first" });
  #second = select([], "", () => {}, { id: "compare-second" });
  /** @type {number[] | null} The versions whose comparison is shown */
  #shown = null;
  #result = h("div", { id: "comparison", "aria-live": "polite" });

  element = h(
    "section",
    { class: "panel", hidden: true },
    h("h2", {}, "Compare two versions"),
    h(
      "div",
      { class: "row" },
      field("First", this.#first),
      field("Second", this.#second),
      button("Compare", () => this.#compare(), { id: "compare" }),
    ),
    this.#result,
  );

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** @param {Version[]} versions newest first */
  fill(versions) {
    this.element.hidden = versions.length < 2;
    /** @type {[string, string][]} */
    const choices = versions.map(({ number }) => [String(number), `Version ${number}`]);
    for (const [at, list] of [this.#second, this.#first].entries()) {
      const kept = list.value;
      fill(list, ...options(choices));
      list.value = choices.some(([value]) => value === kept) ? kept : (choices[at]?.[0] ?? "");
    }
  }

  #compare() {
    const numbers = [Number(this.#first.value), Number(this.#second.value)];
    this.#shown = numbers[0] === numbers[1] ? null : numbers;
    if (this.#shown) return this.compute();
    fill(this.#result, h("p", {}, "Choose two different versions."));
  }

  /** Computes the comparison that is shown, also anew after a change. */
  async compute() {
    const { project } = this.#store;
    const shown = this.#shown;
    if (!shown) return;
    const answers = await attempt(() => Promise.all(shown.map((number) => this.#store.images(number))));
    // What has changed meanwhile is computed anew.
    if (!answers || this.#shown !== shown || this.#store.project !== project) return;
    const [first, second] = answers;
    const note = h("p", { class: "note" }, "Images that either version has learnt are not counted.");
    const made = h("div", {}, counts(answers), note, ...differences(first, second));
    // What is written anew is read out anew, and is scrolled back.
    if (made.innerHTML !== this.#result.innerHTML) fill(this.#result, ...made.childNodes);
  }
}

/** @param {Images[]} answers */
function counts(answers) {
  // Both are counted on the same images.
  const learnt = new Set(answers.flatMap(({ images }) => images.filter(isLearnt)).map(({ path }) => path));
  const counted = answers.map((answer) => describeCounts(answer, ({ path }) => learnt.has(path)));
  const lines = [
    ["Threshold", ...answers.map(({ threshold }) => score(threshold))],
    ["False alarms", ...counted.map(({ falseAlarms }) => falseAlarms)],
    ["Misses", ...counted.map(({ misses }) => misses)],
  ];
  const head = ["", ...answers.map(({ version }) => `Version ${version}`)].map((text) =>
    h("th", { scope: "col" }, text),
  );
  const rows = lines.map(([name, ...texts]) =>
    h("tr", {}, h("th", { scope: "row" }, name), ...texts.map((text) => h("td", {}, text))),
  );
  return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}

/**
 * @param {Images} first
 * @param {Images} second
 */
function differences(first, second) {
  const before = new Map(first.images.map((image) => [image.path, image]));
  const found = second.images.flatMap((image) => {
    const other = before.get(image.path);
    if (!other || other.score === null || image.score === null) return [];
    const verdicts = [decide(other, savedThresholds(first)), decide(image, savedThresholds(second))];
    return verdicts[0] === verdicts[1] ? [] : [{ other, image }];
  });
  const head = ["Image", "Label", `Version ${first.version}`, `Version ${second.version}`];
  const rows = found
    .slice(0, LISTED)
    .map(({ other, image }) =>
      h(
        "tr",
        {},
        h("td", { class: "path" }, image.path),
        h("td", {}, image.label ?? "none"),
        decision(first, other),
        decision(second, image),
      ),
    );
  const sentence =
    found.length === 0 ? "No verdict differs." : `${plural(found.length, "verdict differs", "verdicts differ")}.`;
  const columns = head.map((text) => h("th", { scope: "col" }, text));
  return [
    h("p", {}, sentence, found.length > LISTED && ` The first ${LISTED} are listed.`),
    rows.length > 0 &&
      h(
        "div",
        { class: "scroll", tabindex: "0" },
        h("table", {}, h("thead", {}, h("tr", {}, ...columns)), h("tbody", {}, ...rows)),
      ),
  ];
}

/**
 * @param {Images} answer
 * @param {ScoredImage} image
 */
function decision(answer, image) {
  const value = calibrated(calibrate(image.score ?? 0, answer.typical, answer.threshold));
  return h("td", {}, badge(decide(image, savedThresholds(answer))), " ", value);
}
