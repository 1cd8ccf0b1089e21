/* What a mouse or fingers do on a canvas: move over it, press, drag, and pinch.
 *
 * Where the whole picture is in sight, a finger that slides scrolls the page; zoomed in, it moves the picture. */

const CLICK = 5; // pixels that a press may move and still be one

/** Calls `over(x, y)`, `pick(x, y)`, `move(right, down)` and `zoom(factor, { x, y })`, in the canvas's own pixels. */
export function gestures(canvas, { over, pick, move, zoom, isZoomed }) {
  const fingers = new Map();
  let travelled = 0;

  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const middle = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  const apart = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return; // a right click opens the browser's menu
    fingers.set(event.pointerId, spot(event));
    travelled = 0;
    if (isZoomed() || event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = spot(event), before = fingers.get(event.pointerId);
    if (!before) return over(now.x, now.y);
    const pairBefore = [...fingers.values()];
    fingers.set(event.pointerId, now);
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (fingers.size === 2) {
      const pair = [...fingers.values()];
      zoom(apart(pair) / Math.max(1, apart(pairBefore)), middle(pair)); // two fingers may meet in one spot
      travelled = Infinity;
    } else if (travelled > CLICK && isZoomed()) move(now.x - before.x, now.y - before.y);
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = spot(event);
    if (fingers.delete(event.pointerId) && travelled <= CLICK) pick(at.x, at.y);
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(-event.deltaY / 200), spot(event));
    else if (isZoomed()) move(-event.deltaX, -event.deltaY);
    else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });
}
