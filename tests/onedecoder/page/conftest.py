"""The page in a headless Chromium, with an engine of invented numbers. Whatever it complains of fails the test.

Chromium is Debian's (`apt-get install chromium`); Playwright only drives it, and downloads nothing.
"""

import base64
import shutil
from pathlib import Path

import pytest

from onedecoder import page

MOCK = Path(__file__).with_name("mock_engine.js")
OFFLINE = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
START = """<script type="module">
import {{ start }} from "onedecoder/views/app.js";
import {{ mock }} from "data:text/javascript;base64,{mock}";
start(async () => [{engines}]);
</script>"""

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


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    sync_playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'"
    ).sync_playwright
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=OFFLINE)
        yield running
        running.close()


@pytest.fixture
def open_file(browser):
    """Open a file as a visitor would: `open_file(path, width=390, color_scheme="dark")`. No request may leave it."""
    complaints, contexts = [], []

    def opened(path, width=1280, height=900, view="", **settings):
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        context.set_default_timeout(60_000)  # of a machine on which much else runs
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda said: said.type in {"error", "warning"} and complaints.append(said.text))
        tab.on("pageerror", lambda error: complaints.append(f"{error}\n{error.stack}"))
        tab.on("request", lambda asked: asked.url.startswith("http") and complaints.append(f"asked for {asked.url}"))
        tab.goto(f"file://{path}{view and '#'}{view}")
        tab.wait_for_selector("main [role=tab], main .message, main .pair")
        return tab

    opened.complaints = complaints
    yield opened
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def open_mock(open_file, tmp_path):
    """The same with an invented engine: `open_mock("music", "{ length: 1024 }")`, or two of them side by side."""

    def opened(task, options="{}", beside=None, engines=None, **settings):
        mocks = engines or ", ".join(f'mock("{task}", {given})' for given in (options, beside) if given)
        start = START.format(mock=base64.b64encode(MOCK.read_bytes()).decode(), engines=mocks)
        path = tmp_path / "page.html"
        path.write_text(page.whole([], "decoder").replace(page.START, start), encoding="utf-8")
        return open_file(path, **settings)

    return opened


@pytest.fixture
def open_held(open_mock):
    """Open an engine whose answers can be held back, as a slow one's come late: `open_held("mock('music')")`."""
    return lambda engine, **settings: open_mock("", engines=f"{HELD}({engine})", **settings)


@pytest.fixture
def on_one_core():
    """Evaluate JavaScript in a page: what it gives, and the seconds that the page's thread computed for it.

    Time on the wall would measure what else the machine is doing.
    """

    def evaluated(tab, code):
        devtools = tab.context.new_cdp_session(tab)
        devtools.send("Performance.enable")

        def seconds():
            metrics = devtools.send("Performance.getMetrics")["metrics"]
            return next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime")

        before = seconds()
        return tab.evaluate(code), seconds() - before

    return evaluated


@pytest.fixture
def write():
    """Let the page write until it stops by itself."""

    def written(tab, view="write"):
        button = tab.locator(f"#{view} button.strong")
        if view == "write":
            tab.get_by_label("Pace").select_option(label="as fast as it goes")
        done = "#write .tokens .written" if view == "write" else f"#{view} .now"
        told = f"[...document.querySelectorAll('{done}')].map((each) => each.textContent).join()"
        before = tab.evaluate(told)
        button.click()
        # Before it has begun, the button says the same as at the end. Then the last answers are waited for.
        tab.wait_for_function(
            f"before => document.querySelector('#{view} button.strong').textContent === 'Write' && {told} !== before"
            f" && !document.querySelector('#{view}.waits')",
            arg=before,
        )

    return written
