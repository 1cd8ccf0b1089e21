/* Blind listening: two pieces at a time, an answer, and in the end a table of wins.
 *
 * Who wrote what stands in `key`, which is only hidden from the eye: it is opened when all pairs are answered. */

import { el } from "onedecoder/views/dom.js";
import { themeButton } from "onedecoder/views/theme.js";

const CHOICES = [["first", "First", "ArrowLeft"], ["neither", "Can't tell", "ArrowDown"], ["second", "Second", "ArrowRight"]];
const NORMAL = 1.959963984540054; // quantile of the normal distribution that leaves 2.5 % above it
const given = JSON.parse(document.querySelector("#listening").textContent);
const kept = `onedecoder-listening-${given.page}`;
const main = document.querySelector("main");

let sheet = remembered() ?? blank();
let at = firstOpen();
let players = [];

function blank() {
  const listener = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { listener, answers: given.pairs.map(() => null) };
}

/** The place of the first pair without an answer; behind all pairs, where every one has one. */
function firstOpen() {
  const open = sheet.answers.indexOf(null);
  return open < 0 ? given.pairs.length : open;
}

/** The answers of an earlier visit, if the browser lets a page remember. */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(kept));
  } catch {
    return null;
  }
}

function remember() {
  try {
    localStorage.setItem(kept, JSON.stringify(sheet));
  } catch {
    // The answers then last as long as the page is open, and the file that is saved.
  }
}

/** The bytes of a text in base64. */
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** Who wrote what: the key's bytes, each turned by a number of Marsaglia's xorshift (as `onedecoder.listening.turned`). */
function opened() {
  let state = parseInt(given.page, 16);
  const plain = bytes(given.key).map((byte) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return byte ^ (state & 255);
  });
  return JSON.parse(new TextDecoder().decode(plain));
}

/** A piece with its button; `started` is called when it begins. */
function player(number, base64, started) {
  const address = URL.createObjectURL(new Blob([bytes(base64)], { type: given.type }));
  const sound = new Audio(address);
  const bar = el("span", { class: "full" });
  const button = el("button", { type: "button", class: "strong", onclick: toggle }, `Play ${number}`);
  const note = el("p", { class: "note", role: "status" });
  const name = number === 1 ? "First" : "Second";
  const node = el("section", { class: "heard", "aria-label": name }, el("h3", {}, name), button,
    el("div", { class: "track", "aria-hidden": "true" }, bar), note);
  let frame = 0;

  function toggle() {
    if (!sound.paused) return stop();
    started();
    sound.currentTime = 0;
    sound.play().then(show, (error) => {
      if (error.name === "AbortError") return; // stopped before it began
      note.textContent = "This browser cannot play the recording: open the page in another one.";
    });
  }
  function stop() {
    sound.pause();
    sound.currentTime = 0;
    show();
  }
  function show() {
    cancelAnimationFrame(frame);
    button.textContent = sound.paused ? `Play ${number}` : `Stop ${number}`;
    bar.style.setProperty("--share", sound.paused ? 0 : sound.currentTime / sound.duration || 0);
    if (!sound.paused) frame = requestAnimationFrame(show);
  }
  sound.addEventListener("ended", stop);
  return { node, button, toggle, stop, close: () => { stop(); URL.revokeObjectURL(address); } };
}

function show() {
  players.forEach((each) => each.close());
  players = [];
  if (at < given.pairs.length) showPair();
  else showTable();
}

function showPair() {
  const heard = new Set();
  players = given.pairs[at].map((base64, place) => player(place + 1, base64, () => {
    heard.add(place);
    players[1 - place].stop();
    if (heard.size === 2) buttons.forEach((button) => { button.disabled = false; });
  }));
  const buttons = CHOICES.map(([choice, words]) => el("button", {
    type: "button", disabled: sheet.answers[at] === null, "aria-pressed": String(sheet.answers[at] === choice), onclick: () => answer(choice),
  }, words));
  main.replaceChildren(
    el("h2", {}, given.question),
    el("p", { class: "lead" }, "Play both, as often as you like, then answer. Who or what made them is told at the end."),
    el("div", { class: "pair" }, players.map((each) => each.node)),
    el("div", { class: "choices", role: "group", "aria-label": given.question }, buttons),
    el("p", { class: "hint keys" }, "Keys: 1 and 2 play; ← first, ↓ can't tell, → second."),
    steps(`Pair ${at + 1} of ${given.pairs.length}`));
  players[0].button.focus({ preventScroll: true });
}

function answer(choice) {
  sheet.answers[at] = choice;
  remember();
  go(at + 1 < given.pairs.length ? at + 1 : firstOpen());
}

function go(place) {
  at = place;
  show();
}

/** How far one is, the way back, and the answers as a file. */
function steps(words) {
  const answered = sheet.answers.filter((each) => each !== null).length;
  return el("div", { class: "row steps" },
    el("p", { class: "progress", role: "status" }, words),
    el("button", { type: "button", disabled: at === 0, onclick: () => go(at - 1) }, "Back"),
    el("button", { type: "button", disabled: at >= given.pairs.length || sheet.answers[at] === null, onclick: () => go(at + 1) }, "Next"),
    el("button", { type: "button", disabled: !answered, onclick: save }, "Save the answers"));
}

/** The answers as a file, with the key still closed: a listener who saves half of them has learned nothing. */
function save() {
  const text = JSON.stringify({ page: given.page, key: given.key, ...sheet, saved: new Date().toISOString() }, null, 1);
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: `answers-${sheet.listener}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function showTable() {
  const { sources, pairs } = opened();
  const rows = sources.flatMap((one, a) => sources.slice(a + 1).map((other, more) => {
    const b = a + 1 + more, count = { [a]: 0, [b]: 0, neither: 0 };
    pairs.forEach((pair, place) => {
      if (!pair.includes(a) || !pair.includes(b)) return;
      const choice = sheet.answers[place];
      count[choice === "neither" ? choice : pair[choice === "first" ? 0 : 1]] += 1;
    });
    return [one, other, count[a], count[b], count.neither, ...share(count[a], count[a] + count[b])];
  }));
  const heads = ["piece of", "against", "wins", "losses", "can't tell", "wins, %", "95 % interval"];
  main.replaceChildren(
    el("h2", { tabindex: "-1" }, "Who made them"),
    el("p", { class: "lead" }, "How often you chose each, of the pairs in which you chose. Save the answers: several listeners say more than one."),
    el("div", { class: "scroll" }, el("table", { class: "wins" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map(([one, ...cells]) => el("tr", {},
        el("th", { scope: "row" }, one), el("th", {}, cells[0]), cells.slice(1).map((cell) => el("td", {}, String(cell)))))))),
    steps("All pairs are answered."),
    el("p", { class: "row" }, el("button", { type: "button", class: "quiet", onclick: anew }, "Begin anew, as another listener")));
  main.querySelector("h2").focus({ preventScroll: true });
}

/** Per cent, and Wilson's interval. */
function share(wins, count) {
  if (!count) return ["", ""];
  const p = wins / count, z2 = NORMAL ** 2 / count;
  const middle = (p + z2 / 2) / (1 + z2), half = (NORMAL * Math.sqrt((p * (1 - p)) / count + z2 / (4 * count))) / (1 + z2);
  const [percent, low, high] = [p, middle - half, middle + half].map((each) => (100 * each).toFixed(0));
  return [percent, `${low} – ${high}`];
}

function anew() {
  if (!confirm("The answers in this browser are then gone. Are they saved?")) return;
  sheet = blank();
  remember();
  go(0);
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey || !players.length) return; // held, a key would answer pair after pair
  const place = ["1", "2"].indexOf(event.key), choice = CHOICES.findIndex(([, , key]) => key === event.key);
  if (place >= 0) players[place].toggle();
  else if (choice >= 0 && !main.querySelectorAll(".choices button")[choice].disabled) answer(CHOICES[choice][0]);
  else return;
  event.preventDefault();
});

document.querySelector("#theme").replaceChildren(themeButton(() => {}));
show();
