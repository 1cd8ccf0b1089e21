"""The forward pass in JavaScript beside PyTorch's, on the weights that a page holds."""

import json

import numpy as np
import pytest
import torch

from onedecoder.about import data
from onedecoder.counts import counts
from onedecoder.engine import Engine
from onedecoder.export import exported
from onedecoder.tensors import pack
from onedecoder.trace import Trace
from shared.model.quantized import rounded
from tests.onedecoder.quantised import with_quantised_weights

AGREED = 1e-3

READ = """
import { LocalEngine } from "onedecoder/engine/local.js";
const engine = new LocalEngine(data.page), { layers, heads } = engine.about.config;
const { ids, context } = data;
const trace = await engine.trace(ids, context);
result = { next: [], logits: [], attention: [], mean: [], heads: [], vectors: {} };
result.lens = await trace.lens(ids.length - 1);
for (let length = Math.max(context, 1); length <= ids.length; length++) {
  result.next.push((await engine.next(ids.slice(0, length), context)).logits); // over kept keys and values
}
for (let place = 0; place < ids.length; place++) result.logits.push(await trace.logits(place));
for (let layer = 0; layer < layers; layer++) {
  result.mean.push(await trace.attention(layer, "mean"));
  for (let head = 0; head < heads; head++) {
    result.attention.push(await trace.attention(layer, head));
    result.heads.push(await trace.head(layer, head, data.place));
  }
}
for (const name of data.vectors) {
  result.vectors[name] = [];
  for (let layer = 0; layer < layers; layer++) result.vectors[name].push(await trace.vectors(name, layer, data.place));
}
"""
VECTORS = (
    *("token_embedding", "position_embedding", "input", "ln_1", "q", "k", "v", "mixed", "attention_output"),
    *("residual_1", "ln_2", "up", "gelu", "down", "residual_2", "final"),
)


@pytest.fixture
def line(decoder):
    """Tokens that fill most of the context, the first third of them given."""
    size, length = decoder.model.config.vocab_size, decoder.model.context - 8
    return np.random.default_rng(0).integers(0, size, length).tolist(), length // 3


@pytest.fixture
def read(decoder, javascript, line):
    """What JavaScript says of the line."""
    ids, context = line
    page = json.loads(exported(decoder))
    return javascript(READ, {"page": page, "ids": ids, "context": context, "vectors": VECTORS, "place": context + 3})


@pytest.fixture
def trace(decoder, line):
    """What PyTorch says of it, with the same weights."""
    return Trace(with_quantised_weights(decoder.model), *line, decoder.names)


def test_javascript_computes_what_pytorch_computes(read, trace, line, numbers):
    ids, context = line
    logits = trace["logits"]
    assert np.ptp(logits) > 1, "scores that hardly differ would show nothing"
    np.testing.assert_allclose(numbers(read["logits"]), logits, atol=AGREED)
    np.testing.assert_allclose(numbers(read["next"]), logits[context - 1 :], atol=AGREED)

    layers, heads = trace.model.config.n_layer, trace.model.config.n_head
    shape = (layers, heads, len(ids), len(ids))
    weights = np.stack([trace[f"h.{layer}.weights"] for layer in range(layers)])
    np.testing.assert_allclose(numbers(read["attention"]).reshape(shape), weights, atol=AGREED)
    np.testing.assert_allclose(numbers(read["mean"]).reshape(layers, *shape[2:]), weights.mean(1), atol=AGREED)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_every_step_of_a_block_agrees(read, trace, line, numbers):
    place = line[1] + 3
    for layer in range(trace.model.config.n_layer):
        for name in VECTORS:
            key = name if name in trace else f"h.{layer}.{name}"
            expected = trace[key]
            row = expected[:, place].ravel() if expected.ndim == 3 else expected[place]
            np.testing.assert_allclose(numbers(read["vectors"][name][layer]), row, atol=AGREED, err_msg=key)


def test_the_filing_cabinet_of_a_head_agrees(read, trace, line, numbers):
    place, heads = line[1] + 3, trace.model.config.n_head
    for number, found in enumerate(read["heads"]):
        layer, head = divmod(number, heads)
        of = {name: trace[f"h.{layer}.{name}"][head] for name in ("q", "k", "v", "scores", "weights")}
        np.testing.assert_allclose(numbers(found["q"]), of["q"][place], atol=AGREED)
        np.testing.assert_allclose(numbers(found["k"]), of["k"].ravel(), atol=AGREED)
        np.testing.assert_allclose(numbers(found["v"]), of["v"].ravel(), atol=AGREED)
        np.testing.assert_allclose(numbers(found["scores"]), of["scores"][place], atol=AGREED)
        np.testing.assert_allclose(numbers(found["weights"]), of["weights"][place], atol=AGREED)
        width = len(found["q"])
        mixed = trace[f"h.{layer}.mixed"][place, head * width : (head + 1) * width]
        np.testing.assert_allclose(numbers(found["mixed"]), mixed, atol=AGREED)
        if trace.model.config.relative_attention:
            expected = trace[f"h.{layer}.relative"][head, place]
            np.testing.assert_allclose(numbers(found["relative"]), expected, atol=AGREED)
        else:
            assert found["relative"] is None


def test_the_logit_lens_agrees(read, trace):
    for found, expected in zip(read["lens"], trace.lens(len(trace.ids) - 1), strict=True):
        assert [one["p"] for one in found["top"]] == pytest.approx([share for _, share in expected], abs=AGREED)


def test_a_line_that_changes_is_read_anew_from_there(translator, javascript, numbers):
    page = json.loads(exported(translator))
    code = """
    import { LocalEngine } from "onedecoder/engine/local.js";
    const used = new LocalEngine(data.page), fresh = () => new LocalEngine(data.page);
    result = [];
    for (const [ids, context] of data.lines) {
      result.push([(await used.next(ids, context)).logits, (await fresh().next(ids, context)).logits]);
    }
    """
    lines = [([5, 6, 7, 8], 2), ([5, 6, 7, 8, 9], 2), ([5, 6, 9], 2), ([5], 1), ([8, 8, 8, 8, 8, 8], 3)]
    for used, fresh in javascript(code, {"page": page, "lines": lines}):
        np.testing.assert_allclose(numbers(used), numbers(fresh), atol=1e-5)


@pytest.mark.parametrize(("sliding", "name"), [(True, "language_modeling"), (False, "translation")])
def test_writing_past_the_context_slides_where_the_task_does(sliding, name, decoders, javascript):
    decoder = decoders[name]
    context = decoder.model.context
    code = """
    import { windowStart } from "onedecoder/engine/local.js";
    const start = (length) => {
      try { return windowStart(length, data.context, data.sliding); } catch { return "end"; }
    };
    result = data.lengths.map(start);
    """
    lengths = [1, context - 1, context, context + 5, context + context // 2, 2 * context + 3]
    starts = javascript(code, {"lengths": lengths, "context": context, "sliding": sliding})
    assert starts[:2] == [0, 0]
    if not sliding:
        assert set(starts[2:]) == {"end"}
        return
    # As `generate` does: the latter half is kept, and grows until the context is full.
    start, expected = 0, []
    for length in range(1, lengths[-1] + 1):
        if length - start == context:
            start = length - context // 2
        expected.append(start)
    assert starts == [expected[length - 1] for length in lengths]


def test_a_prompt_is_the_line_that_python_makes(decoders, javascript):
    code = """
    import { LocalEngine } from "onedecoder/engine/local.js";
    const engine = new LocalEngine(data.page);
    result = [];
    for (const text of data.texts) result.push(await engine.prompt({ text }));
    """
    texts = ["  The small dog sleeps. \n", "dog " * 100, "Zürich <|to-de|> <|endoftext|>", "a\u2003\x85b"]
    for name in ("translation", "summarization", "language_modeling"):
        decoder = decoders[name]
        for text, found in zip(
            texts, javascript(code, {"page": json.loads(exported(decoder)), "texts": texts}), strict=True
        ):
            expected = decoder.prompt(text)
            assert found == Engine(decoder).prompt(text)
            assert found["ids"] == list(expected.context)
            assert expected.cut == (found["read"]["of"] - found["read"]["count"] if found["read"] else 0)


def test_counts_grow_with_the_line_and_far_faster_without_a_cache(translator, javascript):
    code = 'import { counts } from "onedecoder/engine/counts.js"; result = counts(data, 10);'
    config = data(translator, "int8")["config"]
    found = javascript(code, config)
    per_token = 12 * config["layers"] * config["width"] ** 2
    head = config["vocabulary"] * config["width"]
    pairs = 2 * config["layers"] * config["width"]
    assert found["withCache"] == [per_token + pairs * step + head for step in range(1, 11)]
    assert found["withoutCache"][9] == 10 * per_token + 55 * pairs + head


@pytest.mark.parametrize("name", ["translation", "music"])
def test_multiplications_are_counted_alike_and_more_with_relative_attention(decoders, javascript, name):
    """By hand for a line of two tokens: 12 D² and two or three D for each place seen, in every block; the head once."""
    model, code = (
        decoders[name].model,
        """
    import { counts } from "onedecoder/engine/counts.js";
    result = counts(data.config, 20);
    """,
    )
    with_cache, without_cache = counts(model, 20)
    config, width, head = model.config, model.config.n_embd, model.config.vocab_size * model.config.n_embd
    matrices, seen = 12 * width**2 * config.n_layer, (3 if name == "music" else 2) * width * config.n_layer
    assert with_cache[1] == matrices + 2 * seen + head
    assert without_cache[1] == 2 * matrices + 3 * seen + head
    found = javascript(code, {"config": data(decoders[name], "int8")["config"]})
    assert (found["withCache"], found["withoutCache"]) == (with_cache, without_cache)


def test_types_of_tensors_are_read_as_they_were_written(javascript, numbers):
    rng = np.random.default_rng(0)
    arrays = {
        "small": ("int8", rng.normal(size=(3, 5))),
        "half": ("float16", np.array([0.0, -2.5, 1e-7, 65504.0, -np.inf, 3.14159])),
        "full": ("float32", rng.normal(size=(2, 2, 2))),
        "nothing": ("int8", np.zeros((2, 4))),
    }
    packed = pack(arrays)
    code = """
    import { bytesOf, tensorsOf } from "onedecoder/engine/weights.js";
    result = tensorsOf(data.tensors, bytesOf(data.weights));
    """
    found = javascript(code, {"tensors": packed.tensors, "weights": packed.base64})
    expected = {
        "small": rounded(torch.from_numpy(arrays["small"][1].astype(np.float32))).dequantized().numpy(),
        "half": arrays["half"][1].astype(np.float16),
        "full": arrays["full"][1].astype(np.float32),
        "nothing": np.zeros((2, 4)),
    }
    for name, array in expected.items():
        assert found[name]["shape"] == list(array.shape)
        np.testing.assert_allclose(numbers(found[name]["data"]), array.ravel(), rtol=1e-6)


def test_the_page_has_its_turn_between_computations_long_and_short(javascript):
    """Twenty short ones in a row, then a long one of twenty parts, each part five milliseconds long."""
    code = """
    import { inSlices } from "onedecoder/engine/slices.js";
    let turns = 0, running = true;
    const turn = () => { turns++; if (running) setImmediate(turn); };
    setImmediate(turn);
    function* busy(parts) {
      for (let part = 0; part < parts; part++) {
        for (const end = performance.now() + 5; performance.now() < end; );
        yield;
      }
      return parts;
    }
    const returned = [];
    for (let i = 0; i < 20; i++) returned.push(await inSlices(busy(1)));
    const short = turns;
    returned.push(await inSlices(busy(20)));
    running = false;
    result = { short, long: turns - short, returned };
    """
    found = javascript(code)
    assert found["returned"] == [1] * 20 + [20]
    assert found["short"] >= 5 and found["long"] >= 5
