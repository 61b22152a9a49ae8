// @ts-check
// The panel that moves the thresholds and says at once what that does to the labelled images.

import * as api from "./api.js";
import { button, checkbox, fill, h } from "./dom.js";
import { plural, ratio, score } from "./format.js";
import { Histogram, extentOf } from "./histogram.js";
import { count, isLearnt, savedThresholds } from "./judge.js";
import { attempt, show } from "./message.js";

/** @import { Thresholds } from "./judge.js" */
/** @import { Store } from "./store.js" */
/** @import { Images, Version } from "./types.js" */

/** Steps of a slider over the whole range. */
const STEPS = 500;

export class ThresholdPanel {
  /** @type {Thresholds} */
  at = { threshold: 1, review: 1 };
  onchange = () => {};

  #store;
  /** @type {Images | null} */
  #images = null;
  #lowest = 0;
  /** @type {typeof isLearnt} Which images are not counted */
  #leftOut = isLearnt;
  #histogram = new Histogram((which, value) => this.#set(which, value));
  #threshold = this.#slider("threshold");
  #review = this.#slider("review");
  #falseAlarms = h("strong", { id: "false-alarms" });
  #misses = h("strong", { id: "misses" });
  #reviews = h("span", { id: "reviews" });
  #learnt = h("span", {});
  #leaveOut = checkbox(
    h("span", { title: "Learnt images rarely raise false alarms." }, "Leave out ", this.#learnt),
    true,
    (checked) => {
      this.#leftOut = checked ? isLearnt : () => false;
      this.#show();
    },
  );
  #save = button("Save as new version", () => this.#saveVersion(), { id: "save-thresholds", class: "primary" });
  #reset = button("Reset", () => this.reset(), { id: "reset-thresholds" });

  element = h(
    "section",
    { class: "panel thresholds", "aria-label": "Thresholds" },
    this.#histogram.element,
    h("div", { class: "sliders" }, this.#threshold.element, this.#review.element),
    h("div", { class: "counts", "aria-live": "polite" }, this.#falseAlarms, this.#misses, this.#reviews),
    h("div", { class: "row" }, this.#save, this.#reset, this.#leaveOut),
  );

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * Shows the images of a version. What the operator has moved stays where it was while the version is the same.
   * @param {Images} images
   * @param {Version} version
   */
  show(images, version) {
    const same = this.#images?.version === images.version;
    this.#images = images;
    // The calibrated scale needs a threshold above a typical good image.
    this.#lowest = images.typical + 1e-3 * Math.abs(images.typical) + 1e-6;
    const extent = extentOf(images);
    for (const { input } of [this.#threshold, this.#review]) {
      input.min = String(extent.low);
      input.max = String(extent.high);
      input.step = String((extent.high - extent.low) / STEPS || 1);
    }
    if (!same) this.at = savedThresholds(images);
    this.#interval = version.threshold_interval;
    this.#show();
    this.#moved();
  }

  /** @type {[number, number] | null} */
  #interval = null;

  /** Goes back to the thresholds of the version. */
  reset() {
    if (!this.#images) return;
    this.at = savedThresholds(this.#images);
    this.#moved();
    this.onchange();
  }

  /** Counts anew, after a label has changed. */
  recount() {
    this.#show();
  }

  #show() {
    if (!this.#images) return;
    const { images } = this.#images;
    const learnt = images.filter((image) => isLearnt(image) && image.score !== null).length;
    this.#leaveOut.hidden = learnt === 0;
    this.#learnt.textContent = plural(learnt, "learnt image");
    const counted = images.filter((image) => !this.#leftOut(image));
    this.#histogram.show(counted, extentOf(this.#images), this.#interval);
    this.#showCounts();
  }

  /**
   * Moves a threshold. The review never lies above the threshold, and goes along with it while there is none.
   * @param {"threshold" | "review"} which
   * @param {number} value
   */
  #set(which, value) {
    const { threshold, review } = this.at;
    const allowed = Math.max(value, this.#lowest);
    if (which === "review") this.at = { threshold, review: Math.min(allowed, threshold) };
    else this.at = { threshold: allowed, review: review >= threshold ? allowed : Math.min(review, allowed) };
    this.#moved();
    this.onchange();
  }

  #moved() {
    const { threshold, review } = this.at;
    this.#threshold.set(threshold);
    this.#review.set(review);
    this.#histogram.move(this.at);
    const saved = this.#images && savedThresholds(this.#images);
    const same = saved?.threshold === threshold && saved.review === review;
    this.#save.disabled = same;
    this.#reset.disabled = same;
    this.#store.unsaved = same ? null : (this.#images?.version ?? null);
    this.#showCounts();
  }

  #showCounts() {
    const counts = count(this.#images?.images ?? [], this.at, this.#leftOut);
    this.#falseAlarms.textContent = `false alarms ${ratio(counts.falseAlarms, counts.good)}`;
    this.#misses.textContent = `misses ${ratio(counts.misses, counts.defective)}`;
    this.#reviews.textContent = `for review ${counts.goodForReview} good, ${counts.defectiveForReview} defective`;
  }

  /** @param {"threshold" | "review"} which */
  #slider(which) {
    const input = h("input", { type: "range", id: which });
    const value = h("output", { for: which });
    input.addEventListener("input", () => this.#set(which, Number(input.value)));
    const element = h("div", { class: "slider" }, h("label", { for: which }), value, input);
    fill(element.children[0], which === "threshold" ? "Threshold: defective above" : "Review: look again above");
    /** @param {number} at */
    const set = (at) => {
      input.value = String(at);
      input.setAttribute("aria-valuetext", score(at));
      value.textContent = score(at);
    };
    return { element, input, set };
  }

  async #saveVersion() {
    const { threshold, review } = this.at;
    const number = this.#images?.version;
    if (number === undefined) return;
    const saved = await attempt(() => api.saveThresholds(number, threshold, review));
    if (!saved) return;
    this.#store.unsaved = null;
    await this.#store.refresh();
    this.#store.look(this.#store.tab, saved.version === this.#store.project?.current ? null : saved.version);
    show(`Version ${saved.version} is saved with these thresholds.`);
  }
}
