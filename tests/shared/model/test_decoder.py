import json
import logging
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from shared.data.packing import PackedDataset, collate
from shared.data.sequence import IGNORED
from shared.errors import UserError
from shared.model import build as module
from shared.model.build import SIZES, load_decoder
from shared.model.masks import dense_mask
from tests.shared.conftest import LENGTHS

ROW = 16


def packed(sequences, pack_length=ROW, padding=0, loss_on="target"):
    rows = [{"input_ids": ids, "context": context, "length": len(ids)} for ids, context in sequences]
    return PackedDataset(Dataset.from_list(rows), pack_length, padding, loss_on)


def batch_of(sequences, **changes):
    rows = packed(sequences, **changes)
    return collate([rows[index] for index in range(len(rows))])


@torch.no_grad()
def logits_of(decoder, batch):
    return decoder.packed_logits(batch["input_ids"], batch["prefix"], batch.get("position_ids"))


def places(sequences, **changes):
    """Row and columns of every sequence, in the order given."""
    found = {}
    for number, row in enumerate(packed(sequences, **changes).rows):
        start = 0
        for index in row:
            found[index] = (number, slice(start, start + len(sequences[index][0])))
            start = found[index][1].stop
    return [found[index] for index in range(len(sequences))]


def alone(decoder, ids, context):
    """Logits of one sequence in a row that it fills."""
    return logits_of(decoder, batch_of([(ids, context)], pack_length=len(ids)))[0]


def test_a_token_sees_what_stands_before_it_in_its_own_sequence():
    mask = dense_mask(torch.tensor([[0, 1, 2, 0, 1, 0]]))
    assert mask.shape == (1, 1, 6, 6)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_with_a_prefix_the_context_is_seen_by_its_whole_sequence():
    prefix = torch.tensor([[True, True, False, True, True, False]])
    assert dense_mask(torch.tensor([[0, 1, 2, 0, 1, 2]]), prefix)[0, 0].int().tolist() == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1, 1],
    ]


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_a_packed_row_gives_the_logits_of_each_sequence_alone(new_decoder, sequences, mask):
    decoder = new_decoder(mask=mask)
    logits = logits_of(decoder, batch_of(sequences))
    for (row, columns), (ids, context) in zip(places(sequences), sequences, strict=True):
        torch.testing.assert_close(logits[row, columns], alone(decoder, ids, context), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mask", ["causal", "prefix"])
@pytest.mark.parametrize("changed", range(len(LENGTHS)))
def test_changing_one_sequence_moves_no_other(new_decoder, sequences, mask, changed):
    decoder = new_decoder(mask=mask)
    before = logits_of(decoder, batch_of(sequences))
    ids, context = sequences[changed]
    after = logits_of(
        decoder, batch_of([*sequences[:changed], ([23 - i for i in ids], context), *sequences[changed + 1 :]])
    )
    row, columns = places(sequences)[changed]
    assert not torch.allclose(before[row, columns], after[row, columns])
    before[row, columns] = after[row, columns]
    assert torch.equal(before, after)


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_padding_changes_nothing(new_decoder, sequences, mask):
    decoder = new_decoder(mask=mask)
    logits = logits_of(decoder, batch_of(sequences))
    other = logits_of(decoder, batch_of(sequences, padding=17))
    longer = logits_of(decoder, batch_of(sequences[:1], pack_length=40))
    for row, columns in places(sequences):
        assert torch.equal(logits[row, columns], other[row, columns])
    row, columns = places(sequences)[0]
    torch.testing.assert_close(longer[0, : LENGTHS[0]], logits[row, columns], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_rows_of_one_sequence_need_no_positions(new_decoder, mask):
    decoder = new_decoder(mask=mask)
    batch = batch_of([(list(range(1, 17)), 7), (list(range(2, 18)), 3)])
    assert "position_ids" not in batch
    given = {**batch, "position_ids": torch.arange(16).expand(2, 16)}
    torch.testing.assert_close(logits_of(decoder, batch), logits_of(decoder, given), atol=1e-5, rtol=0)


def test_under_the_prefix_mask_the_source_reads_itself_both_ways_and_the_target_does_not(new_decoder):
    decoder = new_decoder(mask="prefix")
    before = alone(decoder, [1, 2, 3, 4, 5, 6], 3)
    last_of_source = alone(decoder, [1, 2, 9, 4, 5, 6], 3)
    last_of_target = alone(decoder, [1, 2, 3, 4, 5, 9], 3)
    assert (before != last_of_source).any(-1).all()
    assert torch.equal(before[:5], last_of_target[:5])


def test_under_the_causal_mask_nothing_is_seen_in_advance(new_decoder):
    decoder = new_decoder(mask="causal")
    before, after = alone(decoder, [1, 2, 3, 4, 5, 6], 3), alone(decoder, [1, 2, 9, 4, 5, 6], 3)
    assert torch.equal(before[:2], after[:2])
    assert (before[2:] != after[2:]).any(-1).all()


@pytest.mark.parametrize("loss_on", ["target", "all"])
def test_the_loss_falls_on_learned_tokens_only(new_decoder, sequences, loss_on):
    decoder = new_decoder()
    with torch.no_grad():
        loss = decoder(**batch_of(sequences, loss_on=loss_on)).loss
    expected = []
    for ids, context in sequences:
        first = context if loss_on == "target" else 1
        predictions = alone(decoder, ids, context)[first - 1 : -1]
        expected.append(F.cross_entropy(predictions, torch.tensor(ids[first:]), reduction="none"))
    torch.testing.assert_close(loss, torch.cat(expected).mean(), atol=1e-5, rtol=0)


def test_the_loss_is_shared_by_all_the_tokens_of_a_step(new_decoder, sequences):
    decoder, batch = new_decoder(), batch_of(sequences)
    learned = (batch["labels"] != IGNORED).sum()
    with torch.no_grad():
        mean, part = decoder(**batch).loss, decoder(**batch, num_items_in_batch=4 * learned).loss
    torch.testing.assert_close(part, mean / 4)


def test_logits_are_those_of_transformers(new_decoder):
    decoder = new_decoder()
    plain = GPT2LMHeadModel(decoder.config).eval()
    plain.load_state_dict(decoder.state_dict())
    ids = torch.randint(0, 24, (1, 20))
    with torch.no_grad():
        torch.testing.assert_close(alone(decoder, ids[0].tolist(), 5), plain(ids).logits[0], atol=1e-5, rtol=0)


def test_what_is_saved_is_a_plain_gpt2(task, decoder, tmp_path):
    decoder.save_pretrained(tmp_path)
    task.vocabulary.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert config["model_type"] == "gpt2"
    weights = {path.suffix for path in tmp_path.iterdir()} - {".json", ".jinja", ".txt"}
    assert weights == {".safetensors"}

    plain, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert type(plain) is GPT2LMHeadModel
    ids = tokenizer("the dog and the cat<|copy|>", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == [*task.vocabulary.encode("the dog and the cat"), task.vocabulary.tokens["<|copy|>"]]
    with torch.no_grad():
        torch.testing.assert_close(
            plain.eval()(ids).logits[0], alone(decoder, ids[0].tolist(), ids.shape[1]), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_what_is_saved_loads_as_it_was(new_decoder, tmp_path, mask):
    decoder = new_decoder(mask=mask)
    decoder.save_pretrained(tmp_path)
    again = load_decoder(str(tmp_path), dropout=0.2, attention_dropout=0.1).eval()
    assert again.config.mask == mask
    assert (again.config.resid_pdrop, again.config.embd_pdrop, again.config.attn_pdrop) == (0.2, 0.2, 0.1)
    ids = list(range(1, 12))
    assert torch.equal(alone(again, ids, 6), alone(decoder, ids, 6))


def test_a_plain_gpt2_loads_as_causal(new_decoder, tmp_path):
    decoder = new_decoder()
    decoder.save_pretrained(tmp_path)
    assert "mask" not in json.loads((tmp_path / "config.json").read_text())
    assert load_decoder(str(tmp_path)).config.mask == "causal"


def test_pickled_weights_are_refused(new_decoder, tmp_path):
    decoder = new_decoder()
    decoder.config.save_pretrained(tmp_path)
    torch.save(decoder.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no GPT-2 could be loaded from .*model\.safetensors") as caught:
        load_decoder(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_another_kind_of_model_is_refused_in_one_line(tmp_path, caplog, monkeypatch):
    config = LlamaConfig(vocab_size=24, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with pytest.raises(UserError, match="llama") as caught:
        load_decoder(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert not caplog.records


@pytest.mark.parametrize("broken", ["nothing", "no config", "no weights", "half the weights"])
def test_a_folder_without_a_whole_decoder_is_refused_in_one_line(new_decoder, tmp_path, broken):
    new_decoder().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    if broken in ("nothing", "no config"):
        (tmp_path / "config.json").unlink()
    if broken in ("nothing", "no weights"):
        weights.unlink()
    if broken == "half the weights":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(UserError, match="no GPT-2 could be loaded from") as caught:
        load_decoder(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_new_decoder_has_the_size_the_vocabulary_and_the_context_asked_for(vocabulary, monkeypatch):
    monkeypatch.setitem(SIZES, "nano", (1, 16, 2))
    decoder = module.new_decoder("nano", vocabulary, context=20, dropout=0.3, attention_dropout=0.1, mask="prefix")
    config = decoder.config
    assert (config.n_layer, config.n_embd, config.n_head) == (1, 16, 2)
    assert (config.n_positions, decoder.context) == (20, 20)
    assert config.vocab_size == len(vocabulary.tokens)
    assert (config.mask, config.resid_pdrop, config.attn_pdrop) == ("prefix", 0.3, 0.1)
    for ids in (config, decoder.generation_config):
        assert (ids.bos_token_id, ids.eos_token_id) == (vocabulary.end, vocabulary.end)
        assert ids.pad_token_id == vocabulary.padding
    assert decoder.parameters_without_positions == decoder.num_parameters() - 20 * 16


def test_a_sizes_config_can_be_overridden(vocabulary):
    decoder = module.new_decoder("tiny", vocabulary, 20, dropout=0.3, overrides="n_layer=1,n_embd=24,attn_pdrop=0.1")
    assert (len(decoder.transformer.h), decoder.transformer.wte.weight.shape[1]) == (1, 24)
    assert (decoder.config.n_head, decoder.config.attn_pdrop, decoder.config.resid_pdrop) == (4, 0.1, 0.3)


@pytest.mark.parametrize(
    "wrong",
    ["n_layers=2", "n_layer", "n_layer=two", "n_embd=130", "activation_function=none", "n_positions=8", "vocab_size=9"],
    ids=str,
)
def test_overrides_that_cannot_be_are_refused_in_one_line(vocabulary, wrong):
    with pytest.raises(UserError, match=f"--config_overrides {wrong}: ") as caught:
        module.new_decoder("tiny", vocabulary, 20, overrides=wrong)
    assert "\n" not in str(caught.value)


def test_the_seed_decides_the_weights(vocabulary, monkeypatch):
    monkeypatch.setitem(SIZES, "nano", (1, 16, 2))
    first, same, other = (module.new_decoder("nano", vocabulary, 20, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["transformer.wte.weight"], other["transformer.wte.weight"])


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("distilgpt2", 81_912_576),
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(size, parameters):
    vocabulary = SimpleNamespace(tokens={"<|endoftext|>": 50256}, end=50256, padding=50256)
    with torch.device("meta"):
        assert module.new_decoder(size, vocabulary, context=1024).num_parameters() == parameters
