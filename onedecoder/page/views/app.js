/* The page: a decoder's name, the views of its line, and one of them open.
 *
 * Each view is a file that exports { id, title, lead, sections, needsLine, build }. `build(session, panel, guard)`
 * furnishes the panel once and returns { show, update }, or those of the two that it needs. Both are called whenever the
 * open view has something new to show: `show` at once, for what the session knows, `update` for what an engine is asked.
 * What a visitor does goes through `guard`, which shows its errors. A view in the background costs nothing: it is brought
 * up to date when it is opened.
 */

import { attention } from "onedecoder/views/attention.js";
import { cache } from "onedecoder/views/cache.js";
import { bits, brief, count, el } from "onedecoder/views/dom.js";
import { music } from "onedecoder/views/music.js";
import { parameters } from "onedecoder/views/parameters.js";
import { Session } from "onedecoder/views/session.js";
import { tabs } from "onedecoder/views/tabs.js";
import { themeButton } from "onedecoder/views/theme.js";
import { way } from "onedecoder/views/way.js";
import { write } from "onedecoder/views/write.js";

const ARTICLE = "https://jalammar.github.io/illustrated-gpt2/";

/** The article's address with a text fragment: a browser scrolls to that heading, or shows the article from the top. */
const inArticle = (section) => `${ARTICLE}#:~:text=${encodeURIComponent(section).replaceAll("-", "%2D")}`;

/** Open the page. `open()` promises an engine, or a pair of engines that are to be compared. */
export async function start(open) {
  const main = document.querySelector("main");
  main.replaceChildren(el("p", { class: "waiting", role: "status" }, "Reading the decoder …"));
  try {
    const [engine, beside] = [await open()].flat();
    const session = new Session(engine, beside);
    const openPanel = furnish(main, session);
    const input = firstInput(engine.about);
    if (input) await openPanel().guard(() => session.begin(input))();
  } catch (error) {
    main.replaceChildren(el("p", { class: "message", role: "alert" }, error.message));
    throw error;
  }
}

/** What the page begins with, if it can begin with something. */
function firstInput({ input, needsInput, examples, jobs }) {
  if (input === "text") return examples[0] ?? (needsInput ? null : { text: "" });
  return jobs[0] === "accompany" ? null : { job: jobs[0] };
}

function furnish(main, session) {
  const { about } = session;
  document.title = `${about.name} · The Illustrated GPT-2, live`;
  document.querySelector("#decoder").replaceChildren(...introduction(about));
  document.querySelector("#theme").replaceChildren(themeButton(() => session.set({})));

  const views = [write, way, attention, cache, ...(about.input === "text" ? [] : [music]), parameters];
  const panels = views.map((view) => panelOf(view, session));
  const openPanel = () => panels.find((panel) => !panel.node.hidden);
  const refresh = () => openPanel().refresh();
  main.replaceChildren(tabs(panels, refresh), ...panels.map((panel) => panel.node));
  session.addEventListener("change", refresh);
  window.addEventListener("resize", refresh);
  return openPanel;
}

/** Asks for an update as often as one likes: one is made per frame at most, each after the one before has ended.
 * `waits(true)` is called when the first is asked for, `waits(false)` when the last has ended. */
function oneByOne(update, waits) {
  let isBusy = false, isStale = false;
  return async () => {
    isStale = true;
    if (isBusy) return;
    isBusy = true;
    waits(true);
    while (isStale) {
      await new Promise(requestAnimationFrame);
      isStale = false;
      await update();
    }
    isBusy = false;
    waits(false);
  };
}

function introduction(about) {
  const { config } = about;
  return [
    el("strong", {}, about.name),
    el("span", {}, `${about.task === about.name ? "" : `${about.task}: `}${brief(about.parameters)} parameters in ${bits(about.weights)} each, `
      + `${config.layers} layers × ${config.heads} heads, ${config.width} wide, ${count(config.context)} positions`
      + `${config.relative ? ", relative attention" : ""}${config.copy ? ", copy attention" : ""}${config.mask === "prefix" ? ", prefix mask" : ""}`),
    ...about.line.split(/\n\s*/).map((job) => el("code", {}, job)),
  ];
}

/** A view's panel: its title, the article's sections that it shows, a place for messages, and what it builds. */
function panelOf(view, session) {
  const message = el("p", { class: "message", role: "alert", hidden: true });
  const nothing = el("p", { class: "hint" }, "There is no line yet: give the decoder something in the first view.");
  const body = el("div", { class: "body" });
  const node = el("section", { id: view.id, role: "tabpanel", "aria-labelledby": `tab-${view.id}`, tabindex: "-1", hidden: true },
    el("header", {},
      el("h2", {}, view.title), el("p", { class: "lead" }, view.lead),
      el("p", { class: "source" }, "In the article: ",
        view.sections.map((section, at) => [at ? " · " : "", el("a", { href: inArticle(section), rel: "noopener", target: "_blank" }, section)]))),
    message, nothing, body);

  let failed = null; // whose error the message is

  /** Say what went wrong where it happened, until the same succeeds; what the visitor did stays as it is. */
  async function report(action, ...given) {
    try {
      const result = await action(...given);
      if (failed === action) message.hidden = true;
      return result;
    } catch (error) {
      failed = action;
      message.textContent = error.message;
      message.hidden = false;
      if (error.name !== "EngineError") console.error(error); // not the visitor's, but ours
    }
  }
  /** The same for what a visitor does, before which the last message goes. */
  const guard = (action) => (...given) => {
    message.hidden = true;
    return report(action, ...given);
  };
  let built = null;
  function show() {
    nothing.hidden = !view.needsLine || session.ids.length > 0;
    body.hidden = !nothing.hidden;
    built ??= view.build(session, body, guard);
    if (nothing.hidden) built.show?.();
  }
  async function update() {
    if (!node.hidden && nothing.hidden) await built?.update?.();
  }
  // Each view waits for its own answers: a slow one keeps no other view from being shown.
  const updateLater = oneByOne(() => report(update), (isWaiting) => node.classList.toggle("waits", isWaiting));
  return {
    view, node, guard,
    refresh() {
      report(show);
      updateLater();
    },
  };
}
