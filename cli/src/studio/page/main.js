// @ts-check
// Starts the page: the tabs, the progress of jobs, and the views.

import { byId, fill, h } from "./dom.js";
import { showJobs } from "./jobs.js";
import { showLive } from "./live.js";
import { showReview } from "./review.js";
import { Store, TABS } from "./store.js";
import { showTeach } from "./teach.js";
import { showUse } from "./use.js";
import { showVersions } from "./versions.js";

/** @param {Store} store */
function showTabs(store) {
  for (const tab of TABS) byId(`tab-${tab}`).addEventListener("click", () => store.look(tab));
  byId("tabs").addEventListener("keydown", (event) => {
    const at = TABS.indexOf(store.tab);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = TABS[(next + TABS.length) % TABS.length];
    store.look(tab);
    byId(`tab-${tab}`).focus();
  });
  store.on("view", () => {
    document.body.dataset.tab = store.tab;
    for (const tab of TABS) {
      const selected = tab === store.tab;
      byId(`${tab}-view`).hidden = !selected;
      byId(`tab-${tab}`).setAttribute("aria-selected", String(selected));
      byId(`tab-${tab}`).tabIndex = selected ? 0 : -1;
    }
  });
  addEventListener("hashchange", () => store.readAddress());
}

/** @param {Store} store */
function showProject(store) {
  store.on("project", () => {
    if (!store.project) return;
    const { name, folder, npad } = store.project;
    document.title = `${name} - npad studio`;
    fill(byId("project"), h("strong", {}, name), h("span", { title: folder }, folder), h("span", {}, `npad ${npad}`));
  });
}

const store = new Store();
showTabs(store);
showProject(store);
showJobs(store);
showTeach(store);
showReview(store);
showVersions(store);
showLive(store);
showUse(store);
await store.poll();
