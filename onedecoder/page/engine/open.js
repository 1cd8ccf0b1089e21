/** The engines of a page: decoders or recordings that stand in it, or else those behind the server that sent it. */

import { LocalEngine } from "onedecoder/engine/local.js";
import { RecordedEngine } from "onedecoder/engine/recorded.js";
import { openRemote } from "onedecoder/engine/remote.js";

const KINDS = { decoder: LocalEngine, recording: RecordedEngine };

/** One engine, or two where two runs are to be seen side by side. */
export async function openEngines(document) {
  const found = [...document.querySelectorAll("script[data-onedecoder]")];
  if (!found.length) return openRemote();
  return found.map((script) => {
    const engine = new KINDS[script.dataset.onedecoder](JSON.parse(script.textContent));
    script.remove(); // its text would take memory twice
    return engine;
  });
}
