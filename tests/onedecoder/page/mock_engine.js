/* An engine of invented numbers, after the interface of engine/local.js: it lets the views be tested without a decoder.
 *
 * mock("translation" | "summarization" | "music" | "text", { length, relative, copy }) gives the same numbers every time; with a
 * length the line is given, not written.
 */

import { EngineError } from "onedecoder/engine/errors.js";

const WORDS = {
  translation: ["Today the waiter should eat a delicious pizza.", "Heute soll der Kellner eine köstliche Pizza essen."],
  summarization: [
    "Lake Arven lies in the north of the country and is fed by three rivers. Its shores were settled early. "
      + "Fishermen built the first harbour, and a railway came a century later. Today the lake is known for its "
      + "clear water, its ferries and a yearly regatta that draws visitors from many towns. "
      + "The northern bay freezes in most winters, and a road across the ice is marked with pine branches.",
    "Lake Arven is a lake in the north, known for clear water, ferries and a regatta.",
  ],
  text: ["", "A robot must obey the orders given it by human beings <b>except</b> where such orders conflict with the first law."],
};
const LAYERS = 4, HEADS = 4, WIDTH = 128, CONTEXT = 1024;

const noise = (...key) => {
  let x = 2166136261;
  for (const part of key) x = Math.imul(x ^ (part + 374761393), 16777619);
  x = Math.imul(x ^ (x >>> 15), 2246822519);
  return ((x ^ (x >>> 13)) >>> 0) / 4294967296;
};
const vector = (size, ...key) => Float32Array.from({ length: size }, (_, i) => {
  const outlier = noise(i, 77) > 0.97 ? 4 : 1;
  return outlier * (noise(i, ...key) + noise(i + 9999, ...key) - 1);
});
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Texts become tokens: whole words, long ones in two pieces, with "·" for the space before. */
function pieces(text) {
  return (text.match(/\s?[\p{L}\p{N}<>/&"=]+|\s?[^\s\p{L}\p{N}]+|\s/gu) ?? []).flatMap((word) => {
    const name = word.replace(/^\s/, "·");
    return name.length > 7 ? [name.slice(0, 5), name.slice(5)] : [name];
  });
}

function textVocabulary(task) {
  const [source, target] = WORDS[task];
  const specials = ["<|endoftext|>", { translation: "<|to-de|>", summarization: "<|summarize|>" }[task] ?? "<|pad|>"];
  const filler = Array.from({ length: 200 }, (_, i) => `·w${i}`);
  return [...new Set([...specials, ...pieces(target), ...pieces(source), ...filler])];
}

const PITCHES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const pitchName = (pitch) => `${PITCHES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
const SHIFT = 293, STEPS = [24, 12, 12, 36, 18, 6];

function musicVocabulary() {
  const names = ["<|pad|>", "<|endoftext|>", "<|compose|>", "<|continue|>", "<|accompany|>"];
  for (let pitch = 0; pitch < 128; pitch++) names.push(`note-on ${pitchName(pitch)}`);
  for (let pitch = 0; pitch < 128; pitch++) names.push(`note-off ${pitchName(pitch)}`);
  for (let bin = 0; bin < 32; bin++) names.push(`velocity ${bin * 4 + 3}`);
  for (let tick = 1; tick <= 100; tick++) names.push(`wait ${tick * 10} ms`);
  return names;
}

/** A piece of four chords and a melody, as events. */
function piece(bars) {
  const ids = [];
  const chords = [[48, 55, 64], [45, 52, 60], [41, 53, 57], [43, 50, 59]];
  const melody = [72, 76, 79, 77, 76, 74, 72, 71, 69, 72, 77, 76, 74, 71, 67, 71];
  for (let bar = 0; bar < bars; bar++) {
    const chord = chords[bar % 4];
    for (const pitch of chord) ids.push(5 + pitch, 261 + 14 + (bar % 5));
    for (let beat = 0; beat < 4; beat++) {
      const pitch = melody[(bar * 4 + beat * (1 + (bar >> 2))) % melody.length];
      ids.push(5 + pitch, 261 + 20 + Math.floor(8 * noise(bar, beat)), SHIFT + STEPS[(bar + beat) % 6] + 9);
      ids.push(133 + pitch);
    }
    for (const pitch of chord) ids.push(133 + pitch);
  }
  return ids;
}

function notesOf(ids) {
  let now = 0;
  const notes = [], sounding = new Map(), cursor = new Float64Array(ids.length);
  ids.forEach((id, index) => {
    if (id >= 5 && id < 133) {
      const note = { pitch: id - 5, start: now, end: now + 1, velocity: 64, on: index, tokens: [index, index + 1] };
      sounding.set(note.pitch, note);
      notes.push(note);
    } else if (id >= 133 && id < 261) {
      const note = sounding.get(id - 133);
      if (note) {
        note.end = now;
        note.tokens.push(index);
      }
    } else if (id >= 261 && id < 293 && notes.length) notes.at(-1).velocity = (id - 261) * 4 + 3;
    else if (id >= SHIFT) now += (id - SHIFT + 1) / 100;
    cursor[index] = now;
  });
  return { notes, cursor };
}

class Handle {
  constructor(engine, ids, context) {
    Object.assign(this, { engine, ids, context, length: ids.length });
  }

  visible(query, key) {
    return key <= query || (this.engine.about.config.mask === "prefix" && key < this.context);
  }

  row(layer, head, query) {
    const scores = new Float32Array(this.length).fill(-Infinity);
    const aligned = Math.round((query - this.context) * (this.context - 1) / Math.max(1, this.length - this.context));
    for (let key = 0; key < this.length; key++) {
      if (!this.visible(query, key)) continue;
      let score = 2 * noise(layer, head, this.ids[query] ?? 0, this.ids[key]) - 1;
      if (key === query - (head % 3)) score += 3.5;
      if (head % 4 === 3 && query >= this.context && key === Math.max(0, aligned)) score += 5;
      if (layer > 1 && key === 0) score += 2.5;
      if (this.engine.about.config.relative) score += 2 * Math.cos((query - key) / (6 + 3 * head)) - (query - key) / 90;
      scores[key] = score;
    }
    const weights = scores.map(Math.exp);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { scores, weights: weights.map((weight) => weight / sum) };
  }

  async attention(layer, head) {
    await pause(5);
    const all = new Float32Array(this.length ** 2);
    const heads = head === "mean" ? [...Array(HEADS).keys()] : [head];
    for (const each of heads) {
      for (let query = 0; query < this.length; query++) {
        const { weights } = this.row(layer, each, query);
        for (let key = 0; key < this.length; key++) all[query * this.length + key] += weights[key] / heads.length;
      }
    }
    return all;
  }

  async overview(size) {
    const pictures = [];
    for (let layer = 0; layer < LAYERS; layer++) {
      for (let head = 0; head < HEADS; head++) {
        const picture = new Float32Array(size * size);
        for (let y = 0; y < size; y++) {
          const { weights } = this.row(layer, head, Math.min(this.length - 1, Math.floor(((y + 0.5) * this.length) / size)));
          weights.forEach((weight, key) => {
            const at = y * size + Math.floor((key * size) / this.length);
            picture[at] = Math.max(picture[at], weight);
          });
        }
        pictures.push(picture);
      }
    }
    return pictures;
  }

  async vectors(name, layer, position) {
    const size = name === "up" || name === "gelu" ? 4 * WIDTH : WIDTH;
    const values = vector(size, name.length, name.charCodeAt(0), layer ?? 0, position);
    return name === "gelu" ? values.map((x) => x / (1 + Math.exp(-1.7 * x))) : values;
  }

  async head(layer, head, position) {
    const { scores, weights } = this.row(layer, head, position), W = WIDTH / HEADS;
    const relative = this.engine.about.config.relative ? scores.map((s) => (s === -Infinity ? 0 : s / 3)) : null;
    return {
      q: vector(W, 1, layer, head, position), k: vector(this.length * W, 2, layer, head),
      v: vector(this.length * W, 3, layer, head), scores, relative, weights, mixed: vector(W, 4, layer, head, position),
    };
  }

  async lens(position) {
    const next = this.engine.script[position + 1] ?? 0;
    return Array.from({ length: LAYERS }, (_, layer) => {
      const sure = (0.1 + 0.8 * noise(position, 3)) * ((layer + 1) / LAYERS) ** 2;
      const others = [1, 2, 3, 4].map((n) => ({ id: (next + 7 * n * (layer + 1)) % this.engine.names.length, p: (1 - sure) / (n + 2) }));
      return { layer, top: [{ id: next, p: sure }, ...others].sort((a, b) => b.p - a.p) };
    });
  }

  async scores(position) {
    return this.engine.logitsFor(position + 1, this.ids[position]);
  }

  async logits(position) {
    const scores = await this.scores(position);
    if (!this.engine.about.config.copy) return scores;
    const { gate, weights } = await this.copied(position);
    const { plain } = this.engine.choose({ logits: scores }, {});
    const shares = plain.map((share) => share * (1 - gate));
    weights.forEach((weight, place) => { shares[this.ids[place]] += gate * weight; });
    return shares.map(Math.log);
  }

  async copied(position) {
    const weights = new Float32Array(this.length);
    for (let place = 0; place <= position; place++) weights[place] = place === position >> 1 ? 0.9 : 0.1 / Math.max(1, position);
    if (!position) weights[0] = 1;
    return { gate: 0.75, weights };
  }

  async pointer() {
    const all = new Float32Array(this.length ** 2);
    for (let row = 0; row < this.length; row++) all.set((await this.copied(row)).weights, row * this.length);
    return all;
  }
}

export function mock(task, { length = 0, relative = 0, copy = 0 } = {}) {
  const isMusic = task === "music";
  const names = isMusic ? musicVocabulary() : textVocabulary(task);
  const [source, target] = WORDS[task] ?? ["", ""];
  const ids = (text) => pieces(text).map((piece) => (names.includes(piece) ? names.indexOf(piece) : names.push(piece) - 1));
  const first = isMusic ? [2] : source ? [...ids(source), 1] : [0];
  const written = isMusic ? piece(length ? Math.ceil(length / 22) : 8) : ids(target);
  const script = [...first, ...written, isMusic ? 1 : 0];
  while (script.length < length) script.splice(-1, 0, ...written);
  if (length) script.length = length;

  const engine = {
    names, script,
    about: {
      name: `outputs/${task}`, task, line: source ? `source ${names[1]} target <|endoftext|>` : "<|endoftext|> text <|endoftext|>",
      parameters: 0, weights: "int8",
      config: { layers: LAYERS, heads: HEADS, width: WIDTH, context: CONTEXT, vocabulary: names.length, mask: "causal", relative, copy },
      generation: { do_sample: isMusic, temperature: 1, top_k: isMusic ? 40 : 0, top_p: 1, max_new_tokens: 2000 },
      input: isMusic ? "midi" : "text", jobs: isMusic ? ["compose", "continue", "accompany"] : [], end: isMusic ? 1 : 0,
      matrices: [
        { name: "wte.weight", shape: [names.length, WIDTH], count: names.length * WIDTH },
        { name: "wpe.weight", shape: [CONTEXT, WIDTH], count: CONTEXT * WIDTH },
        ...Array.from({ length: LAYERS }, (_, n) => [
          [`h.${n}.ln_1.weight`, [128]], [`h.${n}.ln_1.bias`, [128]],
          [`h.${n}.attn.c_attn.weight`, [128, 384]], [`h.${n}.attn.c_attn.bias`, [384]],
          [`h.${n}.attn.c_proj.weight`, [128, 128]], [`h.${n}.attn.c_proj.bias`, [128]],
          [`h.${n}.ln_2.weight`, [128]], [`h.${n}.ln_2.bias`, [128]],
          [`h.${n}.mlp.c_fc.weight`, [128, 512]], [`h.${n}.mlp.c_fc.bias`, [512]],
          [`h.${n}.mlp.c_proj.weight`, [512, 128]], [`h.${n}.mlp.c_proj.bias`, [128]],
        ]).flat().map(([name, shape]) => ({ name, shape, count: shape.reduce((a, b) => a * b) })),
        { name: "ln_f.weight", shape: [128], count: 128 }, { name: "ln_f.bias", shape: [128], count: 128 },
      ],
      examples: isMusic ? [] : [{ text: source || "A robot must" }, { text: "The dog sleeps." }],
      seconds_per_step_hint: 0.005,
    },

    async prompt(input) {
      if (length) return { ids: script.slice(), context: length };
      if (isMusic) {
        if (input.job && input.job !== "compose" && !input.midi) throw new EngineError("Give a MIDI file first.");
        if (input.midi && String.fromCharCode(...input.midi.slice(0, 4)) !== "MThd") throw new EngineError("This is no MIDI file: it does not begin with MThd.");
        if (!input.midi) return { ids: [2], context: 1 };
        const primer = piece(2);
        return { ids: [...primer, input.job === "accompany" ? 4 : 3], context: primer.length + 1 };
      }
      if (source && !input.text.trim()) throw new EngineError("The text is empty: write a sentence first.");
      if (input.text.length > 5000) throw new EngineError("The text is longer than the decoder's 1,024 positions: shorten it.");
      if (input.text === source || !source) return { ids: first.slice(), context: first.length };
      const given = [...ids(input.text), 1];
      return { ids: given, context: given.length };
    },

    logitsFor(step, last) {
      const logits = Float32Array.from(names, (_, id) => 4 * noise(id, last, step) - 4);
      const wanted = step < script.length ? script[step] : engine.about.end;
      logits[wanted] = 3 + 6 * noise(step, 5);
      return logits;
    },
    async next(ids) {
      await pause(2);
      return { logits: engine.logitsFor(ids.length, ids.at(-1)), allowed: null };
    },
    choose(next, { temperature, top_k, top_p, do_sample, uniform }) {
      const softmax = (logits) => {
        const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
        const e = logits.map((x) => Math.exp(x - top));
        const sum = e.reduce((a, b) => a + b, 0);
        return e.map((x) => x / sum);
      };
      const plain = softmax(next.logits);
      let probabilities = plain;
      if (do_sample) {
        probabilities = softmax(next.logits.map((x) => x / temperature));
        const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
        let before = 0;
        order.forEach((id, rank) => {
          const mass = probabilities[id];
          if ((top_k && rank >= top_k) || before >= top_p) probabilities[id] = 0;
          before += mass;
        });
        const kept = probabilities.reduce((a, b) => a + b, 0);
        probabilities = probabilities.map((p) => p / kept);
      }
      let id = probabilities.indexOf(probabilities.reduce((a, b) => Math.max(a, b)));
      if (do_sample) {
        let below = 0;
        id = probabilities.findIndex((p) => (below += p) > uniform);
      }
      return { id, probabilities, plain };
    },
    async text(ids) {
      return ids.map((id) => names[id].replace("·", " ")).join("");
    },
    async notes(ids) {
      return notesOf(ids);
    },
    async midi() {
      return new Uint8Array([77, 84, 104, 100, 0, 0, 0, 6, 0, 0, 0, 1, 1, 244]);
    },
    async trace(ids, context) {
      await pause(10);
      return new Handle(engine, ids.slice(), context);
    },
    async counts(length) {
      const one = LAYERS * 12 * WIDTH ** 2 + WIDTH * names.length;
      const steps = [...Array(length).keys()];
      return {
        withCache: steps.map((t) => one + LAYERS * 2 * WIDTH * (t + 1)),
        withoutCache: steps.map((t) => one * (t + 1) + LAYERS * 2 * WIDTH * (t + 1) ** 2),
      };
    },
  };
  const { about } = engine;
  about.parameters = about.matrices.reduce((sum, { count }) => sum + count, 0);
  return engine;
}
