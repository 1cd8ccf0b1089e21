"""The listening page as a listener uses it: by mouse, by keyboard, on a phone; answers kept, saved and counted."""

import wave
from itertools import combinations

import numpy as np
import pytest

from onedecoder.listening import drawn_pairs, read_answers, wins, write_page

SOURCES = ["runs/obvious", "the test's own pieces"]
NAMELESS = "() => [...document.querySelectorAll('button')].filter((button) => !button.textContent.trim()).length"


@pytest.fixture
def heard(open_file, tmp_path):
    """Open a page of two sources, heard twice, of short recordings."""
    pairs = drawn_pairs(len(SOURCES), 2, seed=0)
    recordings = [[tmp_path / f"{source}-{number}.wav" for number in range(2)] for source in range(2)]
    for source, own in enumerate(recordings):
        for number, path in enumerate(own):
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8_000)
                samples = np.sin(np.arange(40_000) * (0.1 + 0.1 * source + 0.05 * number)) * 3_000
                file.writeframes(samples.astype("<i2").tobytes())
    path = write_page(tmp_path / "page.html", SOURCES, pairs, recordings, "Which one?")
    return lambda **settings: open_file(path, **settings)


def test_a_pair_is_played_answered_and_told_in_the_end(heard, tmp_path):
    tab = heard()
    assert "obvious" not in tab.content()
    assert tab.evaluate(NAMELESS) == 0
    assert tab.get_by_role("button", name="First").is_disabled()
    for number in (1, 2):
        for player in ("Play 1", "Play 2"):
            tab.get_by_role("button", name=player).click()
            tab.get_by_role("button", name=player.replace("Play", "Stop")).wait_for()
        tab.get_by_role("button", name="Play 1").wait_for()  # which the second has stopped
        tab.get_by_text(f"Pair {number} of 2").wait_for()
        tab.get_by_role("button", name="First").click()
    tab.get_by_role("heading", name="Who made them").wait_for()
    cells = tab.locator("table.wins tbody tr").first.locator("th, td").all_inner_texts()
    with tab.expect_download() as saving:
        tab.get_by_role("button", name="Save the answers").click()
    saving.value.save_as(tmp_path / "answers.json")
    assert "obvious" not in (tmp_path / "answers.json").read_text()
    (answers,) = read_answers([tmp_path / "answers.json"])
    assert answers.choices == ["first", "first"] and saving.value.suggested_filename.startswith("answers-")
    assert wins([answers]) == [dict(zip(tab.locator("thead th").all_inner_texts(), cells, strict=True))]

    tab.reload()  # the browser keeps them
    tab.get_by_role("heading", name="Who made them").wait_for()
    tab.get_by_role("button", name="Back").click()
    assert tab.get_by_role("button", name="First").get_attribute("aria-pressed") == "true"
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.get_by_role("button", name="Next").click()
    tab.get_by_role("button", name="Begin anew").click()
    tab.get_by_text("Pair 1 of 2").wait_for()
    assert tab.get_by_role("button", name="Save the answers").is_disabled()


def test_it_goes_by_keyboard(heard):
    tab = heard()
    assert tab.locator(":focus").inner_text() == "Play 1"
    tab.keyboard.press("ArrowLeft")  # before both are heard, nothing
    assert tab.get_by_text("Pair 1 of 2").is_visible()
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Stop 1").wait_for()
    tab.keyboard.press("2")
    tab.get_by_role("button", name="Stop 2").wait_for()
    tab.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', repeat: true }))")
    assert tab.get_by_text("Pair 1 of 2").is_visible()  # a key that is held answers nothing
    tab.keyboard.press("ArrowDown")
    tab.get_by_text("Pair 2 of 2").wait_for()
    tab.keyboard.press("1")
    tab.keyboard.press("2")
    tab.locator(".choices button:enabled").first.wait_for()
    tab.keyboard.press("ArrowRight")
    tab.get_by_role("heading", name="Who made them").wait_for()
    assert "1" in tab.locator("table.wins tbody td").nth(2).inner_text()  # can't tell, once


def test_a_piece_that_is_stopped_before_it_sounds_is_no_fault_of_the_browser(heard):
    tab = heard()
    for key in "1212":
        tab.keyboard.press(key)
    tab.get_by_role("button", name="Stop 2").wait_for()
    assert not any(tab.locator(".heard .note").all_inner_texts())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone(heard, theme):
    tab = heard(width=360, height=640, color_scheme=theme, has_touch=True, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate("document.documentElement.dataset.theme") == theme
    boxes = [button.bounding_box() for button in tab.locator(".heard button, .choices button").all()]
    assert all(box["height"] >= 44 for box in boxes)  # a thumb's width
    for one, other in combinations(boxes, 2):
        assert one["x"] + one["width"] <= other["x"] or one["y"] + one["height"] <= other["y"]
