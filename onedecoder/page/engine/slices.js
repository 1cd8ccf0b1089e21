/**
 * Long computations are generators that stop now and then. Whoever runs one in slices gives the page time to draw and
 * to answer in between; whoever has nothing else to do (a test) runs it through.
 */

const SLICE = 12; // milliseconds, so that a frame of 16 still has time for itself

export async function inSlices(work) {
  let until = performance.now() + SLICE;
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() > until) {
      await pause();
      until = performance.now() + SLICE;
    }
  }
}

export function atOnce(work) {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** A turn of the event loop. (A timeout of zero would wait for four milliseconds.) */
function pause() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Lets one computation begin only when the one before it has ended: they share a cache. */
export class Queue {
  #last = Promise.resolve();

  run(work) {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}
