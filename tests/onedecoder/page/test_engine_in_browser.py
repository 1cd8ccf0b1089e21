"""Both engines where they are used: in a browser, in an exported page and in one that a server sent."""

import copy
import json

import numpy as np
import pytest

from onedecoder.export import export, export_recorded, exported
from onedecoder.tensors import with_quantised_weights
from onedecoder.trace import Trace

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
    trace = Trace(with_quantised_weights(copy.deepcopy(decoder.model)), ids, length // 3, decoder.names)
    np.testing.assert_allclose(found["next"], trace["logits"][-1], atol=AGREED)
    weights = np.stack([trace[f"h.{layer}.weights"] for layer in range(decoder.model.config.n_layer)])
    np.testing.assert_allclose(np.reshape(found["attention"], weights.shape), weights, atol=AGREED)


def test_the_exported_page_writes_what_python_writes(open_file, write, translator, tmp_path):
    """Greedily, on the quantised weights; the line on the page is the line in Python."""
    same = copy.copy(translator)
    same.model = with_quantised_weights(copy.deepcopy(translator.model))
    trace = same.trace("The small dog sleeps.")
    tab = open_file(export([translator], tmp_path / "page.html", ["The small dog sleeps."]))
    write(tab)
    shown = [name.strip() for name in tab.locator("#write .token").all_text_contents()]
    assert [name for name in trace.names if name in shown] and len(shown) >= len(trace.names)
    assert shown[: len(trace.names)] == [name.strip() for name in trace.names]


def test_a_recorded_page_opens(open_file, write, translator, tmp_path):
    tab = open_file(export_recorded([translator], tmp_path / "page.html", ["The small dog sleeps."]))
    write(tab)
    assert tab.locator("#write .token.written").count() > 0


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
