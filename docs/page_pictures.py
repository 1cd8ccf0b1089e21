"""The gallery's pictures of the page, `explore-*.png`, taken anew from the pages of a demo.

make demo
python docs/page_pictures.py outputs/demo outputs/gallery        # needs chromium, as the tests of the page do
"""

import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

SENTENCE = "Today the waiter should eat a delicious pizza."
WORD = "white"  # of the first article's summary: the one whose source is shown
MARGIN = 20  # pixels around a part of a page
PHONE, PART = 390, 960  # pixels wide: a whole page, and one of which a part is taken
EARLIER = 12  # notes before the last: the one whose arcs are shown
PATIENCE = 120_000  # milliseconds to write a piece


def main(demo: Path, gallery: Path) -> None:
    """Write the pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        translation(opened(browser, demo / "translation"), gallery)
        phone = opened(browser, demo / "translation", width=PHONE)
        write(phone, SENTENCE)
        look_at(phone, "2", "2", "Kellner")
        whole(phone, gallery / "explore-phone.png")
        summary = opened(browser, demo / "summarization", width=PART)
        write(summary)
        look_at(summary, "3", "copy", WORD)
        part(summary, written_from(summary), gallery / "explore-summary.png")
        music(opened(browser, demo / "music", width=PART, scheme="dark"), gallery)
        browser.close()


def translation(tab: Page, gallery: Path) -> None:
    """The pictures of a translation: how it was written, a token's way, and attention."""
    write(tab, SENTENCE)
    whole(tab, gallery / "explore-write.png")
    tab.locator("#tab-way").click()
    tab.locator("#way .way .strip").first.wait_for()
    whole(tab, gallery / "explore-way.png")
    look_at(tab, "2", "2", "Kellner")
    whole(tab, gallery / "explore-attention.png")
    tab.set_viewport_size({"width": PART, "height": 900})
    part(tab, written_from(tab), gallery / "explore-links.png")


def music(tab: Page, gallery: Path) -> None:
    """The roll of a composition, with the arcs of a note late in it."""
    tab.locator("#tab-music").click()
    panel = tab.locator("#music")
    panel.get_by_label("Seconds").fill("20")
    panel.get_by_role("button", name="Write", exact=True).click()
    panel.get_by_text(re.compile(r"notes, 0:2\d")).wait_for(timeout=PATIENCE)
    roll = panel.locator(".roll").first
    roll.locator("canvas").press("End")
    for _ in range(EARLIER):
        roll.locator("canvas").press("ArrowLeft")
    part(tab, roll.locator(".."), gallery / "explore-music.png")


def opened(browser: Browser, run: Path, width: int = 1280, scheme: str = "light") -> Page:
    """The page of a run."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(f"file://{(run / 'page.html').absolute()}")
    tab.get_by_label("Pace").select_option(label="as fast as it goes")
    return tab


def write(tab: Page, text: str = "") -> None:
    """Let a page write for a text, or for its first example."""
    if text:
        tab.get_by_label("A sentence to translate").fill(text)
    tab.locator("#write").get_by_role("button", name="Write", exact=True).click()
    tab.get_by_text("The end token is written").wait_for(timeout=PATIENCE)


def look_at(tab: Page, layer: str, head: str, word: str) -> None:
    """Show one head's attention, and what a word was written from."""
    tab.locator("#tab-attention").click()
    panel = tab.locator("#attention")
    segment(panel, "Layer", layer)
    segment(panel, "Head", head)
    joined = panel.get_by_label("Join subwords to words")
    if not joined.is_checked():
        press(joined)
    press(written_from(tab).get_by_role("button", name=word).first)


def segment(panel: Locator, label: str, choice: str) -> None:
    """Choose one of the numbers that stand behind a label."""
    press(panel.get_by_role("group", name=label).get_by_text(choice, exact=True))


def press(what: Locator) -> None:
    """Click, also on what the bar of tabs hides at the moment."""
    what.evaluate("node => node.click()")


def written_from(tab: Page) -> Locator:
    """The part of the page that links written words to those that they were written from."""
    return tab.get_by_role("heading", name="What each word was written from").locator("..")


def whole(tab: Page, path: Path) -> None:
    """Take all of a page."""
    tab.evaluate("scrollTo(0, 0)")  # the bar of tabs goes along
    tab.wait_for_timeout(500)  # what is drawn last
    tab.screenshot(path=path, full_page=True, animations="disabled")


def part(tab: Page, what: Locator, path: Path) -> None:
    """Take a part of a page, with a margin."""
    tab.wait_for_timeout(500)
    what.scroll_into_view_if_needed()
    top = tab.evaluate("scrollY")
    if box := what.bounding_box():
        sides = {"x": box["x"] - MARGIN, "y": box["y"] + top - MARGIN}
        size = {"width": box["width"] + 2 * MARGIN, "height": box["height"] + 2 * MARGIN}
        tab.screenshot(path=path, full_page=True, clip={**sides, **size}, animations="disabled")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
