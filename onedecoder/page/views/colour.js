/* Colours of numbers, for both themes.
 *
 * Weights and probabilities (0 to 1) go from the paper's colour to a strong one; values of either sign from blue over
 * the paper to orange. Both are tables of 256 colours, read once per theme from the style sheet's own names.
 */

const tables = new Map();

/** A table of 256 RGB colours through the stops that the style sheet lists under `name`. */
function table(name) {
  const theme = document.documentElement.dataset.theme;
  const key = `${name} ${theme}`;
  if (!tables.has(key)) {
    const stops = ink(name).split(/\s+/).map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    tables.set(key, Array.from({ length: 256 }, (_, index) => {
      const place = (index / 255) * (stops.length - 1);
      const from = Math.min(Math.floor(place), stops.length - 2);
      return stops[from].map((channel, at) => Math.round(channel + (place - from) * (stops[from + 1][at] - channel)));
    }));
  }
  return tables.get(key);
}

/** What the style sheet says a name is: `ink("--accent")`. */
export function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The colours of weights from 0 to 1. Their square root is shown: most of many weights are small. */
export function weightColours() {
  return table("--weights");
}

export const weightIndex = (weight) => Math.min(255, Math.round(255 * Math.sqrt(weight)));

/** One weight's colour, as CSS. */
export function weightColour(weight) {
  return `rgb(${weightColours()[weightIndex(weight)].join(" ")})`;
}

/** Text that can be read on that colour: black or white, whichever has more contrast (WCAG 2, relative luminance). */
export function weightInk(weight) {
  const [red, green, blue] = weightColours()[weightIndex(weight)].map((channel) => ((channel / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000000" : "#ffffff";
}

/** The colours of values from -1 to 1, for what is divided by its largest. */
export function valueColours() {
  return table("--values");
}

export const valueIndex = (value) => Math.max(0, Math.min(255, Math.round(127.5 * (1 + value))));

/** Heads of one layer, told apart: each hue is a golden angle from the one before. */
export const headHue = (head) => (head * 137.5 + 20) % 360;

export const headColour = (head) => `hsl(${headHue(head)} 65% ${ink("--head-lightness")})`;
