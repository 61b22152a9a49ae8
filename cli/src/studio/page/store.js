// @ts-check
// What the server has told, kept up to date, and what the operator looks at.

import * as api from "./api.js";
import { clear, show, showError } from "./message.js";

/** @import { Finished, Images, Job, Project, Version } from "./types.js" */

export const TABS = ["teach", "review", "versions", "live", "use"];

/** Jobs that end in a new version, which is then looked at. */
const MAKES_VERSION = ["teach", "update"];

/** Milliseconds between two questions for the status. */
const POLL = 1000;

/** Where a tab keeps what it knows of the jobs while it loads anew. */
const KEY = "npad studio jobs";

/**
 * What a tab knows of the jobs of an instance.
 * @typedef {object} Known
 * @property {string} instance
 * @property {number} ended the last job whose end this tab has seen
 * @property {number} started the last job that this tab has started
 */

/**
 * What this tab knew before it was loaded anew.
 * @param {string} instance
 * @returns {Known | null} null: nothing of this instance
 */
function recall(instance) {
  try {
    const known = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return known?.instance === instance ? known : null;
  } catch {
    return null;
  }
}

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
  /** @type {number | null} The version whose thresholds are moved and not saved: the page stays on it */
  unsaved = null;

  /** @type {Map<number | null, { revision: number, answer: Promise<Images> }>} */
  #images = new Map();
  /** @type {Known | null} null: not asked yet */
  #known = null;
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
      const { instance, revision, job, finished } = await api.status();
      if (this.#lost) clear();
      this.#lost = false;
      if (revision !== this.project?.revision) await this.#load();
      this.job = job;
      this.dispatchEvent(new Event("job"));
      const ended = finished?.id ?? 0;
      const known = this.#known ?? recall(instance) ?? { instance, ended, started: 0 };
      const news = finished && ended > known.ended;
      if (news || !this.#known) this.#know({ ...known, ended });
      if (news) this.#end(finished);
    } catch (error) {
      if (!this.#lost) showError(error);
      this.#lost = true;
    }
  }

  async #load() {
    const before = this.project;
    this.project = await api.project();
    const { project, unsaved } = this;
    if (this.chosen === null && unsaved !== project.current && this.find(unsaved)) {
      this.chosen = unsaved;
      history.replaceState(null, "", `#${this.tab}/${unsaved}`);
    }
    const numbers = new Set(this.project.versions.map((version) => version.number));
    for (const key of this.#images.keys()) if (key !== null && !numbers.has(key)) this.#images.delete(key);
    this.dispatchEvent(new Event("project"));
    if (!before) this.readAddress();
    else if (project.current !== null && project.current !== before.current) {
      const elsewhere = this.elsewhere(project.current);
      if (elsewhere) show(`Version ${project.current} is the current one now.${elsewhere}`);
    }
  }

  /**
   * What to add to the news of a version while another one is looked at.
   * @param {number} number
   */
  elsewhere(number) {
    const looked = this.version?.number;
    return looked === number ? "" : ` You are still looking at version ${looked}.`;
  }

  /**
   * Notes the job that this tab has started: the version that it makes will be looked at.
   * @param {number} job
   */
  started(job) {
    if (this.#known) this.#know({ ...this.#known, started: job });
  }

  /** @param {Known} known */
  #know(known) {
    this.#known = known;
    // A browser that keeps nothing still shows the page.
    try {
      sessionStorage.setItem(KEY, JSON.stringify(known));
    } catch {}
  }

  /** @param {Finished} finished */
  #end(finished) {
    const { id, kind, version } = finished;
    const own = id === this.#known?.started;
    if (own && MAKES_VERSION.includes(kind) && version !== null && this.unsaved === null) this.look(this.tab, null);
    this.dispatchEvent(new CustomEvent("finished", { detail: finished }));
  }

  /**
   * Looks at a tab and a version.
   * @param {string} tab
   * @param {number | null} [version] null: the current one
   */
  look(tab, version = this.chosen) {
    const hash = version === null ? `#${tab}` : `#${tab}/${version}`;
    if (location.hash !== hash) history.pushState(null, "", hash);
    this.readAddress();
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
