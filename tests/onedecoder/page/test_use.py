"""What a visitor does: write, choose, go by keyboard, give what cannot be read, compose, listen, save."""

from contextlib import suppress

import pytest

MARKUP = "<img src=x onerror=\"document.title='taken'\"><b>bold</b> </script> & &amp;"


def test_the_loop_writes_until_the_end_token_and_shades_each_token(open_mock, write):
    tab = open_mock("translation")
    write(tab)
    output = tab.locator("#write [aria-live=polite]")
    assert output.inner_text() == "Heute soll der Kellner eine köstliche Pizza essen."
    written = tab.locator("#write .tokens .written")
    chances = [float(token.evaluate("node => node.style.getPropertyValue('--chance')")) for token in written.all()]
    assert len(chances) == 11 and all(0 < chance <= 1 for chance in chances)
    assert tab.get_by_text("The end token is written: the line is whole.").is_visible()
    assert tab.get_by_role("button", name="One token").is_disabled()
    tab.get_by_role("button", name="From the start").click()
    written.first.wait_for(state="detached")
    tab.locator("#write:not(.waits)").wait_for()
    assert output.inner_text() == ""


def test_another_token_can_be_chosen_where_one_was_written(open_mock, write):
    tab = open_mock("translation")
    write(tab)
    tab.locator("#write .tokens .token", has_text="·soll").click()
    tab.get_by_text("Where “·soll” was written").wait_for()
    others = tab.locator("#write ol.bars:visible").last.get_by_role("button")
    assert others.count() == 10
    other = others.nth(3).locator(".name").inner_text()
    others.nth(3).click()
    tab.wait_for_function("() => document.querySelectorAll('#write .tokens .written').length === 2")
    assert tab.locator("#write .tokens .written").last.inner_text() == other


def test_enter_on_a_bar_writes_token_after_token(open_mock):
    tab = open_mock("translation")
    tab.wait_for_selector("#write .bar")
    written = "() => document.querySelectorAll('#write .tokens .written').length"
    before = tab.evaluate(written)
    tab.locator("#write ol.bars:visible").last.get_by_role("button").nth(1).focus()
    for count in (1, 2, 3):
        tab.evaluate("document.activeElement.dataset.line = 'before'")
        tab.keyboard.press("Enter")
        tab.wait_for_function(f"() => ({written})() === {before + count}")
        tab.wait_for_function("() => document.activeElement.matches('.bar:not([data-line])')")  # drawn for the new line


def test_temperature_top_k_and_top_p_move_the_bars(open_mock):
    tab = open_mock("translation")
    first = tab.locator("#write .bar .number").first
    first.wait_for()
    greedy = first.inner_text()
    tab.get_by_label("Draw at random").check()
    tab.get_by_label("Temperature").fill("2")
    tab.wait_for_function("before => document.querySelector('#write .bar .number').textContent !== before", arg=greedy)
    tab.get_by_label("Top-k").fill("3")
    tab.wait_for_function("() => document.querySelectorAll('#write .bar.out').length === 7")
    tab.get_by_label("Top-k").fill("0")
    tab.wait_for_function("() => document.querySelectorAll('#write .bar.out').length === 0")
    tab.get_by_label("Top-p").fill("0.1")
    tab.wait_for_function("() => document.querySelectorAll('#write .bar.out').length > 4")


def test_the_tabs_and_the_line_go_by_keyboard(open_mock):
    tab = open_mock("music")
    tab.wait_for_selector("#write .bar")
    order = ["write", "way", "attention", "cache", "music", "parameters"]
    tab.locator("#tab-write").focus()
    for view in [*order[1:], "write"]:  # round and round
        tab.keyboard.press("ArrowRight")
        assert tab.locator(":focus").get_attribute("id") == f"tab-{view}"
        assert tab.locator("[role=tabpanel]:visible").get_attribute("id") == view
        assert tab.locator("[role=tab][tabindex='0']").count() == 1
    tab.keyboard.press("End")
    assert tab.locator("[role=tabpanel]:visible").get_attribute("id") == "parameters"
    assert tab.url.endswith("#parameters")
    tab.keyboard.press("Home")

    tab.get_by_role("button", name="One token").click()
    tab.wait_for_function("() => document.querySelectorAll('#write .tokens .token').length === 2")
    line = tab.locator("#write [role=listbox]")
    line.focus()
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function(
        "() => document.querySelector('#write .tokens .token').getAttribute('aria-selected') === 'true'"
    )
    assert line.get_attribute("aria-activedescendant") == tab.locator("#write .tokens .token").first.get_attribute("id")


NAMELESS = """() => [...document.querySelectorAll(
  "[role=tabpanel]:not([hidden]) :is(button, input, select, textarea, canvas, [tabindex='0'])")].filter((node) =>
  !node.closest("[aria-hidden], [hidden]") && !node.getAttribute("aria-label") && !node.textContent.trim()
  && ![...(node.labels ?? [])].some((label) => label.textContent.trim())).map((node) => node.outerHTML)"""


@pytest.mark.parametrize("task", ["translation", "music"])
def test_everything_that_can_be_used_has_a_name(open_mock, write, task):
    from playwright.sync_api import TimeoutError  # noqa: PLC0415 (where there is no browser, this is skipped)

    tab = open_mock(task)
    write(tab)
    assert tab.locator("[role=tab]").count() >= 4
    for view in tab.locator("[role=tab]").all():
        view.click()
        tab.wait_for_timeout(300)
        with suppress(TimeoutError):  # a busy machine may draw the view later
            tab.wait_for_function(f"() => !({NAMELESS})().length")
        assert tab.evaluate(NAMELESS) == []


def test_markup_in_a_text_stays_text(open_mock):
    tab = open_mock("translation")
    tab.get_by_label("A sentence to translate").fill(MARKUP)
    tab.get_by_role("button", name="Read it").click()
    tab.wait_for_function("() => document.querySelector('#write .tokens .token').textContent.includes('<')")
    for view in tab.locator("[role=tab]").all():
        view.click()
        tab.wait_for_timeout(300)
        assert tab.locator("main img, main b, main script").count() == 0
    assert "taken" not in tab.title()


def test_markup_in_a_vocabulary_and_in_a_decoder_s_name_stays_text(open_mock, write):
    hostile = 'Object.assign(mock("text"), { hostile: mock.length })'
    engines = f"((e) => {{ e.about.name = '<b>x</b>'; e.names[3] = '<img src=x>'; return e; }})({hostile})"
    tab = open_mock("text", engines=engines)
    write(tab)
    for view in tab.locator("[role=tab]").all():
        view.click()
        tab.wait_for_timeout(300)
        assert tab.locator("body b, body img").count() == 0
    assert tab.locator("#decoder").inner_text().startswith("<b>x</b>")


def test_what_cannot_be_read_gets_a_message_and_leaves_the_line(open_mock):
    tab = open_mock("translation")
    tab.wait_for_selector("#write .tokens .token")
    tokens = tab.locator("#write .tokens .token").count()
    text, message = tab.get_by_label("A sentence to translate"), tab.locator("#write .message")
    for wrong, said in {"": "The text is empty", "word " * 2000: "longer than the decoder's 1,024 positions"}.items():
        text.fill(wrong)
        tab.get_by_role("button", name="Read it").click()
        message.get_by_text(said).or_(message.filter(has_text=said)).wait_for()
        assert tab.locator("#write .tokens .token").count() == tokens
    text.fill("The dog sleeps.")
    tab.get_by_role("button", name="Read it").click()
    message.wait_for(state="hidden")


@pytest.mark.parametrize("view", ["write", "music"])
def test_a_wrong_file_gets_a_message(open_mock, tmp_path, view):
    tab = open_mock("music", view=view)
    panel = tab.locator(f"#{view}")
    panel.get_by_label("Job").select_option(label="continue a primer")
    panel.get_by_role("button", name="Begin anew").click()
    panel.locator(".message", has_text="Choose a MIDI file first").wait_for()
    text, large = tmp_path / "notes.mid", tmp_path / "large.mid"
    text.write_text("no music at all")
    with large.open("wb") as file:
        file.truncate(100_000_000)
    panel.get_by_label("MIDI file").set_input_files(text)
    panel.locator(".message", has_text="This is no MIDI file").wait_for()
    panel.get_by_label("MIDI file").set_input_files(large)
    panel.locator(".message", has_text="large.mid has 100.0 MB").wait_for()


def test_a_page_without_a_first_input_waits_for_one(open_mock):
    engines = "((e) => { e.about.examples = []; e.about.needsInput = true; return e; })(mock('translation'))"
    tab = open_mock("translation", engines=engines)
    tab.get_by_label("A sentence to translate").wait_for()
    assert tab.get_by_role("button", name="Write", exact=True).is_disabled()
    tab.locator("#tab-attention").click()
    tab.locator("#attention").get_by_text("There is no line yet").wait_for()
    tab.locator("#tab-write").click()
    tab.get_by_label("A sentence to translate").fill("The dog sleeps.")
    tab.get_by_role("button", name="Read it").click()
    tab.locator("#write .bar").first.wait_for()


def test_a_page_that_cannot_be_opened_says_why(open_mock, open_file):
    tab = open_mock("text", engines="(() => { throw new Error('The weights are cut off.'); })()")
    tab.locator("main .message", has_text="The weights are cut off.").wait_for()
    tab.wait_for_timeout(100)
    assert any("cut off" in said for said in open_file.complaints)
    open_file.complaints.clear()


def test_music_is_written_shown_played_and_saved(open_mock, write):
    tab = open_mock("music", view="music", beside="{ relative: 64 }")
    panel = tab.locator("#music")
    panel.get_by_label("Seconds").fill("5")
    panel.get_by_label("Seconds").press("Enter")
    write(tab, "music")
    assert "notes, 0:0" in panel.locator(".now").inner_text()
    assert panel.get_by_text("relative attention").count() == 1  # the second run's picture
    panel.locator(".roll canvas").first.focus()
    tab.keyboard.press("End")
    panel.get_by_text("looks most at").nth(1).wait_for()
    for head in range(1, 5):
        panel.get_by_role("checkbox", name=str(head), exact=True).uncheck()
    panel.get_by_text("these heads look at no earlier note").first.wait_for()

    tab.keyboard.press("Home")
    panel.get_by_role("button", name="Play", exact=True).click()
    panel.locator(".cursor").first.wait_for(state="visible")
    panel.get_by_role("button", name="Stop playing").click()
    panel.locator(".cursor").first.wait_for(state="hidden")
    with tab.expect_download() as download:
        panel.get_by_role("button", name="Save as MIDI").click()
    panel.get_by_role("button", name="Play", exact=True).click()
    panel.locator(".cursor").first.wait_for(state="visible")
    panel.get_by_role("button", name="Begin anew").click()
    panel.locator(".cursor").first.wait_for(state="hidden")
    panel.get_by_role("button", name="Play", exact=True).wait_for()
    assert download.value.suggested_filename == "outputs-music.mid"
    assert download.value.path().read_bytes()[:4] == b"MThd"


def test_a_midi_file_can_be_dropped(open_mock):
    tab = open_mock("music", view="music")
    tab.wait_for_selector("#music form")
    dropped = tab.evaluate_handle(
        "() => { const data = new DataTransfer();"
        " data.items.add(new File([new Uint8Array([77, 84, 104, 100])], 'primer.mid')); return data; }"
    )
    tab.locator("#music form").dispatch_event("drop", {"dataTransfer": dropped})
    tab.locator("#music .file-name", has_text="primer.mid").wait_for()
    tab.wait_for_function(
        "() => /^[1-9]/.test(document.querySelector('#music .now').textContent)"
    )  # the primer's notes


def test_write_writes_for_what_is_in_the_form(open_mock, write):
    tab = open_mock("translation")
    write(tab)
    text, go = tab.get_by_label("A sentence to translate"), tab.locator("#write button.strong")
    assert go.is_disabled()  # the line is whole
    text.fill("A cat sings.")
    write(tab)
    line = tab.locator("#write .tokens .token").all_inner_texts()
    assert line[:5] == ["A", "·cat", "·sings", ".", "<|to-de|>"] and len(line) > 5
    text.fill("A cat sleeps.")
    tab.get_by_role("button", name="One token").click()
    tab.locator("#write .tokens .token", has_text="sleeps").wait_for()
    assert tab.locator("#write .tokens .written").count() == 1


@pytest.mark.parametrize("view", ["write", "music"])
def test_write_asks_for_the_file_that_the_job_needs(open_mock, view):
    tab = open_mock("music", view=view)
    panel = tab.locator(f"#{view}")
    panel.get_by_label("Job").select_option(label="accompany a melody")
    panel.get_by_role("button", name="Write", exact=True).click()
    panel.locator(".message", has_text="Choose a MIDI file first").wait_for()
    tab.locator("#tab-write").click()
    assert tab.locator("#write .tokens .token").all_inner_texts() == ["<|compose|>"]


def test_both_views_of_music_know_the_job_and_the_file(open_mock, tmp_path):
    tab = open_mock("music")
    melody = tmp_path / "melody.mid"
    melody.write_bytes(b"MThd")
    tab.locator("#write").get_by_label("MIDI file").set_input_files(melody)
    tab.locator("#write .token", has_text="<|continue|>").first.wait_for()  # a file is given to the job that needs one
    tab.locator("#tab-music").click()
    panel = tab.locator("#music")
    job = panel.get_by_label("Job")
    chosen = "each => each.selectedOptions[0].text"
    assert job.evaluate(chosen) == "continue a primer"
    assert panel.locator(".file-name").inner_text() == "melody.mid"
    job.select_option(label="accompany a melody")
    panel.get_by_role("button", name="Begin anew").click()
    tab.locator("#tab-write").click()
    tab.locator("#write .token", has_text="<|accompany|>").first.wait_for()
    assert tab.locator("#write").get_by_label("Job").evaluate(chosen) == "accompany a melody"


def test_with_a_file_nothing_is_composed_from_nothing(open_mock, tmp_path):
    tab = open_mock("music")
    primer = tmp_path / "primer.mid"
    primer.write_bytes(b"MThd")
    panel = tab.locator("#write")
    job = panel.get_by_label("Job")
    assert "compose from nothing" in job.inner_text()
    panel.get_by_label("MIDI file").set_input_files(primer)
    panel.locator(".file-name", has_text="primer.mid").wait_for()
    assert "compose on from the file" in job.inner_text() and "from nothing" not in job.inner_text()
    panel.get_by_role("button", name="Without the file").click()
    assert panel.locator(".file-name").inner_text() == "" and "compose from nothing" in job.inner_text()
