// @ts-check
// The images as cards. Only the cards in sight, and a few around them, are in the document.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { fill, h } from "./dom.js";
import { baseName, calibrated } from "./format.js";

/** @import { Decision } from "./judge.js" */
/** @import { ScoredImage } from "./types.js" */

/** What a card shows of an image. @typedef {{ decision: Decision, calibrated: number | null }} Facts */

/** Sizes of cards in units of the text, as style.css has them. */
const SIZES = { grid: { width: 9.5, height: 12.5 }, list: { width: Infinity, height: 5 } };
const GAP = 0.5;
/** Rows above and below those in sight. */
const SPARE = 2;
/** Milliseconds without scrolling after which thumbnails are loaded. */
const PAUSE = 80;

export class Grid {
  /** @type {(path: string) => void} Called when the operator picks a card */
  onpick = () => {};
  columns = 1;

  #facts;
  #space = h("div", { class: "space" });
  #empty = h("p", { class: "empty" }, "No image matches. Choose another filter.");
  element = h("div", { class: "grid", role: "listbox", "aria-label": "Images" }, this.#empty, this.#space);

  /** @type {ScoredImage[]} */
  #images = [];
  /** @type {Map<string, HTMLElement>} */
  #cards = new Map();
  /** @type {"grid" | "list"} */
  #mode = "grid";
  /** @type {number | null} The version whose maps are shown */
  #version = null;
  /** @type {string | null} */
  #selected = null;
  #pause = 0;

  /** @param {(image: ScoredImage) => Facts} facts */
  constructor(facts) {
    this.#facts = facts;
    this.element.addEventListener("scroll", () => this.#render(), { passive: true });
    new ResizeObserver(() => this.#render()).observe(this.element);
  }

  /** @param {ScoredImage[]} images */
  setImages(images) {
    this.#images = images;
    this.#empty.hidden = images.length > 0;
    this.#render();
    this.repaint();
  }

  /** @param {"grid" | "list"} mode */
  setMode(mode) {
    this.#mode = mode;
    this.element.dataset.mode = mode;
    this.#render();
  }

  /** @param {number | null} version null: images without maps */
  setMaps(version) {
    this.#version = version;
    this.repaint();
  }

  /**
   * @param {string | null} path
   * @param {boolean} [focus]
   */
  select(path, focus = false) {
    this.#selected = path;
    const at = this.#images.findIndex((image) => image.path === path);
    if (at >= 0) this.#reveal(Math.floor(at / this.columns));
    this.#render();
    this.repaint();
    if (!focus || path === null) return;
    /** @type {HTMLElement | null} */
    const next = this.#cards.get(path) ?? this.#space.querySelector("[tabindex='0']");
    next?.focus({ preventScroll: true });
  }

  /** Shows the decisions and labels of the cards as they are now. */
  repaint() {
    for (const image of this.#images.slice(...this.#range())) this.#paint(image);
    const selected = this.#images.find((image) => image.path === this.#selected);
    if (selected) this.#paint(selected);
  }

  #metrics() {
    const em = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const { width, height } = SIZES[this.#mode];
    const available = this.#space.clientWidth;
    const columns = Math.max(1, Math.floor((available + GAP * em) / ((width + GAP) * em)));
    const cardWidth = (available - (columns - 1) * GAP * em) / columns;
    return { columns, row: (height + GAP) * em, cardWidth, cardHeight: height * em, step: cardWidth + GAP * em };
  }

  /** The images in the rows in sight and those around them. @returns {[number, number]} */
  #range() {
    const { columns, row } = this.#metrics();
    const first = Math.max(0, Math.floor(this.element.scrollTop / row) - SPARE);
    const last = Math.ceil((this.element.scrollTop + this.element.clientHeight) / row) + SPARE;
    return [first * columns, last * columns];
  }

  /** @param {number} index of a row */
  #reveal(index) {
    const { row } = this.#metrics();
    const { scrollTop, clientHeight } = this.element;
    if (index * row < scrollTop || row > clientHeight) this.element.scrollTop = index * row;
    else if ((index + 1) * row > scrollTop + clientHeight) this.element.scrollTop = (index + 1) * row - clientHeight;
  }

  #render() {
    if (this.element.clientHeight === 0) return;
    const { columns, row, cardWidth, cardHeight, step } = this.#metrics();
    this.columns = columns;
    this.#space.style.height = `${Math.ceil(this.#images.length / columns) * row}px`;
    const [from, to] = this.#range();
    const kept = new Map();
    const selected = this.#images.findIndex((image) => image.path === this.#selected);
    for (const [at, image] of this.#images.entries()) {
      // The selected card may have the focus, which it would lose with its place in the document.
      if ((at < from || at >= to) && at !== selected) continue;
      const card = this.#cards.get(image.path) ?? this.#make(image);
      kept.set(image.path, card);
      card.style.width = `${cardWidth}px`;
      card.style.height = `${cardHeight}px`;
      card.style.transform = `translate(${(at % columns) * step}px, ${Math.floor(at / columns) * row}px)`;
      card.setAttribute("aria-posinset", String(at + 1));
      card.setAttribute("aria-setsize", String(this.#images.length));
      card.tabIndex = at === (selected < 0 ? from : selected) ? 0 : -1;
      if (!card.isConnected) this.#space.append(card);
    }
    for (const [path, card] of this.#cards) if (!kept.has(path)) card.remove();
    this.#cards = kept;
    this.#loadSoon();
  }

  /** Loads the thumbnails of the cards where scrolling has come to rest. */
  #loadSoon() {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#load(), PAUSE);
  }

  #load() {
    for (const card of this.#cards.values()) {
      const picture = card.querySelector("img");
      if (picture?.dataset.src) picture.src = picture.dataset.src;
      if (picture) delete picture.dataset.src;
    }
  }

  /** @param {ScoredImage} image */
  #make(image) {
    const { path } = image;
    const pick = () => this.onpick(path);
    const card = h(
      "div",
      { class: "card", role: "option", "data-path": path, title: path, onclick: pick },
      h("div", { class: "thumbnail" }, h("img", { alt: "", hidden: true })),
      h("div", { class: "name" }, baseName(path)),
      h("div", { class: "facts" }),
    );
    card.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick();
    });
    this.#paint(image, card);
    return card;
  }

  /**
   * @param {ScoredImage} image
   * @param {HTMLElement} [card]
   */
  #paint(image, card = this.#cards.get(image.path)) {
    if (!card) return;
    const { decision, calibrated: value } = this.#facts(image);
    card.dataset.verdict = decision;
    card.setAttribute("aria-selected", String(image.path === this.#selected));
    const facts = card.querySelector(".facts");
    if (!facts) return;
    const label = image.label && h("span", { class: "label" }, `${image.marked ? "marked" : "label"} ${image.label}`);
    const thumbnail = card.querySelector("img");
    const version = image.score === null ? null : this.#version;
    const address = api.picture(image.path, 240, { version, of: image.stamp });
    if (thumbnail) thumbnail.hidden = image.error !== null;
    if (thumbnail && image.error === null && thumbnail.dataset.address !== address) {
      thumbnail.dataset.address = address;
      thumbnail.dataset.src = address;
      this.#loadSoon();
    }
    fill(facts, badge(decision), h("span", { class: "score" }, value === null ? "" : calibrated(value)), label);
  }
}
