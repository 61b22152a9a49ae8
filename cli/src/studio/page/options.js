// @ts-check
// The form of the method and its settings, made of what the server says about each.

import { checkbox, field, fill, h, select } from "./dom.js";

/** @import { Option, Options } from "./types.js" */

/** The settings that are always shown, and what they are called. @type {Record<string, string>} */
const MAIN = {
  size: "Size of the network's input",
  scales: "Scales",
  false_alarm_rate: "False-alarm rate",
  review_rate: "Review rate",
};

export class OptionsForm {
  element = h("div", { class: "settings" }, h("p", { class: "muted" }, "Reading the settings."));

  /** @type {Options} */
  #options = { methods: [], options: [] };
  #method = "npad";
  /** @type {Map<string, string>} Values that may differ from the defaults */
  #values = new Map();
  #open = false;

  /** @param {Options} options */
  fill(options) {
    this.#options = { methods: options.methods, options: options.options.filter(({ name }) => name !== "method") };
    if (!options.methods.includes(this.#method)) this.#method = options.methods[0];
    this.#show();
  }

  method() {
    return this.#method;
  }

  /** The settings whose values differ from the defaults. @returns {Record<string, string>} */
  changed() {
    const usable = this.#usable().filter(({ name, default: usual }) => (this.#values.get(name) ?? usual) !== usual);
    return Object.fromEntries(usable.map(({ name }) => [name, this.#values.get(name) ?? ""]));
  }

  /**
   * Takes the settings of a version.
   * @param {string} method
   * @param {Record<string, string>} settings
   */
  take(method, settings) {
    this.#method = method;
    this.#values = new Map(Object.entries(settings));
    this.#show();
  }

  /** The settings of the chosen method. */
  #usable() {
    return this.#options.options.filter(({ method }) => method === null || method === this.#method);
  }

  #show() {
    /** @type {[string, string][]} */
    const methods = this.#options.methods.map((name) => [name, name]);
    const method = select(methods, this.#method, (value) => {
      this.#method = value;
      this.#show();
      this.element.querySelector("select")?.focus();
    });
    const usable = this.#usable();
    const main = Object.keys(MAIN).flatMap((name) => usable.filter((option) => option.name === name));
    const others = usable.filter((option) => !(option.name in MAIN));
    const more = h(
      "details",
      { open: this.#open },
      h("summary", {}, "All settings"),
      h("div", { class: "fields" }, ...others.map((option) => this.#field(option))),
    );
    more.addEventListener("toggle", () => (this.#open = more.open));
    const note = "The way in which the model tells good from defective.";
    fill(
      this.element,
      h("div", { class: "fields" }, field("Method", method, note), ...main.map((option) => this.#field(option))),
      more,
    );
  }

  /** @param {Option} option */
  #field(option) {
    const { name, help, range, default: usual } = option;
    const about = [`Range: ${range}.`, usual === "" ? "Default: empty." : `Default: ${usual}.`].join(" ");
    const note = h(
      "span",
      {},
      `${help[0]?.toUpperCase() ?? ""}${help.slice(1)}. `,
      h("span", { class: "range" }, about),
    );
    const title = MAIN[name] ? h("span", {}, MAIN[name], " ", h("code", {}, name)) : h("code", {}, name);
    if (option.kind === "flags" && option.choices) return this.#flags(option, option.choices, title, note);
    return field(title, this.#control(option), note);
  }

  /** @param {Option} option */
  #control({ name, kind, choices, default: usual }) {
    const value = this.#values.get(name) ?? usual;
    if (kind === "choice" && choices) {
      return select(
        choices.map((choice) => [choice, choice]),
        value,
        (chosen) => this.#values.set(name, chosen),
      );
    }
    // No number inputs: some settings also take a word, such as 'none'.
    const inputmode = kind === "number" ? "decimal" : "text";
    const input = h("input", { type: "text", inputmode, value, spellcheck: "false", autocomplete: "off", name });
    input.addEventListener("input", () => this.#values.set(name, input.value.trim()));
    return input;
  }

  /**
   * @param {Option} option
   * @param {string[]} choices
   * @param {Node} title
   * @param {Node} note
   */
  #flags({ name, default: usual }, choices, title, note) {
    const set = new Set((this.#values.get(name) ?? usual).split("+").filter(Boolean));
    const boxes = choices.map((choice) =>
      checkbox(choice, set.has(choice), (checked) => {
        if (checked) set.add(choice);
        else set.delete(choice);
        this.#values.set(name, choices.filter((flag) => set.has(flag)).join("+"));
      }),
    );
    return h("fieldset", { class: "field" }, h("legend", {}, title), ...boxes, h("p", { class: "note" }, note));
  }
}
