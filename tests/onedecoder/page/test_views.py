"""Every view, in both themes and on a laptop's and a phone's width, shows what it says and nothing complains."""

import re

import pytest

from onedecoder.export import export

VIEWS = {
    "translation": ["write", "way", "attention", "cache", "parameters"],
    "summarization": ["write", "way", "attention", "cache", "parameters"],
    "text": ["write", "way", "attention", "cache", "parameters"],
    "music": ["write", "way", "attention", "cache", "music", "parameters"],
}
ARTICLE = re.compile(r"https://jalammar\.github\.io/illustrated-gpt2/#:~:text=[^-]+$")  # a section, by a text fragment
SHOWN = {
    "write": ".bar:visible",
    "way": ".way .strip",
    "attention": ".folder .strip",
    "cache": ".chart .curve",
    "music": ".roll canvas",
    "parameters": ".parameters tfoot",
}


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("task", VIEWS)
def test_every_view_shows_itself_and_names_its_section_of_the_article(open_mock, write, task, width, theme):
    tab = open_mock(task, width=width, color_scheme=theme)
    assert tab.locator("html").get_attribute("data-theme") == theme
    write(tab)
    assert tab.locator("[role=tab]").count() == len(VIEWS[task])
    for view in VIEWS[task]:
        tab.locator(f"#tab-{view}").click()
        tab.locator(f"#{view} {SHOWN[view]}").first.wait_for()
        assert ARTICLE.match(tab.locator(f"#{view} .source a").first.get_attribute("href"))
        assert tab.locator(f"#{view} .message").is_hidden()
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the window"


def test_a_view_that_is_left_before_its_answer_comes_is_drawn_when_it_is_opened_again(open_held, write):
    """A picture of attention has no room in a hidden panel: what came for it there was drawn backwards, and failed."""
    tab = open_held("mock('translation')")
    write(tab)
    tab.evaluate("hold('attention')")
    tab.locator("#tab-attention").click()
    tab.wait_for_function("() => held.length")
    tab.locator("#tab-way").click()
    tab.evaluate("release()")
    tab.locator("#way .way .strip").first.wait_for()
    tab.locator("#tab-attention").click()
    readout = tab.locator("#attention .matrix-box .readout")
    tab.wait_for_function("document.querySelector('#attention .matrix-box .readout').textContent")
    before = readout.inner_text()
    box = tab.locator("#attention canvas.matrix").bounding_box()
    tab.mouse.move(box["x"] + 110, box["y"] + 110)  # the first row and column begin behind the names
    assert "gives 100 % to" in readout.inner_text() != before


@pytest.mark.parametrize(
    "name",
    [
        *("translation", "summarization relative", "language_modeling", "chorales"),
        *("music", "music with lengths", "music on change"),
    ],
)
def test_every_view_of_a_real_decoder_shows_itself(open_file, write, decoders, tmp_path, name):
    texts = ["The small dog sleeps."] if name in {"translation", "summarization relative"} else []
    tab = open_file(export([decoders[name]], tmp_path / "page.html", texts))
    view = "music" if tab.locator("#tab-music").count() else "write"
    tab.locator(f"#tab-{view}").click()
    tab.locator(f"#{view} button.strong").wait_for()
    write(tab, view)
    views = [button.get_attribute("aria-controls") for button in tab.locator("[role=tab]").all()]
    assert {"write", "way", "attention"} <= {*views}
    for each in views:
        tab.locator(f"#tab-{each}").click()
        tab.locator(f"#{each} {SHOWN[each]}").first.wait_for()
        assert tab.locator(f"#{each} .message").is_hidden()


def test_the_theme_can_be_changed_and_motion_is_left_out_where_it_is_not_wanted(open_mock):
    tab = open_mock("translation", color_scheme="dark", reduced_motion="reduce")
    tab.wait_for_selector(".bar")
    assert tab.evaluate("getComputedStyle(document.querySelector('.track .full')).transitionDuration") == "0s"
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.get_by_role("button", name="Use the light theme").click()
    assert tab.locator("html").get_attribute("data-theme") == "light"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_a_link_to_a_view_shows_its_tab_on_a_phone(open_mock):
    tab = open_mock("translation", view="parameters", width=390)
    tab.wait_for_function(
        """() => {
          const { left, right } = document.querySelector("#tab-parameters").getBoundingClientRect();
          return left >= 0 && right <= innerWidth;
        }"""
    )


def test_paper_is_light_and_holds_the_open_view_without_its_controls(open_mock, write):
    light = open_mock("music").evaluate("getComputedStyle(document.body).backgroundColor")
    tab = open_mock("music", color_scheme="dark")
    write(tab)
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == light
    for selector in (".tabs", "#theme", "#write .prompt", "#write .sampling", "#write button.strong"):
        assert tab.locator(selector).first.is_hidden()
    for selector in ("#decoder", "#write h2", "#write .tokens .written", "#write .bars:visible .bar"):
        assert tab.locator(selector).first.is_visible()
    tab.evaluate("location.hash = 'music'")
    roll, canvas = (tab.locator(f"#music {part}").first.bounding_box() for part in (".roll", ".roll canvas"))
    assert canvas["width"] <= roll["width"]  # all of the piece


def test_a_token_is_followed_from_its_embeddings_to_the_scores(open_mock, write):
    tab = open_mock("translation", view="way")
    tab.locator("#tab-write").click()
    write(tab)
    tab.locator("#tab-way").click()
    tab.locator("#way .token", has_text="Heute").click()
    tab.locator("#way .way").first.get_by_text("“Heute”").wait_for()
    names = tab.locator("#way .block .strip-name").all_inner_texts()
    assert len(names) == 13
    assert any("c_proj [128 × 128]" in name for name in names)
    assert tab.locator("#way .block .strip-shape", has_text="[512]").count() == 2  # out to four times, and gelu
    assert "“·soll” follows" in tab.locator("#way").inner_text()
    assert tab.locator("#way .lens tr").count() == 4


def test_what_is_copied_is_shown_beside_what_is_scored(open_mock, write):
    tab = open_mock("summarization", "{ copy: 64 }")
    assert "copy attention" in tab.locator("#decoder").inner_text()
    write(tab)
    tab.locator("#tab-way").click()
    way = tab.locator("#way")
    way.locator(".token", has_text="known").last.click()
    way.get_by_text("Copied: 75.0 %, most from").wait_for()
    assert way.locator(".named-strip", has_text="pointed at").count() == 1
    written, last = way.locator(".bar"), way.locator(".lens tr").last
    assert "with copying" in last.inner_text()  # the lens ends with what the bars show
    assert last.locator("td span").first.inner_text() == written.first.locator(".name").inner_text()
    assert last.locator("td small").first.inner_text() == written.first.locator(".number").inner_text()

    tab.locator("#tab-attention").click()
    tab.locator("#attention .segments label", has_text="copy").click()
    tab.locator(".matrix[aria-label*='Copy attention']").wait_for()
    tab.locator("#attention .cabinet").wait_for(state="hidden")
    tab.locator("#attention .shaded").first.wait_for()
    tab.locator("#tab-cache").click()
    tab.locator("#cache .chart .curve").first.wait_for()


@pytest.mark.parametrize("view", ["way", "attention"])
def test_a_written_line_is_looked_at_before_its_end(open_mock, write, view):
    tab = open_mock("translation")
    write(tab)
    tab.locator(f"#tab-{view}").click()
    chosen, note = tab.locator(f"#{view} .tokens [aria-selected=true]"), tab.get_by_text("This token ends the line.")
    chosen.wait_for()
    assert chosen.inner_text() == "." and note.is_hidden()
    tab.locator(f"#{view} .token", has_text="<|endoftext|>").click()
    note.locator("visible=true").wait_for()


def test_the_filing_cabinet_sums_to_one_and_hides_what_is_to_come(open_mock, write):
    tab = open_mock("translation", view="write")
    write(tab)
    tab.locator("#tab-attention").click()
    tab.locator("#attention .token", has_text="Heute").click()
    tab.get_by_text("The weights sum to 1.000").wait_for()
    assert "−∞" in tab.locator("#attention .hidden-one").first.inner_text()
    shares = [float(re.sub("[^0-9.]", "", text)) for text in tab.locator(".folder-weight").all_inner_texts()]
    assert 90 < sum(shares) <= 101  # the twelve strongest
    tab.locator(".folder-name", has_text="Heute").click()
    assert "Their sum is" in tab.locator("#attention .inside").inner_text()


def test_subwords_are_joined_to_words_and_words_are_linked(open_mock, write):
    tab = open_mock("translation")
    write(tab)
    tab.locator("#tab-attention").click()
    tab.locator("#attention .links .written button").first.wait_for()
    tokens = tab.locator("#attention .links .written button").count()
    tab.get_by_label("Join subwords to words").check()
    tab.locator("#attention .links .written button", has_text="Kellner").click()
    assert tab.locator("#attention .links .written button").count() == tokens - 2  # Kell·ner, köst·liche
    assert tab.locator("#attention .link.chosen").count() > 0
    tab.locator("#attention .links [aria-pressed=true]").wait_for()
    # Found and read in one go: the view may draw its words anew between the two.
    colours = """() => {
        const style = getComputedStyle(document.querySelector("#attention .links [aria-pressed=true]"));
        return [style.color, style.backgroundColor];
    }"""
    hovered = tab.evaluate(colours)  # it was just clicked
    tab.mouse.move(0, 0)
    assert tab.evaluate(colours) == hovered
    tab.locator("#attention .segments label", has_text="mean").click()
    tab.locator(".matrix[aria-label*='mean of the heads']").wait_for()
    assert tab.locator("#attention .link").count() > 0
    assert tab.locator(".matrix").get_attribute("aria-label").endswith("zoom.")


def test_an_article_is_shaded_by_what_a_word_of_the_summary_looks_at(open_mock, write):
    tab = open_mock("summarization")
    write(tab)
    tab.locator("#tab-attention").click()
    tab.locator("#attention .shaded.written button", has_text="known").click()
    tab.get_by_text("“·known” was written looking mostly at").wait_for()
    assert tab.locator("#attention .shaded:not(.written) span").count() > 50
    assert tab.locator("#attention .links").is_hidden()


def test_the_counts_of_kept_keys_and_values_follow_the_step(open_mock, write):
    tab = open_mock("translation")
    write(tab)
    tab.locator("#tab-cache").click()
    tab.locator("#cache .figure").first.wait_for()
    slider = tab.get_by_label("Token that is read")
    slider.fill("0")
    tab.get_by_text("as many for all 1 steps").wait_for()
    assert tab.locator("#cache .figure").nth(2).inner_text().startswith("1.0 ×")  # nothing is kept yet
    slider.press("End")
    tab.get_by_text("as many for all 23 steps").wait_for()
    assert tab.locator("#cache .token.is-new").inner_text() == "<|endoftext|>"


def test_the_parameters_add_up(open_mock):
    tab = open_mock("translation", view="parameters")
    tables = tab.locator("#parameters table")
    number = lambda text: int(text.replace(",", ""))  # noqa: E731
    sums = tables.nth(0).locator("tbody td:nth-child(5)").all_inner_texts()
    assert sum(map(number, sums)) == number(tables.nth(0).locator("tfoot td:nth-child(5)").inner_text())
    assert "124,439,808" in tables.nth(1).locator("tfoot").inner_text()


LITTLE_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (name) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = name;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [red, green, blue], alpha: alpha / 255 };
  };
  const over = (top, alpha, bottom) => bottom.map((channel, i) => top[i] * alpha + channel * (1 - alpha));
  const linear = (channel) => (channel <= 10 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const isText = (node) => node.offsetParent && !node.closest("[hidden], canvas, svg, :disabled")
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  return [...document.querySelectorAll("body *")].filter(isText).flatMap((node) => {
    const around = [];
    for (let each = node; each; each = each.parentElement) around.unshift(getComputedStyle(each));
    const paper = around.reduce((below, { backgroundColor }) => {
      const { rgb, alpha } = colour(backgroundColor);
      return over(rgb, alpha, below);
    }, [255, 255, 255]);
    const opacity = around.reduce((product, style) => product * style.opacity, 1), ink = colour(around.at(-1).color);
    const shades = [paper, over(ink.rgb, ink.alpha * opacity, paper)].map(luminance).sort((a, b) => b - a);
    const contrast = (shades[0] + 0.05) / (shades[1] + 0.05);
    return contrast < 4.5 ? [`${node.className}: ${contrast.toFixed(2)} ${node.textContent.slice(0, 20)}`] : [];
  });
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_background(open_mock, write, theme):
    """By 4.5 to 1 at least, as WCAG 2 (AA) asks; what cannot be used, and what the mask hides, may be pale."""
    tab = open_mock("translation", color_scheme=theme)
    write(tab)
    for view in VIEWS["translation"]:
        tab.locator(f"#tab-{view}").click()
        tab.locator(f"#{view} {SHOWN[view]}").first.wait_for()
        if view == "cache":
            tab.get_by_label("Token that is read").press("End")
        pale = [one for one in tab.evaluate(LITTLE_CONTRAST) if not one.startswith(("token is-to-come", "folder"))]
        assert not pale, view
