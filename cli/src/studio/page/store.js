// @ts-check
// What the server has told, kept up to date, and what the operator looks at.

import * as api from "./api.js";
import { clear, showError } from "./message.js";

/** @import { Finished, Images, Job, Project, Version } from "./types.js" */

export const TABS = ["teach", "review", "versions", "live", "use"];

/** Jobs that end in a new version, which is then looked at. */
const MAKES_VERSION = ["teach", "update"];

/** Milliseconds between two questions for the status. */
const POLL = 1000;

/**
 * Fires `project` when the project has changed, `job` with the state of the running job, `finished` when a job has
 * ended, and `view` when another tab or version is looked at.
 */
export class Store extends EventTarget {
  /** @type {Project | null} */
  project = null;
  /** @type {Job | null} */
  job = null;
  tab = "teach";
  /** @type {number | null} The version in the address; null: the current one */
  chosen = null;

  /** @type {Map<number | null, { revision: number, answer: Promise<Images> }>} */
  #images = new Map();
  /** @type {number | null} The last job whose end is known; null: not asked yet */
  #ended = null;
  #lost = false;
  #timer = 0;
  /** @type {Promise<void> | null} */
  #polling = null;

  /**
   * Listens to an event.
   * @param {"project" | "job" | "view"} event
   * @param {() => unknown} listener
   */
  on(event, listener) {
    this.addEventListener(event, listener);
  }

  /**
   * Listens to the ends of jobs.
   * @param {(finished: Finished) => unknown} listener
   */
  onFinished(listener) {
    this.addEventListener("finished", (event) => listener(/** @type {CustomEvent<Finished>} */ (event).detail));
  }

  /** The version that is looked at. @returns {Version | null} */
  get version() {
    return this.find(this.chosen ?? this.project?.current ?? null) ?? this.find(this.project?.current ?? null);
  }

  /**
   * @param {number | null} number
   * @returns {Version | null}
   */
  find(number) {
    return this.project?.versions.find((version) => version.number === number) ?? null;
  }

  /**
   * The images as a version has scored them.
   * @param {number | null} version null: of a project without any
   */
  images(version) {
    const revision = this.project?.revision ?? 0;
    const known = this.#images.get(version);
    if (known?.revision === revision) return known.answer;
    const answer = api.images(version);
    this.#images.set(version, { revision, answer });
    answer.catch(() => this.#images.delete(version));
    return answer;
  }

  /** Asks the server for its status now and then again and again. @returns {Promise<void>} */
  poll() {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = null;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.poll(), POLL);
    });
    return this.#polling;
  }

  /** Asks for the status, and does so anew if a question is already on its way, which may be too old. */
  async refresh() {
    await this.#polling;
    await this.poll();
  }

  async #poll() {
    try {
      const { revision, job, finished } = await api.status();
      if (revision !== this.project?.revision) await this.#load();
      this.job = job;
      this.dispatchEvent(new Event("job"));
      const news = finished && this.#ended !== null && finished.id !== this.#ended;
      this.#ended = finished?.id ?? 0;
      if (news) this.#end(finished);
      if (this.#lost) clear();
      this.#lost = false;
    } catch (error) {
      if (!this.#lost) showError(error);
      this.#lost = true;
    }
  }

  async #load() {
    this.project = await api.project();
    const numbers = new Set(this.project.versions.map((version) => version.number));
    for (const key of this.#images.keys()) if (key !== null && !numbers.has(key)) this.#images.delete(key);
    this.dispatchEvent(new Event("project"));
  }

  /** @param {Finished} finished */
  #end(finished) {
    if (MAKES_VERSION.includes(finished.kind) && finished.version !== null) this.look(this.tab, null);
    this.dispatchEvent(new CustomEvent("finished", { detail: finished }));
  }

  /**
   * Looks at a tab and a version.
   * @param {string} tab
   * @param {number | null} [version] null: the current one
   */
  look(tab, version = this.chosen) {
    const hash = version === null ? `#${tab}` : `#${tab}/${version}`;
    if (location.hash === hash) this.readAddress();
    else location.hash = hash;
  }

  /** Takes tab and version from the address. */
  readAddress() {
    const [tab, version] = location.hash.slice(1).split("/");
    const empty = this.project?.current === null ? "teach" : "review";
    this.tab = TABS.includes(tab) ? tab : empty;
    this.chosen = /^\d+$/.test(version ?? "") ? Number(version) : null;
    this.dispatchEvent(new Event("view"));
  }
}
