"""What a visitor does while an answer is awaited, which is held back as a slow server holds it back."""

import pytest


def test_a_word_of_a_longer_line_before_is_no_place_of_this_one(open_held, write):
    tab = open_held("mock('translation')")
    write(tab)
    tab.locator("#tab-attention").click()
    words = tab.locator("#attention .links .written button")
    words.first.wait_for()
    tab.locator("#tab-write").click()
    tab.get_by_role("button", name="From the start").click()
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    tab.wait_for_function("() => held.length")
    words.last.click()
    tab.evaluate("release()")
    words.last.wait_for(state="hidden")
    assert tab.locator("#attention .tokens [aria-selected=true]").inner_text() == "<|to-de|>"
    assert "the query of “<|to-de|>”" in tab.locator("#attention .cabinet").inner_text()


def test_a_token_that_was_written_meanwhile_is_not_looked_for_in_the_line_before(open_held):
    tab = open_held("mock('translation')")
    bars = tab.locator("#write ol.bars:visible").get_by_role("button")
    bars.first.wait_for()
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    tab.wait_for_function("() => held.length")
    tab.locator("#tab-write").click()
    bars.first.click()
    tab.evaluate("release()")
    cabinet = tab.locator("#attention .cabinet")
    cabinet.filter(has_text="the query of").wait_for(state="attached")
    assert "the query of “undefined”" not in cabinet.text_content()


def test_a_view_that_waits_keeps_no_other_view_from_being_shown(open_held, write):
    tab = open_held("mock('translation')")
    write(tab)
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    tab.wait_for_function("() => held.length")
    assert tab.locator("#attention").evaluate("node => getComputedStyle(node).cursor") == "progress"
    tab.locator("#tab-parameters").click()
    tab.locator("#parameters tfoot").first.wait_for()
    tab.locator("#tab-attention").click()
    tab.evaluate("release()")
    tab.locator("#attention .folder").first.wait_for()
    tab.locator("#attention:not(.waits)").wait_for()


def test_buttons_and_the_line_follow_before_an_answer_comes(open_held):
    tab = open_held("mock('translation')")
    tab.locator("#write .bar").first.wait_for()
    tab.evaluate("hold('next')")
    tab.get_by_role("button", name="One token").click()
    tab.locator("#write .tokens .written").wait_for()
    go = tab.locator("#write button.strong")
    tab.wait_for_function("() => held.length")
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
    tab = open_held("mock('translation')")
    bars = tab.locator("#write ol.bars").first.get_by_role("button")
    bars.first.wait_for()
    tab.evaluate("hold('next')")
    chance = bars.nth(2).locator(".number").inner_text()
    bars.nth(2).click()
    tab.wait_for_function("() => held.length")
    bars.nth(1).click()  # still of the line before
    assert tab.evaluate(WRITTEN) == [chance]
    first = bars.first.evaluate_handle("node => node")
    tab.evaluate("release()")
    tab.wait_for_function("node => !node.isConnected", arg=first)
    bars.nth(1).click()
    assert len(tab.evaluate(WRITTEN)) == 2


def test_a_bar_counts_for_the_place_that_its_heading_says(open_held, write):
    tab = open_held("((engine) => { engine.script.length = 90; return engine; })(mock('music'))")
    tab.get_by_label("Draw at random").uncheck()
    write(tab)
    line = tab.locator("#write .tokens .token")
    line.nth(20).click()  # so long before that its distribution is kept no longer
    heading = tab.locator("#write h3", has_text="Where “")
    heading.wait_for()
    said = heading.inner_text()
    tab.evaluate("hold('next')")
    line.nth(10).click()
    tab.wait_for_function("() => held.length")
    assert heading.inner_text() == said
    other = tab.locator("#write ol.bars").last.get_by_role("button").nth(3)
    chance = other.locator(".number").inner_text()
    other.click()
    assert line.count() == 21
    assert tab.evaluate(WRITTEN)[-1] == chance
    tab.evaluate("release()")


def test_a_file_that_is_refused_takes_back_nothing_that_was_chosen_meanwhile(open_held):
    tab = open_held("mock('music')")
    tab.locator("#write .bar").first.wait_for()
    panel = tab.locator("#write")
    file, name, job = panel.get_by_label("MIDI file"), panel.locator(".file-name"), panel.get_by_label("Job")
    refused = panel.locator(".message", has_text="This is no MIDI file")
    wrong, right = (
        {"name": f"{content}.mid", "mimeType": "audio/midi", "buffer": content.encode()}
        for content in ("wrong", "MThd")
    )
    tab.evaluate("hold('prompt')")
    file.set_input_files(wrong)
    tab.wait_for_function("() => held.length")
    job.select_option(label="accompany a melody")
    tab.evaluate("release()")
    refused.wait_for()
    assert name.inner_text() == ""
    assert job.evaluate("node => node.selectedOptions[0].text") == "accompany a melody"

    tab.evaluate("hold('prompt')")
    file.set_input_files(wrong)
    tab.wait_for_function("() => held.length")
    file.set_input_files(right)
    name.filter(has_text="MThd.mid").wait_for()
    tab.evaluate("release()")
    tab.locator("#write .token", has_text="<|accompany|>").wait_for()
    assert name.inner_text() == "MThd.mid"


@pytest.mark.parametrize(
    ("size", "said"), [(5, "This is no MIDI file"), (3_000_000, "second.mid has 3.0 MB: give a MIDI file")]
)
def test_of_two_files_that_are_refused_none_is_chosen_and_the_second_has_the_message(open_held, size, said):
    tab = open_held("mock('music')", view="music")
    tab.locator("#music .now", has_text="0 notes").wait_for()
    panel = tab.locator("#music")
    file, name, job = panel.get_by_label("MIDI file"), panel.locator(".file-name"), panel.get_by_label("Job")
    tab.evaluate("hold('prompt')")
    file.set_input_files({"name": "first.mid", "mimeType": "audio/midi", "buffer": b"wrong"})
    name.filter(has_text="first.mid").wait_for()
    job.select_option(label="accompany a melody")
    file.set_input_files({"name": "second.mid", "mimeType": "audio/midi", "buffer": bytes(size)})
    panel.locator(".file-name:has-text('second.mid'), .message:has-text('second.mid')").wait_for()
    tab.evaluate("release()")
    panel.locator(".message", has_text=said).wait_for()
    tab.wait_for_function("() => document.querySelector('#music .file-name').textContent === ''", timeout=5000)
    assert said in panel.locator(".message").inner_text()
    assert job.evaluate("node => node.selectedOptions[0].text") == "accompany a melody"


WITH_MELODY = """((engine) => {
  engine.about.melody = { name: "melody.mid", midi: btoa("MThd") };
  return engine;
})(mock("music"))"""


@pytest.mark.parametrize("after", ["quick.mid", "melody.mid"])
def test_a_file_that_is_read_slowly_does_not_replace_what_was_chosen_after_it(open_held, after):
    tab = open_held(WITH_MELODY, view="music")
    tab.locator("#music .now", has_text="0 notes").wait_for()
    tab.evaluate(
        """() => {
          const { arrayBuffer } = Blob.prototype;
          const slow = new Promise((go) => { globalThis.read = go; });
          Blob.prototype.arrayBuffer = async function () {
            if (this.name === "slow.mid") await slow;
            return arrayBuffer.call(this);
          };
        }"""
    )
    name, melody = tab.locator("#music .file-name"), tab.locator("#music button", has_text="or take a melody")
    for each in ("slow.mid", after):
        file = {"name": each, "mimeType": "audio/midi", "buffer": b"MThd"}
        choose = tab.locator("#music").get_by_label("MIDI file").set_input_files
        melody.click() if each == "melody.mid" else choose(file)
    name.filter(has_text=after).wait_for()
    tab.evaluate("async () => { read(); await new Promise((go) => setTimeout(go, 50)); }")
    assert name.inner_text() == after


def test_the_refusal_of_a_file_is_not_said_beside_the_melody_that_was_taken_meanwhile(open_held):
    tab = open_held(WITH_MELODY, view="music")
    tab.locator("#music .now", has_text="0 notes").wait_for()
    panel = tab.locator("#music")
    tab.evaluate("hold('prompt')")
    panel.get_by_label("MIDI file").set_input_files({"name": "wrong.mid", "mimeType": "audio/midi", "buffer": b"wrong"})
    tab.wait_for_function("() => held.length")
    panel.get_by_role("button", name="or take a melody").click()
    panel.locator(".file-name", has_text="melody.mid").wait_for()
    tab.evaluate("release()")
    tab.evaluate("() => new Promise((go) => setTimeout(go, 50))")
    assert panel.locator(".file-name").inner_text() == "melody.mid"
    assert panel.locator(".message").is_hidden()


def test_a_line_that_has_become_full_meanwhile_is_asked_for_nothing_more(open_held):
    engine = """((engine) => {
      const { next } = engine;
      engine.about.config.context = 13;
      engine.next = async (ids, context) => {
        if (ids.length >= 13) throw new Error("The line is full.");
        return next(ids, context);
      };
      return engine;
    })(mock("translation"))"""
    tab = open_held(engine)
    bars = tab.locator("#write ol.bars").first.get_by_role("button")
    bars.first.wait_for()
    tab.evaluate("hold('text')")
    one = tab.get_by_role("button", name="One token")
    one.click()
    tab.wait_for_function("() => held.length")
    one.click()
    tab.wait_for_function(f"() => ({WRITTEN})().length === 2")
    tab.evaluate("release()")
    tab.get_by_text("All positions are used").wait_for()
    assert tab.locator("#write .message").is_hidden()


def test_a_picture_of_attention_follows_the_theme_while_the_next_token_is_awaited(open_held, write):
    tab = open_held("mock('translation')", color_scheme="light")
    write(tab)
    tab.locator("#tab-attention").click()
    tab.locator("#attention .folder").first.wait_for()
    tab.locator("#tab-write").click()
    tab.get_by_role("button", name="From the start").click()
    tab.evaluate("hold('next')")
    tab.locator("#write button.strong").click()
    tab.wait_for_function("() => held.length")
    tab.locator("#tab-attention").click()
    picture = "document.querySelector('#attention .head canvas').toDataURL()"
    light = tab.evaluate(picture)
    tab.get_by_role("button", name="Use the dark theme").click()
    tab.wait_for_function(f"light => {picture} !== light", arg=light)
