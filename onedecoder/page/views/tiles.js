/* A large picture of weights as tiles of 256 × 256 cells, painted when they come into sight.
 *
 * Seen from far, a cell of the screen stands for 2 × 2, 4 × 4, … weights, and shows the largest of them: a single strong
 * weight in a row of a thousand would be lost in a mean. So there are levels, each half as wide as the one before. */

import { weightColours, weightIndex } from "onedecoder/views/colour.js";

const TILE = 256;

export class Tiles {
  /** `weights` is [size, size], rows are queries. `hidden(row, column)` says what the mask hides. */
  constructor(weights, size, hidden, hiddenColour) {
    this.levels = [{ weights, size }];
    while (this.levels.at(-1).size > TILE) this.levels.push(half(this.levels.at(-1)));
    this.hidden = hidden;
    this.hiddenColour = hiddenColour;
    this.painted = new Map();
  }

  /** The level whose cells are at least `scale` pixels wide on the screen, if there is one. */
  level(scale) {
    let level = 0;
    while (level + 1 < this.levels.length && scale * 2 ** level < 1) level++;
    return level;
  }

  /** Draw what is seen of the picture whose upper left corner is at (x, y), one cell `scale` pixels wide.
   *
   * Of tiles that are not painted yet at most `budget` are; returns whether some are missing still. */
  draw(context, x, y, scale, width, height, budget = 4) {
    const level = this.level(scale);
    const cell = scale * 2 ** level;
    const { size } = this.levels[level];
    const first = (offset) => Math.max(0, Math.floor(-offset / (cell * TILE)));
    const last = (offset, room) => Math.min(Math.ceil(size / TILE), Math.ceil((room - offset) / (cell * TILE)));
    let isMissing = false;
    context.imageSmoothingEnabled = cell < 1;
    for (let row = first(y); row < last(y, height); row++) {
      for (let column = first(x); column < last(x, width); column++) {
        const key = `${level} ${row} ${column}`;
        if (!this.painted.has(key) && budget-- > 0) this.painted.set(key, this.paint(level, row, column));
        const tile = this.painted.get(key);
        if (!tile) isMissing = true;
        else context.drawImage(tile, x + column * TILE * cell, y + row * TILE * cell, tile.width * cell, tile.height * cell);
      }
    }
    return isMissing;
  }

  paint(level, row, column) {
    const { weights, size } = this.levels[level];
    const top = row * TILE, left = column * TILE;
    const canvas = document.createElement("canvas");
    canvas.height = Math.min(TILE, size - top);
    canvas.width = Math.min(TILE, size - left);
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = weightColours().map(packed);
    const hidden = packed(this.hiddenColour);
    for (let y = 0; y < canvas.height; y++) {
      for (let x = 0; x < canvas.width; x++) {
        const isHidden = this.hidden((top + y) * 2 ** level, (left + x) * 2 ** level);
        pixels[y * canvas.width + x] = isHidden ? hidden : colours[weightIndex(weights[(top + y) * size + left + x])];
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }
}

/** [red, green, blue] as a pixel of an ImageData on a little-endian machine, which all browsers' machines are. */
const packed = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

function half({ weights, size }) {
  const smaller = Math.ceil(size / 2);
  const picture = new Float32Array(smaller * smaller);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const at = (y >> 1) * smaller + (x >> 1);
      if (weights[y * size + x] > picture[at]) picture[at] = weights[y * size + x];
    }
  }
  return { weights: picture, size: smaller };
}
