/* One head's attention in full: a picture of all tokens by all tokens, to zoom and to move.
 *
 * Rows look, columns are looked at. A click chooses a row's token; the wheel with Ctrl (or two fingers, or + and -) zooms,
 * dragging moves, the arrow keys go from cell to cell. The picture is painted in tiles (tiles.js). */

import { onAxis } from "onedecoder/views/axis.js";
import { ink } from "onedecoder/views/colour.js";
import { el, percent } from "onedecoder/views/dom.js";
import { gestures } from "onedecoder/views/gestures.js";
import { Tiles } from "onedecoder/views/tiles.js";

const LARGEST_CELL = 44;
const PAD = 7; // pixels behind the last row and column: half a label's height
const LABELLED = 13; // pixels that a cell needs for its token's name

/** Returns { node, show }. `chosen(place)` is called with the place of the row that is clicked. */
export function matrix(chosen) {
  const canvas = el("canvas", { class: "matrix", tabindex: "0", role: "img" });
  const readout = el("p", { class: "readout", role: "status" });
  const context = canvas.getContext("2d");
  let picture = null, tiles = null, theme = null;
  let view = { x: 0, y: 0, scale: 1 }, cell = { row: 0, column: 0 };
  let width = 0, height = 0, margin = 0, frame = null;

  const zoomIn = el("button", { type: "button", class: "quiet", "aria-label": "Zoom in", onclick: () => zoom(1.6) }, "+");
  const zoomOut = el("button", { type: "button", class: "quiet", "aria-label": "Zoom out", onclick: () => zoom(1 / 1.6) }, "−");
  const whole = el("button", { type: "button", class: "quiet", onclick: () => { fit(); draw(); } }, "All of it");
  const node = el("div", { class: "matrix-box" }, canvas, el("div", { class: "row" }, zoomIn, zoomOut, whole, readout));

  /** Show { weights [size, size], names, places, hidden, row, label }; the zoom stays where the picture has the same size. */
  function show(next) {
    if (!node.clientWidth) return; // another view was opened meanwhile: there is no room to draw in until this one is again
    const isFitted = !isZoomed(), isSame = picture?.names.length === next.names.length;
    if (picture?.weights !== next.weights) tiles = null;
    picture = next;
    canvas.setAttribute("aria-label", `${next.label}. ${next.names.length} by ${next.names.length} tokens. `
      + "Arrow keys go from cell to cell, Enter chooses the row, plus and minus zoom.");
    measure();
    if (isFitted || !isSame) fit();
    else zoom(1); // within the room that there is now
    cell = { row: next.row, column: strongest(next) };
    say();
    draw();
  }

  /** The column that the chosen row looks at most. */
  function strongest({ weights, names, row }) {
    const size = names.length, looks = weights.subarray(row * size, (row + 1) * size);
    return looks.indexOf(looks.reduce((a, b) => Math.max(a, b), 0));
  }

  /** The room there is: the page's width, and no more height than the picture or the window needs. */
  function measure() {
    const ratio = devicePixelRatio || 1;
    margin = node.clientWidth < 500 ? 64 : 104;
    width = node.clientWidth - PAD;
    const wanted = margin + picture.names.length * Math.min(LARGEST_CELL, (width - margin) / picture.names.length);
    height = Math.round(Math.min(wanted, Math.max(320, innerHeight * 0.8)));
    canvas.style.setProperty("height", `${height + PAD}px`);
    canvas.width = Math.round((width + PAD) * ratio);
    canvas.height = Math.round((height + PAD) * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  const fitting = () => Math.min(LARGEST_CELL, Math.min(width - margin, height - margin) / picture.names.length);
  const isZoomed = () => picture !== null && view.scale > fitting() * 1.001;

  function fit() {
    if (!picture) return;
    view = { x: 0, y: 0, scale: fitting() };
    canvas.classList.remove("zoomed");
  }

  function zoom(factor, at = { x: (width + margin) / 2, y: (height + margin) / 2 }) {
    if (!picture) return;
    const scale = Math.max(fitting(), Math.min(LARGEST_CELL, view.scale * factor));
    const x = at.x - margin, y = at.y - margin;
    move(((view.x - x) * scale) / view.scale + x - view.x, ((view.y - y) * scale) / view.scale + y - view.y, scale);
    canvas.classList.toggle("zoomed", isZoomed());
  }

  /** Move by pixels, as far as the picture goes. */
  function move(right, down, scale = view.scale) {
    const size = picture.names.length * scale;
    const within = (offset, room) => Math.min(0, Math.max(Math.min(0, room - size), offset));
    view = { x: within(view.x + right, width - margin), y: within(view.y + down, height - margin), scale };
    draw();
  }

  function cellAt(x, y) {
    const at = { column: Math.floor((x - margin - view.x) / view.scale), row: Math.floor((y - margin - view.y) / view.scale) };
    const isInside = x > margin - 64 && y > 0 && at.row >= 0 && at.row < picture.names.length && at.column < picture.names.length;
    return isInside ? { ...at, column: Math.max(0, at.column) } : null;
  }

  function say() {
    const { names, weights, hidden } = picture;
    const { row, column } = cell;
    if (row < 0 || row >= names.length || column >= names.length) return;
    const what = hidden(row, column) ? "may not look at" : `gives ${percent(weights[row * names.length + column])} to`;
    readout.textContent = `“${names[row]}” ${what} “${names[column]}”`;
  }

  function draw() {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      if (picture && width) paint();
    });
  }

  function paint() {
    const now = document.documentElement.dataset.theme;
    if (!tiles || theme !== now) {
      const hidden = ink("--hidden");
      tiles = new Tiles(picture.weights, picture.names.length, picture.hidden, [1, 3, 5].map((at) => parseInt(hidden.slice(at, at + 2), 16)));
      theme = now;
    }
    context.clearRect(0, 0, width + PAD, height + PAD);
    context.save();
    context.beginPath();
    context.rect(margin, margin, width - margin, height - margin);
    context.clip();
    const isMissing = tiles.draw(context, margin + view.x, margin + view.y, view.scale, width, height);
    outline();
    context.restore();
    labels();
    if (isMissing) draw();
  }

  function outline() {
    const size = picture.names.length * view.scale;
    context.strokeStyle = ink("--accent");
    context.lineWidth = 1.5;
    context.strokeRect(margin + view.x + 0.75, margin + view.y + picture.row * view.scale, size - 1.5, Math.max(2, view.scale));
    context.strokeStyle = ink("--ink");
    context.strokeRect(margin + view.x + cell.column * view.scale, margin + view.y + cell.row * view.scale, Math.max(3, view.scale), Math.max(3, view.scale));
  }

  /** The tokens' names, where a cell has room for one; else every so many. */
  function labels() {
    const { names, row } = picture;
    const step = Math.ceil(LABELLED / view.scale);
    context.font = `${Math.min(13, Math.max(11, view.scale * 0.6))}px ${ink("--mono")}`;
    context.textBaseline = "middle";
    const letters = Math.floor((margin - 8) / context.measureText("m").width);
    const short = (name) => (name.length > letters ? `${name.slice(0, letters - 1)}…` : name);
    for (const [offset, room, isRow] of [[view.y, height, true], [view.x, width, false]]) {
      const from = Math.max(0, Math.floor(-offset / view.scale));
      const to = Math.min(names.length, Math.ceil((room - margin - offset) / view.scale));
      for (let at = Math.ceil(from / step) * step; at < to; at += step) {
        const middle = margin + offset + (at + 0.5) * view.scale;
        context.fillStyle = isRow && at === row ? ink("--accent") : ink("--quiet");
        context.save();
        if (isRow) context.translate(margin - 6, middle);
        else {
          context.translate(middle, margin - 6);
          context.rotate(Math.PI / 2);
        }
        context.textAlign = "right";
        context.fillText(short(onAxis(names[at])), 0, 0);
        context.restore();
      }
    }
  }

  gestures(canvas, {
    move, zoom, isZoomed,
    over: (x, y) => {
      const at = picture && cellAt(x, y);
      if (!at) return;
      cell = at;
      say();
      draw();
    },
    pick: (x, y) => {
      const at = picture && cellAt(x, y);
      if (at) chosen(picture.places[at.row]);
    },
  });
  canvas.addEventListener("keydown", (event) => {
    if (!picture) return;
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "+" || event.key === "=") zoom(1.6);
    else if (event.key === "-") zoom(1 / 1.6);
    else if (event.key === "Enter") chosen(picture.places[cell.row]);
    else if (event.key in steps) {
      const last = picture.names.length - 1;
      const [down, right] = steps[event.key];
      cell = { row: Math.max(0, Math.min(last, cell.row + down)), column: Math.max(0, Math.min(last, cell.column + right)) };
      follow();
      say();
    } else return;
    event.preventDefault();
    draw();
  });

  /** Keep the cell in sight. */
  function follow() {
    const out = (at, offset, room) => Math.max(0, -offset - at) - Math.max(0, at + view.scale + offset - room);
    move(out(cell.column * view.scale, view.x, width - margin), out(cell.row * view.scale, view.y, height - margin));
  }

  return { node, show };
}
