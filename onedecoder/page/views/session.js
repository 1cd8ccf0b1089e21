/* The line that all views look at, and what is chosen in it.
 *
 *     source  <separator>  target …
 *     └── context ──────┘  └── written, each token with its probability
 *
 * A session asks one engine (engine/local.js in this page, engine/remote.js behind a server, engine/recorded.js for a
 * page of recorded inputs) and tells its listeners by "change" when the line, the chosen token or head is another.
 */

const KEPT = 64; // distributions; of a vocabulary of 50,257 each takes 0.2 MB
const WAIT_AND_NOTE = 4; // tokens, at least
const LIKELIEST = { do_sample: false, temperature: 1, top_k: 0, top_p: 1, uniform: 0 };

export class Session extends EventTarget {
  constructor(engine, beside = null) {
    super();
    this.engine = engine;
    this.beside = beside; // a second run, of which the Music view shows the attention beside the first's
    this.settings = { do_sample: false, temperature: 1, top_k: 0, top_p: 1, ...engine.about.generation };
    this.ids = [];
    this.context = 0;
    this.input = null; // what the line was begun with
    this.part = {}; // { read, seconds } of it, where not all of it was read
    this.wanted = { job: engine.about.jobs?.[0], file: null }; // of music: the forms' job and { name, bytes }, in all views
    this.chances = []; // of each token, how probable it was when it was written; undefined for what was given
    this.place = 0; // the token looked at
    this.layer = Math.floor(engine.about.config.layers / 2); // where words meet words, mostly
    this.head = 0; // a number, "mean", or "copy" for copy attention's weights
    this.words = false; // whether subwords are joined to words
    this.isWriting = false;
    this.looks = new Map(); // by engine
    this.distributions = new Map(); // by place
    this.turn = Promise.resolve();
  }

  get about() {
    return this.engine.about;
  }

  /**
   * Whether the line is whole: the end token is written, no position is left (music may slide its window on), or a
   * recording ends.
   */
  get hasEnded() {
    const { ids, engine } = this, { end, sliding, config } = this.about;
    if (!ids.length) return false;
    return (ids.length > this.context && ids.at(-1) === end) || (!sliding && ids.length >= config.context) || Boolean(engine.isOver?.(ids));
  }

  /**
   * How many tokens may be written, if the line ends because these are used up: its grammar lets nothing begin where a wait
   * and a note have no room, and then the end is no choice.
   */
  get limit() {
    const { ids, context, hasEnded } = this, { moves, sliding, config, generation } = this.about;
    const most = sliding ? generation.max_new_tokens : Math.min(generation.max_new_tokens, config.context - context);
    const left = most - (ids.length - 1 - context);
    return moves && hasEnded && left <= WAIT_AND_NOTE ? most : null;
  }

  /** The chosen head where it takes one alone: neither a mean of heads nor copy attention has queries of its layer's. */
  get oneHead() {
    return typeof this.head === "number" ? this.head : 0;
  }

  /** Change some of what is shown, and tell. What is pressed may be of a longer line before: the chosen token is of this one. */
  set(changes) {
    Object.assign(this, changes);
    this.place = within(this.place, this.ids);
    this.dispatchEvent(new Event("change"));
  }

  /** Read a new input. */
  async begin(input) {
    this.stop();
    const { ids, context, read, seconds } = await this.inTurn(() => this.engine.prompt(input));
    this.distributions.clear();
    this.set({ ids: [...ids], context, chances: ids.map(() => undefined), place: ids.length - 1, input, part: { read, seconds } });
  }

  /** The distribution from which the token at `place` is, or was, chosen. The last few that were asked for are kept. */
  distribution(place = this.ids.length) {
    if (!this.distributions.has(place)) {
      const before = this.ids.slice(0, place);
      const next = this.inTurn(() => this.engine.next(before, this.context));
      next.catch(() => this.distributions.delete(place));
      this.distributions.set(place, next);
      if (this.distributions.size > KEPT) this.distributions.delete(this.distributions.keys().next().value);
    }
    return this.distributions.get(place);
  }

  /** The same after temperature, top-k and top-p: { id, probabilities, plain }. */
  choose(next) {
    const { do_sample, temperature, top_k, top_p } = this.settings;
    const drawn = { do_sample, temperature, top_k, top_p, uniform: Math.random() };
    return this.engine.choose(next, do_sample ? drawn : LIKELIEST);
  }

  /** Let the token at `place` be `id`; what followed is taken back. An engine may refuse the line, which then stays. */
  put(id, place, plain) {
    const ids = [...this.ids.slice(0, place), id];
    this.engine.check?.(ids);
    this.#become(ids, [...this.chances.slice(0, place), plain[id]]);
  }

  /** Take back what was written after `length` tokens. */
  cut(length) {
    const kept = Math.max(this.context, length);
    this.#become(this.ids.slice(0, kept), this.chances.slice(0, kept));
  }

  /** A line with the same beginning; what was known of its changed end is forgotten. */
  #become(ids, chances) {
    const same = ids.findIndex((id, place) => id !== this.ids[place]);
    for (const place of this.distributions.keys()) if (same >= 0 && place > same) this.distributions.delete(place);
    for (const place of this.distributions.keys()) if (place > ids.length) this.distributions.delete(place);
    this.set({ ids, chances, place: ids.length - (this.isEnd(ids.length - 1, ids) ? 2 : 1) });
  }

  /** Write one token. */
  async step() {
    const line = this.ids;
    const { id, plain } = await this.choose(await this.distribution());
    if (this.ids === line) this.put(id, line.length, plain); // else another line was begun meanwhile
  }

  /** Write until the line ends, `enough()` says so, or `stop` is called; `pace` milliseconds are waited after each token. */
  async write({ pace = 0, enough = this.asManyAsUsual() } = {}) {
    if (this.isWriting) return;
    const run = (this.run = {});
    this.set({ isWriting: true });
    try {
      while (this.run === run && !this.hasEnded && !(await enough())) {
        if (this.run !== run) break; // stopped, or another line begun, while that was found out
        await this.step();
        if (pace) await new Promise((resolve) => setTimeout(resolve, pace));
      }
    } finally {
      if (this.run === run) this.stop();
    }
  }

  asManyAsUsual() {
    const { generation, moves } = this.about;
    const last = this.ids.length + generation.max_new_tokens + (moves ? 1 : 0); // a grammar then has the end written
    return () => this.ids.length >= last;
  }

  stop() {
    this.run = null;
    if (this.isWriting) this.set({ isWriting: false });
  }

  /** What an engine saw when it read the line: { trace, from, ids, context }, kept until the line is another.
   *
   * A line longer than the decoder's positions is looked at from the place `from` on; `ids` and `context` are as of there. */
  look(engine = this.engine) {
    const { ids, context } = this;
    if (this.looks.get(engine)?.ids !== ids) {
      const look = this.inTurn(async () => {
        const trace = await engine.trace(ids, context);
        const from = ids.length - trace.length;
        return { trace, from, ids: ids.slice(from), context: Math.max(0, context - from) };
      });
      look.catch(() => this.looks.delete(engine));
      this.looks.set(engine, { ids, look });
    }
    return this.looks.get(engine).look;
  }

  /** The chosen token's place in what a look sees. */
  placeIn({ from, ids }) {
    return within(this.place - from, ids); // the line may have grown since
  }

  /** One question at a time: an engine's cache belongs to one line. */
  inTurn(ask) {
    const answer = this.turn.then(ask);
    this.turn = answer.catch(() => {});
    return answer;
  }

  /** Whether the token at a place ends the line: what would follow it was never learned, so that it is not looked at unasked. */
  isEnd(place, ids = this.ids) {
    return place > 0 && place >= this.context && ids[place] === this.about.end;
  }

  /** What to call the token at a place. */
  name(place) {
    return this.engine.names[this.ids[place]];
  }
}

const within = (place, ids) => Math.max(0, Math.min(ids.length - 1, place));

/** Special tokens go by names like <|to-de|>, which no text ever becomes. */
export const isSpecial = (name) => /^<\|.*\|>$/.test(name);
