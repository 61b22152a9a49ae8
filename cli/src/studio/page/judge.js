// @ts-check
// Verdicts and their counts at thresholds that the operator may still be moving.

import { ratio } from "./format.js";

/** @import { Images, Label, ScoredImage, Verdict } from "./types.js" */

/** @typedef {{ threshold: number, review: number }} Thresholds */
/** @typedef {Verdict | "unscored"} Decision */

/**
 * The verdict on an image.
 * @param {Pick<ScoredImage, "score" | "error">} image
 * @param {Thresholds} at
 * @returns {Decision}
 */
export function decide({ score, error }, { threshold, review }) {
  if (error !== null) return "error";
  if (score === null) return "unscored";
  if (score > threshold) return "defective";
  return score > review ? "review" : "good";
}

/**
 * A score on the scale on which 0 is a typical good image and 0.5 the threshold.
 * @param {number} score
 * @param {number} typical
 * @param {number} threshold
 */
export const calibrate = (score, typical, threshold) => (0.5 * (score - typical)) / (threshold - typical);

/**
 * Whether a decision contradicts the label. An image for review is not found defective.
 * @param {Decision} decision
 * @param {Label} label
 */
export function isWrong(decision, label) {
  if (label === "good") return decision === "defective";
  return label === "defective" && (decision === "good" || decision === "review");
}

/** @param {ScoredImage} image */
export const isLearnt = ({ learnt }) => learnt;

/**
 * Counts decisions on the labelled images that have a score. Learnt ones are left out unless something else is asked
 * for: a model rarely finds fault with what it has learnt, so they say little of the images to come.
 * @param {ScoredImage[]} images
 * @param {Thresholds} at
 * @param {(image: ScoredImage) => boolean} [leaveOut]
 */
export function count(images, at, leaveOut = isLearnt) {
  const counts = { good: 0, defective: 0, falseAlarms: 0, misses: 0, goodForReview: 0, defectiveForReview: 0 };
  for (const image of images) {
    const decision = decide(image, at);
    if (image.label === null || decision === "error" || decision === "unscored" || leaveOut(image)) continue;
    const good = image.label === "good";
    const wrong = isWrong(decision, image.label);
    if (good) counts.good += 1;
    else counts.defective += 1;
    if (good && wrong) counts.falseAlarms += 1;
    if (!good && wrong) counts.misses += 1;
    if (decision === "review" && good) counts.goodForReview += 1;
    if (decision === "review" && !good) counts.defectiveForReview += 1;
  }
  return counts;
}

/**
 * The counts of a version at its own thresholds, in words.
 * @param {Images} answer
 * @param {(image: ScoredImage) => boolean} [leaveOut]
 */
export function describeCounts(answer, leaveOut) {
  if (!answer.scored) return { falseAlarms: "not scored", misses: "not scored" };
  const counts = count(answer.images, savedThresholds(answer), leaveOut);
  return { falseAlarms: ratio(counts.falseAlarms, counts.good), misses: ratio(counts.misses, counts.defective) };
}

/** What images can be narrowed down to. @type {[key: string, text: string][]} */
export const FILTERS = [
  ["all", "All"],
  ["defective", "Defective"],
  ["review", "For review"],
  ["good", "Good"],
  ["wrong", "Wrong decisions"],
  ["unlabelled", "Unlabelled"],
  ["error", "Unreadable"],
];

/**
 * Whether a filter lets an image through.
 * @param {string} filter
 * @param {ScoredImage} image
 * @param {Thresholds} at
 */
export function matches(filter, image, at) {
  if (filter === "all") return true;
  if (filter === "unlabelled") return image.label === null;
  const decision = decide(image, at);
  return filter === "wrong" ? isWrong(decision, image.label) : decision === filter;
}

const collator = new Intl.Collator("en", { numeric: true });

/** @type {Record<string, (a: ScoredImage, b: ScoredImage) => number>} */
const ORDERS = {
  highest: (a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity) || collator.compare(a.path, b.path),
  lowest: (a, b) => (a.score ?? Infinity) - (b.score ?? Infinity) || collator.compare(a.path, b.path),
  name: (a, b) => collator.compare(a.path, b.path),
};

/**
 * The images in an order.
 * @param {ScoredImage[]} images
 * @param {string} order
 */
export const sorted = (images, order) => [...images].sort(ORDERS[order]);

/**
 * The thresholds that a version has saved. No review is the same as a review at the threshold.
 * @param {Images} images
 * @returns {Thresholds}
 */
export const savedThresholds = ({ threshold, review }) => ({ threshold, review: Math.min(review, threshold) });
