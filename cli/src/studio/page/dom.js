// @ts-check
// Elements are made here alone, and text only ever becomes a text node: file names may hold anything.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, any>} Props */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Sets attributes; `onclick` and the like become listeners, `true` an empty attribute, and `false` or null none.
 * @param {Element} element
 * @param {Props} props
 */
function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {HTMLInputElement} */ (element).value = value;
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  const shown = children.filter((child) => child !== null && child !== undefined && child !== false);
  return shown.map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Makes an HTML element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  // A select takes its value only once it has its options.
  element.append(...nodes(children));
  setProps(element, props);
  return element;
}

/**
 * Makes an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  element.append(...nodes(children));
  setProps(element, props);
  return element;
}

/**
 * Puts children in the place of those that an element has.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * The element of index.html with that id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element '${id}'`);
  return element;
}

/**
 * A button.
 * @param {string} text
 * @param {() => unknown} onclick
 * @param {Props} [props]
 */
export function button(text, onclick, props = {}) {
  return h("button", { type: "button", onclick, ...props }, text);
}

/**
 * What a view says before there is a version.
 * @param {string} what
 */
export function notTaught(what) {
  return h("p", {}, `${what} Teach good images first. `, h("a", { href: "#teach" }, "Go to Teach"));
}

/**
 * A control under its label.
 * @param {Child} text
 * @param {HTMLElement} control
 * @param {Child} [note] text below, which also describes the control
 */
export function field(text, control, note) {
  control.id ||= `field-${(fields += 1)}`;
  if (note) control.setAttribute("aria-describedby", `${control.id}-note`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, text),
    control,
    note && h("p", { class: "note", id: `${control.id}-note` }, note),
  );
}

let fields = 0;

/**
 * A checkbox with its label, the whole of which is the target.
 * @param {Child} text
 * @param {boolean} checked
 * @param {(checked: boolean) => unknown} onchange
 * @param {Props} [props]
 */
export function checkbox(text, checked, onchange, props = {}) {
  const input = h("input", { type: "checkbox", ...props });
  input.checked = checked;
  input.addEventListener("change", () => onchange(input.checked));
  return h("label", { class: "check" }, input, h("span", {}, text));
}

/**
 * A select.
 * @param {[value: string, text: string][]} choices
 * @param {string} value
 * @param {(value: string) => unknown} onchange
 * @param {Props} [props]
 */
export function select(choices, value, onchange, props = {}) {
  const control = h("select", { ...props }, ...options(choices));
  control.value = value;
  control.addEventListener("change", () => onchange(control.value));
  return control;
}

/**
 * The options of a select.
 * @param {[value: string, text: string][]} choices
 */
export function options(choices) {
  return choices.map(([value, text]) => h("option", { value }, text));
}
