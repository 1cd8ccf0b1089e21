/* The piano roll: time to the right, pitch upward, a running cursor, and arcs from a chosen note to those it attends to. */

import { headColour, ink } from "onedecoder/views/colour.js";
import { el } from "onedecoder/views/dom.js";

const KEYS = 34; // pixels at the left, for the names of the octaves
const WIDEST = 32000; // pixels of a canvas that every browser can paint
const BLACK = new Set([1, 3, 6, 8, 10]);
const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

export const noteName = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

/** Returns { node, show, cursor }. `chosen(index)` gets the note that is pressed, or -1 for none. */
export function roll(label, chosen) {
  const canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": label });
  const octaves = el("div", { class: "octaves", "aria-hidden": "true" }); // stay where they are while the roll moves
  const hand = el("div", { class: "cursor", hidden: true });
  const node = el("div", { class: "roll" }, octaves, canvas, hand);
  const context = canvas.getContext("2d");
  let picture = { notes: [], arcs: [], chosen: -1, given: () => false };
  let width = 0, height = 0, scale = 60, low = 48, high = 84, colours = {}, shown = -1;

  const x = (time) => KEYS + time * scale;
  const row = () => height / (high - low + 1);
  const y = (pitch) => (high - pitch) * row();

  /** Show { notes, arcs: [{ head, arcs }], chosen, given(note), zoom }. */
  function show(next) {
    if (!node.clientWidth) return; // another view was opened meanwhile: there is no room to draw in until this one is again
    picture = next;
    const pitches = next.notes.map(({ pitch }) => pitch);
    low = Math.min(55, ...pitches) - 2;
    high = Math.max(76, ...pitches) + 2;
    const seconds = next.notes.reduce((last, { end }) => Math.max(last, end), 4);
    const room = node.clientWidth;
    scale = Math.max((room - KEYS - 8) / seconds, next.zoom);
    width = Math.min(WIDEST, Math.ceil(KEYS + seconds * scale + 8));
    scale = (width - KEYS - 8) / seconds;
    height = Math.max(220, Math.min(420, 9 * (high - low + 1)));
    const ratio = Math.min(devicePixelRatio, WIDEST / width);
    canvas.style.setProperty("width", `${width}px`);
    canvas.style.setProperty("height", `${height}px`);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw();
    if (next.chosen >= 0 && next.chosen !== shown) reveal(next.notes[next.chosen]);
    shown = next.chosen;
  }

  /** Bring a note into sight, with more room before it, where its arcs lead, than after it. */
  function reveal({ start }) {
    const at = x(start) - node.scrollLeft;
    if (at < KEYS || at > node.clientWidth - 30) node.scrollLeft = Math.max(0, x(start) - node.clientWidth * 0.7);
  }

  function draw() {
    colours = Object.fromEntries(["key-row", "line", "given-note", "note", "ink"].map((name) => [name, ink(`--${name}`)]));
    context.clearRect(0, 0, width, height);
    keys();
    // What is given lies on top: a note written upon it is not to hide it.
    for (const isGiven of [false, true]) {
      picture.notes.forEach((each, index) => picture.given(each) === isGiven && note(each, index));
    }
    picture.arcs.forEach(({ head, arcs }) => {
      const colour = headColour(head);
      arcs.forEach((arc) => bow(arc, colour));
    });
    if (picture.chosen >= 0) ring(picture.notes[picture.chosen]);
  }

  function keys() {
    octaves.replaceChildren();
    for (let pitch = low; pitch <= high; pitch++) {
      if (BLACK.has(pitch % 12)) {
        context.fillStyle = colours["key-row"];
        context.fillRect(KEYS, y(pitch), width - KEYS, row());
      }
      if (pitch % 12 === 0) {
        context.fillStyle = colours.line;
        context.fillRect(KEYS, y(pitch) + row() - 0.5, width - KEYS, 1);
        octaves.append(el("span", { style: { top: `${y(pitch) + row() / 2}px` } }, noteName(pitch)));
      }
    }
  }

  function note(each, index) {
    const isFaint = picture.chosen >= 0 && index !== picture.chosen
      && !picture.arcs.some(({ arcs }) => arcs.some((arc) => arc.note === index));
    context.globalAlpha = (isFaint ? 0.4 : 1) * (0.45 + 0.55 * (each.velocity / 127));
    context.fillStyle = colours[picture.given(each) ? "given-note" : "note"];
    context.beginPath();
    context.roundRect(x(each.start), y(each.pitch) + 0.5, Math.max(3, (each.end - each.start) * scale - 1), row() - 1, 2);
    context.fill();
    context.globalAlpha = 1;
  }

  function ring(each) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.beginPath();
    context.roundRect(x(each.start) - 1, y(each.pitch) - 1, Math.max(5, (each.end - each.start) * scale + 1), row() + 2, 3);
    context.stroke();
  }

  /** An arc from the chosen note's beginning back to an earlier one's, the thicker the more it is attended to. */
  function bow({ note: index, weight }, colour) {
    const from = picture.notes[picture.chosen], to = picture.notes[index];
    const [x1, y1, x2, y2] = [x(from.start), y(from.pitch) + row() / 2, x(to.start), y(to.pitch) + row() / 2];
    const rise = Math.min(height * 0.45, 24 + Math.abs(x1 - x2) * 0.28);
    context.strokeStyle = colour;
    context.globalAlpha = 0.5 + 0.5 * Math.sqrt(weight);
    context.lineWidth = 1 + 9 * weight;
    context.beginPath();
    context.moveTo(x1, y1);
    context.quadraticCurveTo((x1 + x2) / 2, Math.max(4, Math.min(y1, y2) - rise), x2, y2);
    context.stroke();
    context.globalAlpha = 1;
  }

  /** Move the cursor to a time, or take it away with null. The roll follows it. */
  function cursor(time) {
    hand.hidden = time === null;
    if (time === null) return;
    hand.style.setProperty("transform", `translateX(${x(time)}px)`);
    const at = x(time) - node.scrollLeft;
    if (at > node.clientWidth - 40 || at < KEYS) node.scrollLeft = x(time) - KEYS - 20;
  }

  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const time = (event.clientX - box.left - KEYS) / scale;
    const pitch = high - Math.floor((event.clientY - box.top) / row());
    const near = 6 / scale; // short notes are to be hit by fingers, too
    chosen(picture.notes.findIndex((each) => Math.abs(each.pitch - pitch) <= (row() < 9 ? 1 : 0)
      && each.start - near <= time && time <= each.end + near));
  });
  canvas.addEventListener("keydown", (event) => {
    const last = picture.notes.length - 1;
    const places = { ArrowLeft: picture.chosen - 1, ArrowRight: picture.chosen + 1, Home: 0, End: last };
    if (!(event.key in places) || last < 0) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(last, places[event.key]));
    picture.chosen = next; // a key may come again before the roll is drawn anew
    chosen(next);
  });
  return { node, show, cursor };
}
