/** The engine of a served page: PyTorch behind the server that sent it. Questions carry the whole line. */

import { counts } from "onedecoder/engine/counts.js";
import { EngineError } from "onedecoder/engine/errors.js";
import { codecOf, midiOf, notesOf } from "onedecoder/engine/music.js";
import { choose } from "onedecoder/engine/sampling.js";

const LARGEST_FILE = 2_000_000; // bytes

/** All decoders that the server was started with. */
export async function openRemote() {
  const decoders = await (await ask("decoders", "GET")).json();
  return decoders.map((decoder, number) => new RemoteEngine(decoder, number));
}

async function ask(path, method, body) {
  let response;
  try {
    response = await fetch(`/api/${path}`, { method, body });
  } catch {
    throw new EngineError("The server does not answer: start it again, or wait until it has read what it was asked.");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: `The server answered with ${response.status}.` }));
  throw new EngineError(error);
}

class RemoteEngine {
  constructor({ about, names, music }, number) {
    this.music = music;
    this.codec = music && codecOf(music);
    this.about = { ...about, kind: "remote" };
    this.names = names;
    this.number = number;
  }

  async #json(path, question) {
    return (await this.#ask(path, question)).json();
  }

  async #floats(path, question) {
    return new Float32Array(await (await this.#ask(path, question)).arrayBuffer());
  }

  #ask(path, question) {
    return ask(`${this.number}/${path}`, "POST", JSON.stringify(question));
  }

  async prompt({ text, midi, job, separator }) {
    if (!midi) return this.#json("prompt", { text: text ?? "", separator: separator ?? 0 });
    if (midi.length > LARGEST_FILE) throw new EngineError("The file is larger than 2 MB: give a shorter MIDI file.");
    return (await ask(`${this.number}/midi_prompt?job=${encodeURIComponent(job ?? "")}`, "POST", midi)).json();
  }

  async next(ids, context) {
    if (!ids.length) throw new EngineError("There is no line yet: give something to begin with.");
    const bytes = await (await this.#ask("next", { ids, context })).arrayBuffer(), size = this.about.config.vocabulary;
    const allowed = bytes.byteLength > 4 * size ? new Uint8Array(bytes, 4 * size) : null;
    return { logits: new Float32Array(bytes, 0, size), allowed };
  }

  choose(next, settings) {
    return choose(next, settings, this.about.moves);
  }

  async text(ids) {
    return (await this.#json("text", { ids })).text;
  }

  async notes(ids) {
    return notesOf(this.music, this.codec, ids);
  }

  async midi(ids) {
    return midiOf(this.music, this.codec, ids);
  }

  async counts(length) {
    return counts(this.about.config, length);
  }

  async trace(ids, context) {
    const line = { ids, context }, { length } = await this.#json("trace", line);
    const { heads, width, layers, relative } = this.about.config, W = width / heads;
    const floats = (what, question) => this.#floats(`trace/${what}`, { ...line, ...question });
    return {
      length,
      attention: (layer, head) => floats("attention", { layer, head }),
      vectors: (name, layer, position) => floats("vectors", { name, layer, position }),
      logits: (position) => floats("logits", { position }),
      scores: (position) => floats("scores", { position }),
      pointer: () => floats("pointer"),
      async copied(position) {
        const [[gate], weights] = split(await floats("copied", { position }), [1, length]);
        return { gate, weights };
      },
      lens: (position) => this.#json("trace/lens", { ...line, position }),
      async overview(size) {
        return split(await floats("overview", { size }), Array.from({ length: layers * heads }, () => size * size));
      },
      async head(layer, head, position) {
        const sizes = [W, length * W, length * W, length, relative ? length : 0, length, W];
        const all = await floats("head", { layer, head, position });
        const [q, k, v, scores, distances, weights, mixed] = split(all, sizes);
        return { q, k, v, scores, relative: relative ? distances : null, weights, mixed };
      },
    };
  }
}

function split(values, sizes) {
  let start = 0;
  return sizes.map((size) => values.subarray(start, (start += size)));
}
