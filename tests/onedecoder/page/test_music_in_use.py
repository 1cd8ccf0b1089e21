"""Music in use: what is heard and said is of the notes that are shown."""

GIVEN = "mock('music', { length: 400 })"  # a line of 400 tokens, of which none is to be written


def test_a_note_of_the_roll_before_is_no_note_of_a_shorter_line(open_held, write):
    short = "((engine) => { engine.script.length = 45; return engine; })(mock('music'))"
    tab = open_held(short)
    tab.get_by_label("Draw at random").uncheck()
    write(tab)
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
    tab.wait_for_function("() => held.length")
    roll.press("End")
    says.evaluate("node => node.replaceChildren()")
    tab.evaluate("release()")
    says.filter(has_text="look at no earlier note").wait_for()
    roll.press("End")
    says.filter(has_text="looks most at").wait_for()


def test_what_is_said_of_a_note_is_of_its_own_arcs(open_held):
    tab = open_held(GIVEN, view="music")
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
    tab.wait_for_function("() => held.length")
    roll.press("Home")
    tab.evaluate("release()")
    tab.wait_for_function("() => said.length === 2")
    assert tab.evaluate("said") == [last, first]


def test_a_note_whose_arcs_come_late_is_in_sight_when_the_roll_is_opened_again(open_held):
    tab = open_held(GIVEN, view="music")
    says = tab.locator("#music .hint[role=status]")
    says.filter(has_text="Choose a note.").wait_for()
    tab.get_by_label("Width of a second").fill("240")
    tab.evaluate("hold('attention')")
    tab.locator("#music .roll canvas").press("End")
    tab.wait_for_function("() => held.length")
    tab.locator("#tab-write").click()
    tab.evaluate("release()")
    says.filter(has_text="looks most at").wait_for(state="attached")
    tab.locator("#tab-music").click()
    tab.wait_for_function("() => document.querySelector('#music .roll').scrollLeft > 0")


def test_what_plays_ends_with_its_line_in_every_view(open_mock):
    tab = open_mock("music", "{ length: 400 }", view="music")
    tab.locator("#music .hint", has_text="Choose a note.").wait_for()
    tab.evaluate(
        """() => {
          const { disconnect } = AudioNode.prototype;
          AudioNode.prototype.disconnect = function () {
            globalThis.isSilent = true;
            disconnect.call(this);
          };
        }"""
    )
    tab.locator("#music").get_by_role("button", name="Play", exact=True).click()
    tab.locator("#tab-write").click()
    tab.locator("#write .tokens .token").first.click()
    tab.locator("#write").get_by_role("button", name="Begin anew").click()
    tab.locator("#write .tokens .token:last-child[aria-selected=true]").wait_for()  # as in every line that is begun
    assert tab.evaluate("globalThis.isSilent")


def test_a_run_beside_is_asked_for_the_heads_that_it_has(open_mock):
    smaller = """((engine) => {
      const { trace } = engine;
      engine.about.config = { ...engine.about.config, heads: 2 };
      engine.trace = async (...given) => {
        const seen = await trace(...given), attention = seen.attention.bind(seen);
        seen.attention = async (layer, head) => {
          if (head > 1) throw new Error(`There is no head ${head}.`);
          return attention(layer, head);
        };
        return seen;
      };
      return engine;
    })(GIVEN)""".replace("GIVEN", GIVEN)
    tab = open_mock("music", engines=f"{GIVEN}, {smaller}", view="music")
    says = tab.locator("#music .hint[role=status]")
    says.first.filter(has_text="Choose a note.").wait_for()
    tab.locator("#music .roll canvas").first.press("End")
    says.nth(1).filter(has_text="looks most at").wait_for()
