// @ts-check
// A choice of the cameras that the server finds. Looking for them takes a moment, so it is done on demand.

import * as api from "./api.js";
import { button, field, fill, h, options, select } from "./dom.js";
import { attempt, show } from "./message.js";

/** @param {string} id of the select */
export function cameraPicker(id) {
  const list = select([["", "None found yet"]], "", () => {}, { id });
  const look = button("Look for cameras", async () => {
    look.disabled = true;
    const answer = await attempt(api.cameras);
    look.disabled = false;
    if (!answer) return;
    if (answer.error) show(answer.error, [], "alert");
    /** @type {[string, string][]} */
    const found = answer.cameras.map(({ id, name }) => [id, name]);
    fill(list, ...options(found.length > 0 ? found : [["", "No camera found"]]));
  });
  return { element: h("div", { class: "row" }, field("Camera", list), look), value: () => list.value };
}
