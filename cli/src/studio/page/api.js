// @ts-check
// The server's interface.

/** @import { Cameras, Images, Live, Options, Project, Rectangle, Status } from "./types.js" */

/** Largest file that the server takes. */
export const MAX_UPLOAD = 64e6;

/** The run of npad studio that this page belongs to, which every change names; "" until it has answered. */
let instance = "";
/** Whether another instance has this address now; the page is about to load anew. */
export let foreign = false;

/** What every request that changes anything carries: no other site can send it. */
const change = () => ({ "x-npad-studio": instance });

/** What the server, or the lack of one, has to say; the message is shown as it is. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number | null} status null if there was no answer
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function request(path, init) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...init });
  } catch {
    throw new ApiError("npad studio doesn't answer. Check that it still runs; this page goes on by itself.", null);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  throw new ApiError(answer?.error ?? `npad studio answered with the error ${response.status}.`, response.status);
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
async function get(path) {
  return (await request(path)).json();
}

/**
 * Asks for what names its instance. Another one, perhaps of another project, may have this address by now: then the
 * page loads anew, and nobody here sees the answer.
 * @template {{ instance: string }} T
 * @param {string} path
 * @returns {Promise<T>}
 */
async function getOwn(path) {
  const answer = await get(path);
  instance ||= answer.instance;
  if (answer.instance === instance) return answer;
  foreign = true;
  location.reload();
  return new Promise(() => {});
}

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
async function post(path, body) {
  const headers = { ...change(), "content-type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** @returns {Promise<Project>} */
export const project = () => getOwn("/api/project");

/** @returns {Promise<Status>} */
export const status = () => getOwn("/api/status");

/** @returns {Promise<Options>} */
export const options = () => get("/api/options");

/**
 * @param {number | null} version null: of a project without any
 * @returns {Promise<Images>}
 */
export const images = (version) => get(version === null ? "/api/images" : `/api/images?version=${version}`);

/** Longest side of a picture that fills a panel. */
export const LARGE = 1600;

/**
 * The address of a picture.
 * @param {string} path
 * @param {number} size longest side; 0: the image's own size
 * @param {{ version?: number | null, threshold?: number, review?: number, mask?: boolean, of?: unknown }} [over] what is
 *   drawn on it; `of` tells a file from the one before it of that name, whose picture the browser would show again
 */
export function picture(path, size, over = {}) {
  const query = new URLSearchParams({ path, size: String(size) });
  if (over.version) query.set("version", String(over.version));
  if (over.threshold !== undefined) query.set("threshold", String(over.threshold));
  if (over.review !== undefined) query.set("review", String(over.review));
  if (over.mask) query.set("mask", "1");
  if (over.of) query.set("of", String(over.of));
  return `/api/picture?${query}`;
}

/**
 * @param {{ folders: string[], method: string, options: Record<string, string>, roi: Rectangle | null }} request
 * @returns {Promise<{ job: number }>}
 */
export const teach = (request) => post("/api/teach", request);

/** @param {number} job */
export const cancel = (job) => post("/api/cancel", { job });

/** @param {number} version whose missing scores are computed */
export const score = (version) => post("/api/score", { version });

/**
 * @param {string} folder
 * @param {File} file
 * @returns {Promise<{ path: string }>}
 */
export async function upload(folder, file) {
  const query = new URLSearchParams({ folder, name: file.name });
  const headers = { ...change(), "content-type": "application/octet-stream" };
  return (await request(`/api/upload?${query}`, { method: "PUT", headers, body: file })).json();
}

/**
 * @param {string} path
 * @param {"good" | "defective" | null} label null takes the mark back
 */
export const mark = (path, label) => post("/api/mark", { path, label });

/**
 * Makes a new version from one, which learns the marks that it does not know.
 * @param {{ version: number, operating_point: string, miss_cost?: number }} request
 * @returns {Promise<{ job: number }>}
 */
export const update = (request) => post("/api/update", request);

/**
 * @param {number} version
 * @param {number} threshold
 * @param {number} review
 * @returns {Promise<{ version: number }>}
 */
export const saveThresholds = (version, threshold, review) => post("/api/thresholds", { version, threshold, review });

/** @param {number} version */
export const makeCurrent = (version) => post("/api/current", { version });

/** @param {number} version */
export const card = async (version) => (await request(`/api/card?version=${version}`)).text();

/** @param {number} version */
export const modelAddress = (version) => `/api/model?version=${version}`;

/**
 * @param {number} version
 * @returns {Promise<{ job: number }>}
 */
export const report = (version) => post("/api/report", { version });

/** @param {number} version */
export const reportAddress = (version) => `/api/report?version=${version}`;

/** @returns {Promise<Live>} */
export const live = () => get("/api/live");

/** @param {{ folder: string } | { camera: string } | { stop: true }} request */
export const setLive = (request) => post("/api/live", request);

/** @returns {Promise<Cameras>} */
export const cameras = () => get("/api/cameras");

/**
 * @param {string} camera
 * @param {number} count
 * @returns {Promise<{ job: number }>}
 */
export const capture = (camera, count) => post("/api/capture", { camera, count });

/** @returns {Promise<{ cpp: string, csharp: string }>} */
export const snippets = () => get("/api/snippets");
