/* Elements, and numbers as people read them.
 *
 * Whatever a decoder or a visitor wrote enters the page here, and only as text: `el` takes strings as text nodes, so
 * that markup in a prompt stays what it is, letters. Styles are set property by property, which a strict content
 * security policy allows.
 */

const SVG = "http://www.w3.org/2000/svg";

/** An element: `el("button", { class: "quiet", onclick: go, "aria-label": "Write" }, "Write")`. */
export function el(name, settings = {}, ...children) {
  return furnish(document.createElement(name), settings, children);
}

/** The same for the shapes of a drawing. */
export function svg(name, settings = {}, ...children) {
  return furnish(document.createElementNS(SVG, name), settings, children);
}

function furnish(node, settings, children) {
  for (const [key, value] of Object.entries(settings)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, text] of Object.entries(value)) node.style.setProperty(name, text);
    else if (key === "value" || key === "checked" || key === "disabled") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Show other children in a node; the keyboard stays on the button in the same place among them. */
export function replace(node, ...children) {
  const buttons = () => [...node.querySelectorAll("button")];
  const focused = buttons().indexOf(document.activeElement);
  node.replaceChildren(...children);
  buttons()[focused]?.focus({ preventScroll: true });
}

/** A labelled control. The label's words are what a screen reader says of it. */
export function field(label, control, ...after) {
  return el("label", { class: "field" }, el("span", {}, label), control, ...after);
}

/** A choice from a list: `options` are [value, words] pairs, `chosen` gets the value as it was given. */
export function select(label, options, value, chosen) {
  const control = el("select", {}, options.map(([, words], at) => el("option", { value: at }, words)));
  control.value = options.findIndex(([each]) => each === value);
  control.addEventListener("change", () => chosen(options[control.value][0]));
  const node = field(label, control);
  node.show = (now) => { control.value = options.findIndex(([each]) => each === now); };
  return node;
}

let groups = 0;

/** A choice from a few, side by side; radio buttons, so that the arrow keys go from one to the next. */
export function segments(label, options, value, chosen) {
  const name = `group${groups++}`;
  const inputs = options.map(([each], at) => el("input", {
    type: "radio", name, value: at, checked: each === value, onchange: () => chosen(each),
  }));
  const node = el("fieldset", { class: "segments" }, el("legend", {}, label),
    options.map(([, words], at) => el("label", {}, inputs[at], el("span", {}, words))));
  node.show = (now) => options.forEach(([each], at) => { inputs[at].checked = each === now; });
  return node;
}

/** [[0, "1"], [1, "2"], …]: layers and heads are counted from one, as people count. */
export const numbered = (size) => Array.from({ length: size }, (_, at) => [at, String(at + 1)]);

/** A box to tick. */
export function tick(label, checked, changed) {
  const box = el("input", { type: "checkbox", checked, onchange: () => changed(box.checked) });
  return el("label", { class: "tick" }, box, el("span", {}, label));
}

/** A number, large, with the words that say what it counts. */
export const figure = (number, words) => el("span", { class: "figure" }, el("strong", {}, number), words);

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** 1057536 -> "1,057,536" */
export const count = (number) => whole.format(number);

/** 1057536 -> "1.06M" */
export const brief = (number) => short.format(number);

/** 0.0312 -> "3.1 %"; what is too small to tell from nothing says so. */
export function percent(share) {
  if (share === 0) return "0 %";
  if (share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share > 0.9995 ? 0 : 1)} %`;
}

/** A score or a value, with the real minus sign; what the mask hides is minus infinity. */
export function decimal(number) {
  if (number === -Infinity) return "−∞";
  return number.toFixed(2).replace("-", "−");
}

/** "int8" -> "8 bits": in what a page keeps each number of its weights. */
export const bits = (type) => `${type.match(/\d+/)[0]} bits`;

/** 61.5 -> "1:01" */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** [128, 384] -> "128 × 384" */
export const shape = (...sizes) => sizes.map(count).join(" × ");
