/**
 * Long computations are generators that stop now and then. Run in slices, they give the page time to draw and to answer
 * in between.
 */

const SLICE = 12; // milliseconds, so that a frame of 16 still has time for itself
let last = 0; // when there was time for the page, whichever computation gave it

export async function inSlices(work) {
  for (;;) {
    const { done, value } = work.next();
    if (performance.now() - last > SLICE) await pause(); // after short ones in a row, too
    if (done) return value;
  }
}

/** A turn of the event loop. (A timeout of zero would wait for four milliseconds.) */
function pause() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      last = performance.now();
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
