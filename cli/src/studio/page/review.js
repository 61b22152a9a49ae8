// @ts-check
// Review: the scored images, the thresholds, and the marks of what the model got wrong.

import * as api from "./api.js";
import { button, byId, checkbox, field, fill, h, notTaught, options, select } from "./dom.js";
import { Detail } from "./detail.js";
import { plural } from "./format.js";
import { Grid } from "./grid.js";
import { FILTERS, calibrate, decide, matches, savedThresholds, sorted } from "./judge.js";
import { oneAtATime, startJob } from "./jobs.js";
import { attempt } from "./message.js";
import { ThresholdPanel } from "./thresholds.js";
import { updateBar } from "./update.js";

/** @import { Store } from "./store.js" */
/** @import { Images, Label, ScoredImage, Version } from "./types.js" */

/** @type {[value: string, text: string][]} */
const ORDERS = [
  ["highest", "Highest first"],
  ["lowest", "Lowest first"],
  ["name", "Name"],
];
/** The width from which the chosen image has a place beside the cards, as style.css has it. */
const WIDE = matchMedia("(min-width: 64rem)");

/** @type {Record<string, Label>} */
const MARKS = { g: "good", d: "defective", u: null };

/** @param {Store} store */
export function showReview(store) {
  new Review(store);
}

class Review {
  #store;
  #thresholds;
  #update;
  #grid = new Grid((image) => this.#facts(image));
  #detail = new Detail();

  /** @type {Images | null} */
  #answer = null;
  /** @type {ScoredImage[]} All images in order */
  #ordered = [];
  /** @type {ScoredImage[]} Those that the filter lets through */
  #listed = [];
  /** @type {string | null} */
  #chosen = null;
  #order = "highest";
  #filter = "all";
  #find = "";
  #maps = true;
  #frame = 0;

  #version = select([], "", (value) => this.#store.look("review", Number(value)), { id: "review-version" });
  #filters = select(
    FILTERS,
    "all",
    (value) => {
      this.#filter = value;
      this.#list();
    },
    { id: "filter" },
  );
  #unscored = h("p", { class: "note" });
  #news = h("div", { class: "row news", hidden: true });
  #score;
  #main = h("div", { class: "main" });
  #cards = h("div", { class: "cards" }, this.#news, this.#grid.element);
  #empty = h("div", { class: "panel", hidden: true }, notTaught("There is nothing to review yet."));
  #body = h("div", { class: "review" }, this.#main, this.#detail.element);

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    this.#thresholds = new ThresholdPanel(store);
    this.#update = updateBar(store);
    this.#score = oneAtATime(
      store,
      button("Score new images", () => this.#scoreImages(), { id: "score" }),
    );
    fill(this.#news, this.#unscored, this.#score);
    fill(this.#main, this.#thresholds.element, this.#update.element, this.#toolbar(), this.#cards);
    fill(byId("review-view"), this.#empty, this.#body);

    this.#thresholds.onchange = () => this.#moved();
    this.#grid.onpick = (path) => this.#pick(path);
    this.#detail.onstep = (steps) => this.#step(steps);
    this.#detail.onmark = (label) => this.#mark(label);
    this.#detail.onclose = () => this.#close();
    WIDE.addEventListener("change", () => this.#close());
    document.addEventListener("keydown", (event) => this.#key(event));
    store.on("project", () => this.#load());
    store.on("view", () => this.#load());
  }

  #toolbar() {
    const find = h("input", { type: "search", id: "find", autocomplete: "off" });
    find.addEventListener("input", () => {
      this.#find = find.value.toLowerCase();
      this.#list();
    });
    const order = select(ORDERS, this.#order, (value) => {
      this.#order = value;
      this.#sort();
    });
    const maps = checkbox("Maps", true, (checked) => {
      this.#maps = checked;
      this.#grid.setMaps(checked ? (this.#answer?.version ?? null) : null);
    });
    const list = checkbox("List", false, (checked) => this.#grid.setMode(checked ? "list" : "grid"));
    const fields = [
      field("Version", this.#version),
      field("Show", this.#filters),
      field("Sort by", order),
      field("Find a name", find),
    ];
    return h("div", { class: "toolbar" }, ...fields, maps, list);
  }

  async #load() {
    const { project, version } = this.#store;
    if (!project || this.#store.tab !== "review") return;
    this.#body.hidden = version === null;
    this.#empty.hidden = version !== null;
    if (!version) return;
    this.#showVersions(project.versions, version);
    const answer = await attempt(() => this.#store.images(version.number));
    // What has changed meanwhile is loaded anew.
    if (!answer || this.#store.project !== project || this.#store.version?.number !== version.number) return;
    this.#answer = answer;
    this.#grid.setMaps(this.#maps ? answer.version : null);
    this.#thresholds.show(answer, version);
    this.#update.show(answer);
    this.#showUnscored(answer);
    this.#sort();
    if (this.#chosen === null && WIDE.matches && this.#listed.length > 0) this.#choose(this.#listed[0].path);
  }

  /**
   * @param {Version[]} versions
   * @param {Version} shown
   */
  #showVersions(versions, shown) {
    const current = this.#store.project?.current;
    /** @type {[string, string][]} */
    const choices = versions.map(({ number }) => [
      String(number),
      number === current ? `${number} (current)` : String(number),
    ]);
    fill(this.#version, ...options(choices.reverse()));
    this.#version.value = String(shown.number);
  }

  /** @param {Images} answer */
  #showUnscored({ unscored }) {
    this.#unscored.textContent = `${plural(unscored, "image has", "images have")} no score yet.`;
    this.#news.hidden = unscored === 0;
  }

  #scoreImages() {
    const { version } = this.#store;
    if (version) return startJob(this.#store, () => api.score(version.number));
  }

  #sort() {
    this.#ordered = sorted(this.#answer?.images ?? [], this.#order);
    this.#list();
  }

  /** Lists what the filter lets through at the thresholds of the moment. */
  #list() {
    const { at } = this.#thresholds;
    const found = this.#ordered.filter((image) => image.path.toLowerCase().includes(this.#find));
    this.#listed = found.filter((image) => matches(this.#filter, image, at));
    for (const [index, [key, text]] of FILTERS.entries()) {
      const count = found.filter((image) => matches(key, image, at)).length;
      this.#filters.options[index].text = `${text} (${count})`;
    }
    this.#grid.setImages(this.#listed);
    this.#showDetail();
  }

  /** Follows the thresholds while they are moved, once a frame. */
  #moved() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#list());
  }

  /** @param {ScoredImage} image */
  #facts(image) {
    const { at } = this.#thresholds;
    const typical = this.#answer?.typical ?? 0;
    const calibrated = image.score === null ? null : calibrate(image.score, typical, at.threshold);
    return { decision: decide(image, at), calibrated };
  }

  /** @param {string | null} path */
  #imageAt(path) {
    return this.#answer?.images.find((image) => image.path === path) ?? null;
  }

  #showDetail() {
    const image = this.#imageAt(this.#chosen);
    if (!image || !this.#answer) {
      // An empty panel over the page has no button that closes it.
      if (this.#detail.element.classList.contains("open")) this.#close();
      return this.#detail.show(null);
    }
    const { at } = this.#thresholds;
    const saved = savedThresholds(this.#answer);
    const index = this.#listed.indexOf(image);
    this.#detail.show({
      image,
      version: this.#answer.version,
      at,
      moved: at.threshold !== saved.threshold || at.review !== saved.review,
      position: index < 0 ? "not in the list" : `${index + 1} of ${this.#listed.length}`,
      ...this.#facts(image),
    });
  }

  /**
   * @param {string} path
   * @param {boolean} [focus] whether the card takes the focus
   */
  #choose(path, focus = false) {
    this.#chosen = path;
    this.#grid.select(path, focus);
    this.#showDetail();
  }

  /** @param {string} path */
  #pick(path) {
    this.#choose(path, true);
    if (WIDE.matches) return;
    this.#detail.element.classList.add("open");
    this.#main.inert = true;
    this.#detail.focus();
  }

  #close() {
    this.#detail.element.classList.remove("open");
    this.#main.inert = false;
    this.#grid.select(this.#chosen, true);
  }

  /** @param {number} steps */
  #step(steps) {
    if (this.#listed.length === 0) return;
    const at = this.#listed.findIndex((image) => image.path === this.#chosen);
    const next = at < 0 ? 0 : Math.min(Math.max(at + steps, 0), this.#listed.length - 1);
    this.#choose(this.#listed[next].path, this.#grid.element.contains(document.activeElement));
  }

  /** @param {Label} label */
  async #mark(label) {
    const image = this.#imageAt(this.#chosen);
    if (!image || (label === null && !image.marked)) return;
    const at = this.#listed.indexOf(image);
    const done = await attempt(() => api.mark(image.path, label));
    if (!done) return;
    // The label shows at once; the server's answer, which may be long, follows.
    if (label !== null) Object.assign(image, { label, marked: true });
    this.#thresholds.recount();
    this.#list();
    // An image that has left the list makes way for the next one.
    if (at >= 0 && !this.#listed.includes(image) && this.#listed.length > 0) {
      this.#choose(this.#listed[Math.min(at, this.#listed.length - 1)].path);
    }
    await this.#store.refresh();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { target } = event;
    if (this.#store.tab !== "review" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!(target instanceof Element) || target.closest("select, input:not([type=checkbox]), [role=tablist]")) return;
    const row = this.#grid.element.contains(target) ? this.#grid.columns : 0;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[event.key];
    const key = event.key.toLowerCase();
    if (steps) this.#step(steps);
    else if (key in MARKS) this.#mark(MARKS[key]);
    else if (key === "escape" && this.#detail.element.classList.contains("open")) this.#close();
    else return;
    event.preventDefault();
  }
}
