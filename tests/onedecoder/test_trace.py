"""What a trace says, beside a computation by hand."""

import copy
import math

import numpy as np
import pytest
import torch


def by_hand(model, ids, context):
    """Attention weights of the first layer [H, T, T], number by number, from the weights alone."""
    config, block = model.config, model.transformer.h[0]
    states = model.transformer.wte.weight[ids] + model.transformer.wpe(torch.arange(len(ids)))
    mean, variance = states.mean(-1, keepdim=True), states.var(-1, unbiased=False, keepdim=True)
    normed = (states - mean) / torch.sqrt(variance + config.layer_norm_epsilon) * block.ln_1.weight + block.ln_1.bias
    query, key, _ = (normed @ block.attn.c_attn.weight + block.attn.c_attn.bias).split(config.n_embd, -1)
    width = config.n_embd // config.n_head
    relative = getattr(block.attn, "relative", None)
    weights = torch.zeros(config.n_head, len(ids), len(ids))
    for head in range(config.n_head):
        of_head = slice(head * width, (head + 1) * width)
        for t in range(len(ids)):
            seen = max(t + 1, context if config.mask == "prefix" and t < context else 0)
            scores = []
            for j in range(seen):
                towards = key[j, of_head].clone()
                if relative is not None:
                    towards += relative[head, min(max(t - j, 0), relative.shape[1] - 1)]
                scores.append(float(query[t, of_head] @ towards) / math.sqrt(width))
            largest = max(scores)
            shares = [math.exp(score - largest) for score in scores]
            weights[head, t, :seen] = torch.tensor(shares) / sum(shares)
    return weights.numpy()


@pytest.fixture
def trace(decoder):
    ids = np.random.default_rng(0).integers(0, decoder.model.config.vocab_size, 24).tolist()
    return decoder.trace_ids(ids, 9)


def test_attention_is_what_one_computes_by_hand(trace):
    with torch.no_grad():
        expected = by_hand(trace.model, trace.ids, trace.context)
    np.testing.assert_allclose(trace["h.0.weights"], expected, atol=1e-5)


def test_rows_sum_to_one_and_hide_what_the_mask_hides(trace):
    hidden = ~trace.visible.numpy()
    for layer in range(trace.model.config.n_layer):
        weights, scores = trace[f"h.{layer}.weights"], trace[f"h.{layer}.scores"]
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        assert not weights[:, hidden].any() and np.isneginf(scores[:, hidden]).all()
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        np.testing.assert_allclose(weights, shares / shares.sum(-1, keepdims=True), atol=1e-5)


def test_the_steps_add_up_to_the_decoders_own_logits(trace):
    np.testing.assert_allclose(trace["h.0.input"], trace["token_embedding"] + trace["position_embedding"], atol=1e-5)
    for layer in range(trace.model.config.n_layer):
        of = {name.split(".")[2]: trace[name] for name in trace if name.startswith(f"h.{layer}.")}
        mixed = np.einsum("hqk,hkw->qhw", of["weights"], of["v"]).reshape(of["mixed"].shape)
        np.testing.assert_allclose(of["mixed"], mixed, atol=1e-4)
        np.testing.assert_allclose(of["residual_1"], of["input"] + of["attention_output"], atol=1e-4)
        np.testing.assert_allclose(of["residual_2"], of["residual_1"] + of["down"], atol=1e-4)
    prefix = torch.arange(len(trace.ids))[None] < trace.context
    with torch.no_grad():
        logits = trace.model.packed_logits(torch.tensor([trace.ids]), prefix)[0]
        written = trace.model.lm_head(torch.from_numpy(trace["final"][7])).softmax(-1)  # before anything is copied
    np.testing.assert_allclose(trace["logits"], logits, atol=1e-4)
    last = trace.lens(7, count=1)[-1][0]
    assert last == (int(written.argmax()), pytest.approx(float(written.max()), abs=1e-5))


def test_what_is_copied_and_what_is_written_are_the_decoders_own_distribution(decoders):
    trace = decoders["translation copying"].trace_ids([5, 6, 7, 5, 9, 7, 5], 4)
    gate, weights = trace["copy.gate"], trace["copy.weights"]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert not weights[np.triu_indices(7, 1)].any()
    with torch.no_grad():
        shares = trace.model.lm_head(torch.from_numpy(trace["final"])).softmax(-1).numpy() * (1 - gate[:, None])
    for place, token in enumerate(trace.ids):
        shares[:, token] += gate * weights[:, place]
    np.testing.assert_allclose(shares, np.exp(trace["logits"]), atol=1e-5)


def test_looking_leaves_the_decoder_as_it_was(translator):
    model, before = translator.model, copy.deepcopy(translator.model.state_dict())
    trace = translator.trace("The small dog sleeps.")
    trace["h.0.weights"]
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert model.transformer.h[0].attn.config._attn_implementation == "onedecoder"


def test_a_trace_is_a_mapping_of_arrays(translator, tmp_path):
    trace = translator.trace("The small dog sleeps.", write=False)
    assert trace.names[-1] == "<|to-de|>" and len(trace) == len([*trace])
    assert {name: array.dtype for name, array in trace.items()} == dict.fromkeys(trace, np.float32)
    assert "h.0.relative" not in trace and "h.2.input" not in trace
    with pytest.raises(KeyError):
        trace["h.9.weights"]
    trace.save(tmp_path / "line.npz")
    with np.load(tmp_path / "line.npz") as saved:
        np.testing.assert_array_equal(saved["h.1.weights"], trace["h.1.weights"])
        assert saved["ids"].tolist() == trace.ids


def test_a_line_longer_than_the_context_is_looked_into_at_its_end(decoders):
    decoder = decoders["language_modeling"]
    trace = decoder.trace_ids([*range(100)], 50)
    assert trace.ids == [*range(36, 100)] and trace.context == 14
