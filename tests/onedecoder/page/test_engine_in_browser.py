"""Both engines where they are used: in a browser, in an exported page and in one that a server sent."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from onedecoder.engine import Engine
from onedecoder.export import export, export_recorded, exported
from onedecoder.melody import offered
from onedecoder.trace import Trace
from tasks.midi.codec import one_piano, save
from tests.onedecoder.quantised import with_quantised_weights

AGREED = 1e-3
READ = """async ({ page, ids, context }) => {
  const { LocalEngine } = await import("onedecoder/engine/local.js");
  const engine = new LocalEngine(page), { layers, heads } = page.about.config;
  const next = (await engine.next(ids, context)).logits, trace = await engine.trace(ids, context), attention = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) attention.push(...(await trace.attention(layer, head)));
  }
  return { next: Array.from(next), attention };
}"""


@pytest.fixture
def exported_page(open_file, translator, tmp_path):
    return open_file(export([translator], tmp_path / "page.html"))


def test_chromium_computes_what_pytorch_computes(decoder, exported_page):
    length = decoder.model.context - 8
    ids = np.random.default_rng(3).integers(0, decoder.model.config.vocab_size, length).tolist()
    data = {"page": json.loads(exported(decoder)), "ids": ids, "context": length // 3}
    found = exported_page.evaluate(READ, data)
    trace = Trace(with_quantised_weights(decoder.model), ids, length // 3, decoder.names)
    np.testing.assert_allclose(found["next"], trace["logits"][-1], atol=AGREED)
    weights = np.stack([trace[f"h.{layer}.weights"] for layer in range(decoder.model.config.n_layer)])
    np.testing.assert_allclose(np.reshape(found["attention"], weights.shape), weights, atol=AGREED)


def test_the_exported_page_writes_what_python_writes(open_file, write, translator, tmp_path):
    """Greedily, on the quantised weights; the line on the page is the line in Python."""
    same = copy.copy(translator)
    same.model = with_quantised_weights(translator.model)
    trace = same.trace("The small dog sleeps.")
    tab = open_file(export([translator], tmp_path / "page.html", ["The small dog sleeps."]))
    write(tab)
    shown = [name.strip() for name in tab.locator("#write .token").all_text_contents()]
    assert [name for name in trace.names if name in shown] and len(shown) >= len(trace.names)
    assert shown[: len(trace.names)] == [name.strip() for name in trace.names]


WRITING = """async () => {
  const go = document.querySelector("#write button.strong");
  go.click();
  while (go.textContent === "Write") await new Promise(requestAnimationFrame);
  while (go.textContent === "Stop") await new Promise(requestAnimationFrame);
  return document.querySelectorAll("#write .tokens .written").length;
}"""


def test_a_demo_s_page_writes_by_itself_and_its_speed_is_told(
    open_file, on_one_core, demo_sized, tmp_path, record_property
):
    """On one core, with all that is drawn for each token. The figure is reported (`pytest -s`)."""
    tab = open_file(export([demo_sized], tmp_path / "page.html", ["The small dog sleeps."]))
    tab.get_by_label("Pace").select_option(label="as fast as it goes")
    tab.locator("#write .bar").first.wait_for()
    tokens, seconds = on_one_core(tab, WRITING)
    rate = tokens / seconds
    record_property("tokens_per_second", rate)
    print(f"\n{demo_sized.model.num_parameters():,} parameters: {tokens} tokens at {rate:.0f} a second")
    assert tokens > 50


def test_the_language_to_write_is_chosen_on_the_page(open_file, both_ways, tmp_path):
    text = "The small dog sleeps."
    tab = open_file(export([both_ways], tmp_path / "page.html", [text]))
    into = tab.get_by_label("Into")
    for number, (name, code) in enumerate({"German": "de", "English": "en"}.items()):
        into.select_option(label=name)
        tab.locator("#write .tokens .token", has_text=f"<|to-{code}|>").wait_for()
        line = both_ways.prompt(text, target_lang=code).context
        shown = tab.locator("#write .tokens .token").all_text_contents()
        assert [name.strip() for name in shown] == [both_ways.names[index].strip() for index in line]
        assert Engine(both_ways).prompt(text, number)["ids"] == list(line)  # and behind a server


HOSTILE = "</script><img src=x onerror=alert(1)> & <b>bold</b>"


def test_wrong_texts_get_a_message_from_the_engine_itself(open_file, write, translator, tmp_path):
    tab = open_file(export([translator], tmp_path / "page.html", ["The small dog sleeps."]))
    text, read = tab.get_by_label("A sentence to translate"), tab.get_by_role("button", name="Read it")
    tab.locator("#write .token").first.wait_for()
    before = tab.locator("#write .tokens .token").count()
    text.fill(" \n ")
    read.click()
    tab.locator("#write .message", has_text="There is nothing to write for").wait_for()
    assert tab.locator("#write .tokens .token").count() == before
    text.fill("dog " * 200)
    read.click()
    tab.locator(
        "#write .note",
        has_text="Only the first 31 of 400 tokens are read: the rest of the 64 positions is for writing.",
    ).wait_for()
    text.fill(HOSTILE)
    read.click()
    tab.locator("#write .token", has_text="<").first.wait_for()
    write(tab)
    for button in tab.locator("[role=tab]").all():
        button.click()
        tab.wait_for_timeout(200)
        assert tab.locator("main :is(img, b, script)").count() == 0


def test_wrong_files_get_a_message_from_the_engine_itself(open_file, composer, tmp_path):
    tab = open_file(export([composer], tmp_path / "page.html"), view="music")
    panel = tab.locator("#music")
    panel.get_by_label("Job").select_option(label="continue a primer")
    wrong = {
        "renamed.mid": b"A text, which somebody has renamed.",
        "empty.mid": b"",
        "cut.mid": b"MThd\0\0\0\6\0\1\0\1",
    }
    for name, content in wrong.items():
        (tmp_path / name).write_bytes(content)
        panel.get_by_label("MIDI file").set_input_files(tmp_path / name)
        panel.locator(".message", has_text="MIDI file").wait_for()
        tab.wait_for_function(
            "() => !document.querySelector('#music .file-name').textContent"
        )  # it is not the chosen one


def test_what_of_a_file_is_read_is_said(open_file, composer, tmp_path):
    """Of a primer the end, of a melody the first segment."""
    path = tmp_path / "song.mid"
    notes = np.array([[100 * each, 100 * each + 80, 60 + each % 5, 80] for each in range(60)])
    save(one_piano(*notes.T), path)
    tab = open_file(export([composer], tmp_path / "page.html"))
    panel = tab.locator("#write")
    panel.get_by_label("Job").select_option(label="continue a primer")
    panel.get_by_label("MIDI file").set_input_files(path)
    said = "Only the last 31 of 299 events are read: the rest of the 64 positions is for writing."
    panel.locator(".note", has_text=said).wait_for()
    panel.get_by_label("Job").select_option(label="accompany a melody")
    panel.get_by_role("button", name="Write", exact=True).click()
    said = "The first 15 s of 59.8 s are accompanied here; recipes/generate.py accompanies whole songs."
    panel.locator(".note", has_text=said).wait_for()


def test_the_melody_that_the_page_offers_is_accompanied(open_file, composer, tmp_path):
    tab = open_file(export([composer], tmp_path / "page.html"), view="music")
    tab.locator("#music").get_by_role("button", name="or take a melody").click()
    tab.locator("#music .file-name").filter(has_text=offered(composer)["name"]).wait_for()
    tab.locator("#tab-write").click()
    tab.locator("#write .token", has_text="<|accompany|>").first.wait_for()


def test_a_recorded_page_replays_what_was_written(open_file, write, translator, tmp_path):
    """Though the decoder draws at random, and though a visitor presses another token."""
    drawing = copy.copy(translator)
    drawing.generation = replace(translator.generation, do_sample=True, temperature=1.5)
    tab = open_file(export_recorded([drawing], tmp_path / "page.html", ["The small dog sleeps."]))
    assert tab.get_by_label("Draw at random").is_checked()
    write(tab)
    shown = tab.locator("#write .tokens .token")
    line = [name.strip() for name in shown.all_text_contents()]
    trace = drawing.trace("The small dog sleeps.", max_new_tokens=drawing.generation.max_new_tokens)
    assert line == [name.strip() for name in trace.names]
    assert tab.locator("#write .message").is_hidden() and tab.get_by_role("button", name="One token").is_disabled()
    tab.locator("#write ol.bars:visible .bar:not(.chosen)").first.click()
    tab.locator("#write .message", has_text="This page is a recording").wait_for()
    assert [name.strip() for name in shown.all_text_contents()] == line


@pytest.fixture
def address(serving, decoders):
    with serving([decoders["translation"]], ["The small dog sleeps."]) as port:
        yield f"http://127.0.0.1:{port}/"


def test_the_served_page_works_under_its_policy(browser, address, write):
    context = browser.new_context()
    tab, complaints, asked = context.new_page(), [], []
    tab.on("console", lambda said: said.type in {"error", "warning"} and complaints.append(said.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("response", lambda got: got.ok or complaints.append(f"{got.url}: {got.text()} {got.request.post_data}"))
    tab.goto(address)
    tab.wait_for_selector("main [role=tab]")
    write(tab)
    for name in ("Attention", "A token's way", "Kept keys and values", "The parameters"):
        tab.get_by_role("tab", name=name).click()
        tab.wait_for_timeout(300)
    context.close()
    assert not complaints
    assert all(url.startswith(address) or url.startswith("data:") for url in asked)


def test_a_composition_that_the_limit_ends_says_so(open_file, write, decoders, tmp_path):
    """And the end token that had to come stands among the bars, however unlikely it was."""
    composer = copy.copy(decoders["music with lengths"])
    composer.generation = replace(composer.generation, max_new_tokens=12, do_sample=False)  # drawn, it may end earlier
    tab = open_file(export([composer], tmp_path / "page.html"))
    write(tab)
    tab.get_by_text("Ended at the page's limit of 12 tokens.").wait_for()
    end = tab.locator("#write .tokens .token").last
    assert end.inner_text() == "<|endoftext|>"
    end.click()
    tab.get_by_text("Where “<|endoftext|>” was written").wait_for()
    assert tab.locator("#write ol.bars:visible .bar").count() == 10
    assert tab.locator("#write ol.bars:visible .bar.chosen .name").inner_text() == "<|endoftext|>"
    tab.locator("#tab-music").click()
    tab.locator("#music .now", has_text="ended at the page's limit of 12 tokens").wait_for()
