"""The views' own arithmetic, and how a line of 1,024 tokens scrolls."""

import json

import pytest


@pytest.fixture
def module(open_mock):
    """Run JavaScript with one of the page's modules as `m`."""
    tab = open_mock("text")
    return lambda name, code: tab.evaluate(
        f'async () => {{ const m = await import("onedecoder/views/{name}"); {code} }}'
    )


def test_a_line_that_was_stopped_or_begun_anew_gets_no_token_of_the_old_one(open_mock):
    """`enough` may wait for the engine, and what was asked for meanwhile counts."""
    tab = open_mock("text")
    found = tab.evaluate(
        """async () => {
          const { Session } = await import("onedecoder/views/session.js");
          const engine = {
            about: { config: { layers: 1, context: 99 }, generation: { max_new_tokens: 9 }, end: 99, names: [] },
            prompt: async (input) => ({ ids: [input], context: 1 }),
            next: async () => ({ logits: new Float32Array([0, 1]) }),
            choose: async () => ({ id: 1, probabilities: [0, 1], plain: [0, 1] }),
          };
          const lines = [];
          for (const interrupt of [(session) => session.stop(), (session) => session.begin(7)]) {
            const session = new Session(engine);
            await session.begin(5);
            let go;
            const writing = session.write({ enough: () => new Promise((resolve) => { go = () => resolve(false); }) });
            await interrupt(session);
            go();
            await writing;
            lines.push([session.ids, session.isWriting]);
          }
          return lines;
        }"""
    )
    assert found == [[[5], False], [[7], False]]


def test_attention_of_words_is_the_sum_over_keys_and_the_mean_over_queries(module):
    found = module(
        "words.js",
        "const names = ['a', '·b', 'c', '<|to-de|>', 'd', '·e'];"
        "const words = m.groups({ ids: [0, 1, 2, 3, 4, 5], context: 4 }, names, true);"
        "const weights = Float32Array.from({ length: 36 }, (_, i) => i % 6 <= i / 6 ? 1 / (Math.floor(i / 6) + 1) : 0);"
        "return { words, picture: [...m.joined(weights, 6, words)] };",
    )
    assert [word["name"] for word in found["words"]] == ["a", "·bc", "<|to-de|>", "d", "·e"]
    rows = [found["picture"][5 * row : 5 * row + 5] for row in range(5)]
    assert all(sum(row) == pytest.approx(1, abs=1e-6) for row in rows)
    assert rows[1][:2] == pytest.approx([(1 / 2 + 1 / 3) / 2, (1 / 2 + 2 / 3) / 2])


def test_what_chose_a_word_is_the_rows_before_its_tokens(module):
    row = module(
        "words.js",
        "const weights = new Float32Array([1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5]);"
        "return [...m.lookedAt(weights, 3, { from: 1, to: 3 })];",
    )
    assert row == pytest.approx([(1 + 0.5) / 2, 0.5 / 2, 0])


def test_a_note_is_attended_to_by_all_its_tokens(module):
    arcs = module(
        "arcs.js",
        # <|compose|> note-on velocity wait note-off note-on
        "const notes = [{ on: 1, tokens: [1, 2, 4] }, { on: 5, tokens: [5] }];"
        "const weights = new Float32Array(36); weights.set([0.1, 0.2, 0.3, 0.25, 0.15], 4 * 6);"  # the row before D4
        "return m.arcsOf(weights, 6, 0, notes, 1);",
    )
    assert len(arcs) == 1 and arcs[0]["note"] == 0
    assert arcs[0]["weight"] == pytest.approx(0.2 + 0.3 + 0.15)


def test_seen_from_far_the_strongest_weight_is_what_is_seen(module):
    levels = module(
        "tiles.js",
        "const weights = new Float32Array(600 * 600); weights[599 * 600 + 123] = 1;"
        "const tiles = new m.Tiles(weights, 600, () => false, [0, 0, 0]);"
        "return tiles.levels.map(({ size, weights }) => [size, weights.indexOf(1)]);",
    )
    assert levels == [[600, 599 * 600 + 123], [300, 299 * 300 + 61], [150, 149 * 150 + 30]]


def test_a_long_text_written_from_a_short_one_is_linked(module):
    """A call takes not as many arguments as there are pairs of words."""
    written = module(
        "links.js",
        "const words = Array.from({ length: 4040 }, (_, at) => ({ name: 'word', from: at, to: at + 1 }));"
        "const { node, show } = m.links(() => {});"
        "show(new Float32Array(4040 * 4040), 4040, words, 40, 4039);"
        "return node.querySelectorAll('.written button').length;",
    )
    assert written == 4000


def test_events_have_short_names_on_an_axis(module):
    names = [
        "note-on E3",
        "note-off C#4",
        "velocity 71",
        "length 800 ms",
        "wait 400 ms",
        "<|0:01.25|>",
        "<|compose|>",
        "·a",
    ]
    short = module("axis.js", f"return {json.dumps(names)}.map(m.onAxis);")
    assert short == ["E3", "C#4 off", "v71", "0.8 s", "+0.4", "0:01.25", "<|compose|>", "·a"]


def test_what_is_given_lies_above_what_is_written(module):
    painted = module(
        "roll.js",
        "const note = { pitch: 60, start: 1, end: 2, velocity: 127 };"
        "const given = { ...note, on: 0 }, written = { ...note, on: 5 };"
        "const colours = (notes) => {"
        "  const roll = m.roll('', () => {}), canvas = roll.node.querySelector('canvas');"
        "  document.querySelector('main').append(roll.node);"
        "  roll.show({ notes, arcs: [], chosen: -1, zoom: 60, given: ({ on }) => on < 1 });"
        "  const { width, height } = canvas, image = canvas.getContext('2d').getImageData(0, 0, width, height).data;"
        "  const found = new Set();"
        "  for (let i = 0; i < image.length; i += 4) if (image[i + 3] === 255) found.add(image.slice(i, i + 3).join());"
        "  return [...found].sort();"
        "};"
        "return [colours([given, written]), colours([given]), colours([written])];",
    )
    assert painted[0] == painted[1] != painted[2]


FRAMES = """async () => {
  const times = [];
  const line = document.querySelector("#attention .tokens"), canvas = document.querySelector(".matrix");
  const box = canvas.getBoundingClientRect();
  const wheel = (settings) => canvas.dispatchEvent(new WheelEvent("wheel", {
    clientX: box.left + 400, clientY: box.top + 300, bubbles: true, cancelable: true, ...settings }));
  for (let i = 0; i < 8; i++) wheel({ ctrlKey: true, deltaY: -80 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < 120; frame++) {
    line.scrollTop += 12;
    wheel({ deltaX: 23, deltaY: 29 });
    scrollBy(0, frame % 2 ? -6 : 6);
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times.sort((a, b) => a - b);
}"""


def test_a_thousand_tokens_scroll(open_mock, on_one_core, record_property):
    """What a frame takes of one core, and when frames came, is reported (`pytest -s`)."""
    tab = open_mock("text", "{ length: 1024 }")
    tab.locator("#tab-attention").click()
    tab.locator("#attention .folder .strip").first.wait_for()
    assert tab.locator("#attention .token").count() == 1024
    times, seconds = on_one_core(tab, FRAMES)
    frames = {
        "core_ms": 1000 * seconds / len(times),
        "median_ms": times[60],
        "95th_percentile_ms": times[114],
        "longest_ms": times[-1],
    }
    record_property("frames", json.dumps(frames))
    print(f"\n1,024 tokens, 120 frames: {frames}")
    assert "zoomed" in tab.locator(".matrix").get_attribute("class")
