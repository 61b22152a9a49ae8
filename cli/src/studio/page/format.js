// @ts-check
// Numbers in words.

/**
 * A score, with four significant digits.
 * @param {number} value
 */
export const score = (value) => String(Number(value.toPrecision(4)));

/**
 * A calibrated score.
 * @param {number} value
 */
export const calibrated = (value) => value.toFixed(2).replace("-0.00", "0.00");

/**
 * A share as a percentage.
 * @param {number} share
 */
export const percent = (share) => `${(100 * share).toFixed(1)} %`;

/**
 * A part of a whole: "1 of 30 (3.3 %)".
 * @param {number} part
 * @param {number} whole
 */
export const ratio = (part, whole) => (whole ? `${part} of ${whole} (${percent(part / whole)})` : "0 of 0");

/**
 * A number of things: "1 image", "2 images".
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/**
 * A duration.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * The size of a file.
 * @param {number} count
 */
export function bytes(count) {
  return count < 1e6 ? `${Math.ceil(count / 1e3)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

/**
 * Day and time of the server's clock, in the browser's time zone.
 * @param {string} iso
 */
export const dateTime = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/**
 * The time of day.
 * @param {string} iso
 */
export const time = (iso) => new Date(iso).toLocaleTimeString();

/**
 * The last part of a path.
 * @param {string} path
 */
export const baseName = (path) => path.slice(path.lastIndexOf("/") + 1);
