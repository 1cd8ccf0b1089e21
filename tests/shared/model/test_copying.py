"""Copy attention: the loss is that of the whole distribution, packed rows are as their lines alone, and it copies."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shared.errors import UserError
from shared.generation.ensemble import Ensemble
from shared.model import copying as module
from shared.model.arguments import ModelArguments
from shared.model.build import load_decoder
from shared.model.copying import log_likelihood
from shared.model.start import build_decoder
from tests.shared.model.test_decoder import alone, batch_of, logits_of, places

WIDTH = 5


@pytest.fixture
def copying(new_decoder):
    """Makes decoders that copy much."""

    def new(**changes):
        decoder = new_decoder(copy_attention=WIDTH, **changes)
        nn.init.normal_(decoder.copying.gate.weight)
        nn.init.zeros_(decoder.copying.gate.bias)
        return decoder

    return new


def by_hand(decoder, ids):
    """The distribution after each of `ids`, place by place, as the papers write it."""
    states = decoder.hidden_states(torch.tensor([ids]))[0]
    head = decoder.copying
    rows = []
    for place, state in enumerate(states):
        written = decoder.lm_head(state).softmax(-1)
        copied, gate = torch.zeros_like(written), head.gate(state).sigmoid()
        keys = [head.key(states[0])[:WIDTH]]
        keys += [head.key(states[j])[:WIDTH] + head.key(states[j - 1])[WIDTH:] for j in range(1, place + 1)]
        scores = torch.stack(keys) @ head.query(state) / WIDTH**0.5
        for j, weight in enumerate(scores.softmax(-1)):
            copied[ids[j]] += weight
        rows.append((1 - gate) * written + gate * copied)
    return torch.stack(rows)


def test_the_distribution_is_the_papers(copying):
    decoder, ids = copying(dtype=torch.float64), [3, 7, 3, 9, 7, 3]
    with torch.no_grad():
        found, expected = decoder.packed_logits(torch.tensor([ids]))[0], by_hand(decoder, ids)
    torch.testing.assert_close(found.exp(), expected)
    torch.testing.assert_close(expected.sum(-1), torch.ones(len(ids), dtype=torch.float64))


@pytest.mark.parametrize("chunk", [2**23, 1000, 1], ids=str)
@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_the_loss_and_its_gradients_are_those_of_the_whole_distribution(copying, sequences, monkeypatch, chunk, mask):
    monkeypatch.setitem(module.CHUNK, "cpu", chunk)
    decoder, batch = copying(dtype=torch.float64, mask=mask).train(), batch_of(sequences)
    whole = decoder.packed_logits(batch["input_ids"], batch["prefix"], batch["position_ids"])[:, :-1]
    losses = [decoder(**batch).loss, F.nll_loss(whole.flatten(0, 1), batch["labels"][:, 1:].flatten())]
    gradients = [torch.autograd.grad(loss, list(decoder.parameters())) for loss in losses]
    assert all(gradient.any() for gradient in gradients[0])
    for own, expected in zip(*([loss, *found] for loss, found in zip(losses, gradients, strict=True)), strict=True):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_a_packed_row_gives_each_line_what_it_gives_alone(copying, sequences, mask):
    decoder = copying(mask=mask)
    logits = logits_of(decoder, batch_of(sequences))
    for (row, columns), (ids, context) in zip(places(sequences), sequences, strict=True):
        torch.testing.assert_close(logits[row, columns], alone(decoder, ids, context), atol=1e-5, rtol=0)
    other = logits_of(decoder, batch_of(sequences, padding=17))
    for row, columns in places(sequences):
        assert torch.equal(logits[row, columns], other[row, columns])


def test_places_that_fill_a_batch_up_cost_nothing(copying, sequences):
    decoder, batch = copying(), batch_of(sequences)
    more = {**batch, "target_positions": torch.cat([batch["target_positions"], torch.tensor([1, 2])])}
    assert (batch["labels"].flatten()[[1, 2]] < 0).all()
    torch.testing.assert_close(decoder(**more).loss, decoder(**batch).loss)


def test_a_fresh_head_leaves_a_decoder_nearly_as_it_was(new_decoder):
    decoder, ids = new_decoder(spread=0.02), torch.randint(1, 24, (1, 12))
    before = decoder.packed_logits(ids).log_softmax(-1)
    decoder.add_copy_attention(WIDTH)
    after = decoder.packed_logits(ids)
    assert not torch.allclose(after, before)
    shares = decoder.copying.gate(decoder.hidden_states(ids)).sigmoid()
    assert (shares < 0.13).all()


def test_it_learns_to_copy_what_no_vocabulary_could_know(new_decoder):
    """Lines of tokens drawn anew, said twice: with copy attention, the second time is known after a few steps."""
    torch.manual_seed(0)
    losses = {}
    for width in (0, 16):
        decoder = new_decoder(vocab_size=60, spread=0.02, copy_attention=width).train()
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
        for _ in range(60):
            once = torch.stack([torch.randperm(59)[:8] + 1 for _ in range(16)])
            ids = torch.cat([once, once], 1)
            batch = batch_of([(line, 9) for line in ids.tolist()], pack_length=16)
            loss = decoder(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[width] = loss.item()
    assert losses[16] < losses[0] / 2


def test_an_ensemble_scores_as_the_mean_of_its_distributions(copying, new_decoder, sequences):
    both, batch = Ensemble([copying(seed=1), new_decoder(seed=2)]), batch_of(sequences)
    with torch.no_grad():
        whole = both.packed_logits(batch["input_ids"], batch["prefix"], batch["position_ids"])[:, :-1]
        expected = F.nll_loss(whole.flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum")
        torch.testing.assert_close(both(**batch).loss, expected)


def test_a_label_that_is_ignored_breaks_nothing(copying):
    decoder = copying()
    ids = torch.randint(1, 24, (1, 6))
    labels = torch.full_like(ids, -100)
    states = decoder.hidden_states(ids)
    known = log_likelihood(decoder.copying, decoder.lm_head.weight, states, ids, None, labels, torch.tensor([1, 3]))
    assert known.isfinite().all()


def test_trained_weights_get_a_head_that_copies_and_keep_it(task, vocabulary, new_decoder, tmp_path):
    new_decoder(len(vocabulary.tokens)).save_pretrained(tmp_path / "plain")
    vocabulary.save(tmp_path / "plain")
    rows = task.load_rows(task.arguments)["train"]

    def built(folder, width):
        model = ModelArguments(model_name_or_path=str(tmp_path / folder), max_length=40, copy_attention=width)
        return build_decoder(type(task), task.arguments, rows, model, seed=0)[0]

    decoder = built("plain", WIDTH).eval()
    decoder.save_pretrained(tmp_path / "copying")
    vocabulary.save(tmp_path / "copying")
    for again in (built("copying", 0), built("copying", WIDTH), load_decoder(str(tmp_path / "copying"))):
        assert again.config.copy_attention == WIDTH
        assert torch.equal(again.copying.query.weight, decoder.copying.query.weight)
        ids = torch.arange(1, 9)[None]
        assert torch.equal(again.eval().packed_logits(ids), decoder.packed_logits(ids))
    with pytest.raises(UserError, match=r"--copy_attention 7: that of .* has the width 5"):
        built("copying", 7)


def test_a_width_is_a_number_of_something():
    with pytest.raises(UserError, match=r"--copy_attention is -1: give 0 to 10,000"):
        ModelArguments(copy_attention=-1).check(has_source=True)


def test_in_bfloat16_the_loss_is_nearly_the_same(copying, sequences):
    decoder, batch = copying(spread=0.05), batch_of(sequences)
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder(**batch).loss
    assert half.dtype == torch.float32
    half.backward()
    assert all(weight.grad.isfinite().all() for weight in decoder.parameters())
    torch.testing.assert_close(half, decoder(**batch).loss, atol=0.02, rtol=0)
