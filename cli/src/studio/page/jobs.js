// @ts-check
// The progress of the running job, and what the job that has ended says.

import * as api from "./api.js";
import { button, byId, fill, h } from "./dom.js";
import { duration, plural } from "./format.js";
import { attempt, show } from "./message.js";

/** @import { Store } from "./store.js" */
/** @import { Finished, Job } from "./types.js" */

/** @type {Record<string, string>} */
const NAMES = {
  teach: "Teaching",
  score: "Scoring",
  update: "Updating the model",
  capture: "Capturing images",
  report: "Writing the report",
};

/** Largest number of skipped images that are listed. */
const LISTED = 20;

/** @param {Store} store */
export function showJobs(store) {
  const region = byId("progress");
  const title = h("strong", {});
  const text = h("span", {});
  const bar = h("progress", { "aria-label": "Progress of the job" });
  const cancel = button("Cancel", () => {
    const { job } = store;
    if (job) attempt(() => api.cancel(job.id));
  });
  fill(region, title, bar, text, cancel);
  store.on("job", () => {
    const { job } = store;
    region.hidden = job === null;
    if (!job) return;
    title.textContent = NAMES[job.kind] ?? job.kind;
    if (job.total > 0) {
      bar.max = job.total;
      bar.value = job.done;
    } else bar.removeAttribute("value");
    text.textContent = describe(job);
  });
  store.onFinished((finished) => tell(store, finished));
}

/** @param {Job} job */
function describe({ stage, done, total, seconds, left }) {
  const parts = [stage];
  if (total > 0) parts.push(`${done} of ${total}`);
  parts.push(left === null ? `${duration(seconds)} so far` : `about ${duration(left)} left`);
  return parts.join(", ");
}

/**
 * @param {Store} store
 * @param {Finished} finished
 */
function tell(store, { kind, error, warnings, version, skipped }) {
  const details = [...warnings, ...skipped.slice(0, LISTED).map((image) => `Skipped ${image.path}: ${image.error}`)];
  if (skipped.length > LISTED) details.push(`${plural(skipped.length - LISTED, "more image")} skipped.`);
  // The operator has cancelled it: nothing is wrong.
  if (error?.startsWith("cancelled")) return show(`${NAMES[kind] ?? kind} was ${error}.`, details);
  if (error) return show(error, details, "alert");
  if (kind === "report") {
    const address = api.reportAddress(version ?? store.version?.number ?? 0);
    return show(
      h("span", {}, "The report is ready. ", h("a", { href: address, target: "_blank" }, "Open the report")),
      details,
    );
  }
  if (version === null) return show(`${NAMES[kind] ?? kind} has ended.`, details);
  const look = h("a", { href: `#review/${version}` }, `Look at the decisions of version ${version}`);
  show(h("span", {}, `Version ${version} is ready.${store.elsewhere(version)} `, look), details);
}

/**
 * Starts a job and shows its progress.
 * @param {Store} store
 * @param {() => Promise<{ job: number }>} start
 */
export async function startJob(store, start) {
  const started = await attempt(start);
  if (!started) return;
  store.started(started.job);
  await store.refresh();
}

/**
 * Keeps a button unusable while a job runs, since there is one at a time.
 * @param {Store} store
 * @param {HTMLButtonElement} control
 */
export function oneAtATime(store, control) {
  const update = () => {
    control.disabled = store.job !== null;
  };
  store.on("job", update);
  update();
  return control;
}
