// @ts-check
// Adds image files to the project's folder of good images.

import * as api from "./api.js";
import { h } from "./dom.js";
import { bytes, plural } from "./format.js";
import { show } from "./message.js";

/** @import { Store } from "./store.js" */

/** The folder that takes uploads and captured images. */
export const GOOD = "good";

/**
 * A place to drop files at, with a button to choose them.
 * @param {Store} store
 * @param {() => void} done
 */
export function dropZone(store, done) {
  const input = h("input", { type: "file", multiple: true, accept: "image/*", id: "upload", class: "visually-hidden" });
  const state = h("p", { class: "muted", "aria-live": "polite" });
  let queue = Promise.resolve();
  let waiting = 0;
  /** @param {File[]} files */
  const add = async (files) => {
    waiting += 1;
    addEventListener("beforeunload", askFirst);
    queue = queue.then(() => uploadAll(store, files, (text) => (state.textContent = text), done));
    await queue;
    waiting -= 1;
    if (waiting === 0) removeEventListener("beforeunload", askFirst);
  };
  input.addEventListener("change", () => {
    add([...(input.files ?? [])]);
    input.value = "";
  });
  const zone = h(
    "div",
    { class: "drop" },
    h("p", {}, `Drop images of good parts here. They are copied into the folder ${GOOD}.`),
    input,
    h("label", { for: "upload", class: "button" }, "Choose files"),
    state,
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    add(await droppedFiles(event.dataTransfer));
  });
  return zone;
}

/**
 * Has the browser ask before the page goes, since the files that are left would not be added. A page that belongs to
 * another instance can add none of them.
 * @param {BeforeUnloadEvent} event
 */
function askFirst(event) {
  if (api.foreign) return;
  event.preventDefault();
  // For browsers older than 2024.
  event.returnValue = true;
}

/**
 * The files that were dropped, and those in folders that were.
 * @param {DataTransfer | null} data
 */
async function droppedFiles(data) {
  const entries = [...(data?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(filesOf))).flat();
}

/**
 * @param {FileSystemEntry} entry
 * @returns {Promise<File[]>}
 */
async function filesOf(entry) {
  if (entry.isFile) {
    return [await new Promise((found, failed) => /** @type {FileSystemFileEntry} */ (entry).file(found, failed))];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  /** @type {File[]} */
  const files = [];
  // A reader gives some entries at a time, and none at the end.
  for (;;) {
    const entries = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (entries.length === 0) return files;
    files.push(...(await Promise.all(entries.map(filesOf))).flat());
  }
}

/**
 * Uploads files one after the other.
 * @param {Store} store
 * @param {File[]} files
 * @param {(text: string) => void} tell
 * @param {() => void} done
 */
async function uploadAll(store, files, tell, done) {
  /** @type {string[]} */
  const failures = [];
  for (const [at, file] of files.entries()) {
    tell(`Adding image ${at + 1} of ${files.length}.`);
    try {
      if (file.size > api.MAX_UPLOAD)
        throw new Error(`the file has ${bytes(file.size)}; ${bytes(api.MAX_UPLOAD)} are the most`);
      await api.upload(GOOD, file);
    } catch (error) {
      failures.push(`${file.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const added = files.length - failures.length;
  tell(`${plural(added, "image")} added.`);
  if (failures.length > 0) show(`${plural(failures.length, "file")} could not be added.`, failures, "alert");
  await store.refresh();
  if (added > 0) done();
}
