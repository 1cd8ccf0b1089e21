"""What a visitor does while an answer is awaited: answers are held back, as a slow server or a large decoder does it."""

import pytest

# `hold("trace", …)` keeps such questions waiting, as `held`, until `release()`.
HELD = """((engine) => {
  const held = (globalThis.held = []);
  let names = [];
  globalThis.hold = (...given) => { names = given; };
  globalThis.release = () => {
    names = [];
    held.splice(0).forEach((go) => go());
  };
  const slowly = (asked, ...questions) => {
    for (const question of questions) {
      const ask = asked[question].bind(asked);
      asked[question] = async (...given) => {
        if (names.includes(question)) await new Promise((go) => held.push(go));
        return ask(...given);
      };
    }
    return asked;
  };
  const { trace } = engine;
  engine.trace = async (...given) => slowly(await trace(...given), "attention", "head");
  return slowly(engine, "prompt", "next", "text", "trace");
})"""


@pytest.fixture
def open_held(open_mock):
    """The page with an invented engine whose answers can be held back."""
    return lambda task, **settings: open_mock(task, engines=f'{HELD}(mock("{task}"))', **settings)


def wait_until_asked(tab):
    tab.wait_for_function("() => held.length")


def write_surely(tab, write):
    """Write the likeliest tokens, as far as the engine has them."""
    tab.get_by_label("Draw at random").uncheck()
    write(tab)


def test_a_note_of_the_roll_before_is_no_note_of_a_shorter_line(open_held, write):
    tab = open_held("music")
    write_surely(tab, write)
    tab.locator("#tab-music").click()
    says, roll = tab.locator("#music .hint[role=status]"), tab.locator("#music .roll canvas")
    says.filter(has_text="Choose a note.").wait_for()
    roll.press("Home")
    says.filter(has_text="look at no earlier note").wait_for()
    tab.locator("#tab-write").click()
    tab.locator("#write .token").nth(20).click()
    tab.get_by_text("Where “").wait_for()
    tab.locator("#write ol.bars:visible").last.get_by_role("button").nth(3).click()
    tab.evaluate("hold('attention')")
    tab.locator("#tab-music").click()
    wait_until_asked(tab)
    roll.press("End")
    says.evaluate("node => node.replaceChildren()")
    tab.evaluate("release()")
    says.filter(has_text="look at no earlier note").wait_for()
    roll.press("End")
    says.filter(has_text="looks most at").wait_for()


def test_what_is_said_of_a_note_is_of_its_own_arcs(open_held, write):
    tab = open_held("music")
    write_surely(tab, write)
    tab.locator("#tab-music").click()
    says, roll = tab.locator("#music .hint[role=status]"), tab.locator("#music .roll canvas")
    says.filter(has_text="Choose a note.").wait_for()
    roll.press("End")
    says.filter(has_text="looks most at").wait_for()
    last = says.inner_text()
    roll.press("Home")
    says.filter(has_text="look at no earlier note").wait_for()
    first = says.inner_text()
    tab.evaluate(
        """() => {
          globalThis.said = [];
          const node = document.querySelector("#music .hint[role=status]");
          new MutationObserver(() => said.push(node.textContent)).observe(node, { childList: true });
          hold("attention");
        }"""
    )
    roll.press("End")
    wait_until_asked(tab)
    roll.press("Home")
    tab.evaluate("release()")
    tab.wait_for_function("() => said.length === 2")
    assert tab.evaluate("said") == [last, first]


def test_a_word_of_a_longer_line_before_is_no_place_of_this_one(open_held, write):
    tab = open_held("translation")
    write(tab)
    tab.locator("#tab-attention").click()
    words = tab.locator("#attention .links .written button")
    words.first.wait_for()
    tab.locator("#tab-write").click()
    tab.get_by_role("button", name="From the start").click()
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    wait_until_asked(tab)
    words.last.click()
    tab.evaluate("release()")
    words.last.wait_for(state="hidden")
    assert tab.locator("#attention .tokens [aria-selected=true]").inner_text() == "<|to-de|>"
    assert "the query of “<|to-de|>”" in tab.locator("#attention .cabinet").inner_text()


def test_a_token_that_was_written_meanwhile_is_not_looked_for_in_the_line_before(open_held):
    tab = open_held("translation")
    bars = tab.locator("#write ol.bars:visible").get_by_role("button")
    bars.first.wait_for()
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    wait_until_asked(tab)
    tab.locator("#tab-write").click()
    bars.first.click()
    tab.evaluate("release()")
    cabinet = tab.locator("#attention .cabinet")
    cabinet.filter(has_text="the query of").wait_for(state="attached")
    assert "the query of “undefined”" not in cabinet.text_content()


def test_a_view_that_waits_keeps_no_other_view_from_being_shown(open_held, write):
    tab = open_held("translation")
    write(tab)
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    wait_until_asked(tab)
    tab.locator("#tab-parameters").click()
    tab.locator("#parameters tfoot").first.wait_for()
    tab.locator("#tab-attention").click()
    tab.evaluate("release()")
    tab.locator("#attention .folder").first.wait_for()


def test_buttons_and_the_line_follow_before_an_answer_comes(open_held):
    tab = open_held("translation")
    tab.locator("#write .bar").first.wait_for()
    tab.evaluate("hold('next')")
    tab.get_by_role("button", name="One token").click()
    tab.locator("#write .tokens .written").wait_for()
    go = tab.locator("#write button.strong")
    wait_until_asked(tab)
    for says in ("Stop", "Write"):
        go.click()
        assert go.inner_text() == says
    first = tab.locator("#write .token").first
    first.click()
    assert first.get_attribute("aria-selected") == "true"


def test_a_message_goes_when_the_same_succeeds(open_mock):
    engines = """((engine) => {
      const { next } = engine;
      engine.next = async (...given) => {
        if (!globalThis.isWell) throw Object.assign(new Error("The server does not answer."), { name: "EngineError" });
        return next(...given);
      };
      return engine;
    })(mock("translation"))"""
    tab = open_mock("translation", engines=engines)
    message = tab.locator("#write .message", has_text="The server does not answer.")
    message.wait_for()
    tab.evaluate("globalThis.isWell = true")
    tab.locator("#write .token").first.click()
    tab.locator("#write .bar").first.wait_for()
    message.wait_for(state="hidden")


WRITTEN = "() => [...document.querySelectorAll('#write .tokens .written')].map(({ title }) => title.split(' with ')[1])"


def test_a_bar_counts_for_the_line_that_it_is_drawn_for(open_held):
    tab = open_held("translation")
    bars = tab.locator("#write ol.bars").first.get_by_role("button")
    bars.first.wait_for()
    tab.evaluate("hold('next')")
    chance = bars.nth(2).locator(".number").inner_text()
    bars.nth(2).click()
    wait_until_asked(tab)
    bars.nth(1).click()  # still of the line before
    assert tab.evaluate(WRITTEN) == [chance]
    first = bars.first.evaluate_handle("node => node")
    tab.evaluate("release()")
    tab.wait_for_function("node => !node.isConnected", arg=first)
    bars.nth(1).click()
    assert len(tab.evaluate(WRITTEN)) == 2


def test_a_bar_counts_for_the_place_that_its_heading_says(open_held, write):
    tab = open_held("music")
    write_surely(tab, write)
    line = tab.locator("#write .tokens .token")
    line.nth(20).click()  # so long before that its distribution is kept no longer
    heading = tab.locator("#write h3", has_text="Where “")
    heading.wait_for()
    said = heading.inner_text()
    tab.evaluate("hold('next')")
    line.nth(10).click()
    wait_until_asked(tab)
    assert heading.inner_text() == said
    other = tab.locator("#write ol.bars").last.get_by_role("button").nth(3)
    chance = other.locator(".number").inner_text()
    other.click()
    assert line.count() == 21
    assert tab.evaluate(WRITTEN)[-1] == chance
    tab.evaluate("release()")


def test_a_file_that_is_refused_takes_back_nothing_that_was_chosen_meanwhile(open_held):
    tab = open_held("music")
    tab.locator("#write .bar").first.wait_for()
    panel = tab.locator("#write")
    file, name, job = panel.get_by_label("MIDI file"), panel.locator(".file-name"), panel.get_by_label("Job")
    refused = panel.locator(".message", has_text="This is no MIDI file")
    wrong, right = (
        {"name": f"{content}.mid", "mimeType": "audio/midi", "buffer": content.encode()} for content in ("wrong", "MThd")
    )
    tab.evaluate("hold('prompt')")
    file.set_input_files(wrong)
    wait_until_asked(tab)
    job.select_option(label="accompany a melody")
    tab.evaluate("release()")
    refused.wait_for()
    assert name.inner_text() == ""
    assert job.evaluate("node => node.selectedOptions[0].text") == "accompany a melody"

    tab.evaluate("hold('prompt')")
    file.set_input_files(wrong)
    wait_until_asked(tab)
    file.set_input_files(right)
    name.filter(has_text="MThd.mid").wait_for()
    tab.evaluate("release()")
    tab.locator("#write .token", has_text="<|accompany|>").wait_for()
    assert name.inner_text() == "MThd.mid"


def test_a_line_that_has_become_full_meanwhile_is_asked_for_nothing_more(open_mock):
    engines = f"""((engine) => {{
      const {{ next }} = engine;
      engine.about.config.context = 13;
      engine.next = async (ids, context) => {{
        if (ids.length >= 13) throw new Error("The line is full.");
        return next(ids, context);
      }};
      return {HELD}(engine);
    }})(mock("translation"))"""
    tab = open_mock("translation", engines=engines)
    bars = tab.locator("#write ol.bars").first.get_by_role("button")
    bars.first.wait_for()
    tab.evaluate("hold('text')")
    one = tab.get_by_role("button", name="One token")
    one.click()
    wait_until_asked(tab)
    one.click()
    tab.wait_for_function(f"() => ({WRITTEN})().length === 2")
    tab.evaluate("release()")
    tab.get_by_text("All positions are used").wait_for()
    assert tab.locator("#write .message").is_hidden()
