"""A decoder does what GPT2LMHeadModel does; what is saved loads in plain transformers with the same logits, or not at
all."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
import transformers.dynamic_module_utils
from huggingface_hub import HfApi
from torch import nn
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from shared.errors import UserError
from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.model.build import load_decoder
from shared.model.modeling_onedecoder import OneDecoderConfig, OneDecoderForCausalLM
from tests.shared.generation.test_generate import VOCABULARY

UNKNOWN_TO_GPT2 = [
    {"relative_attention": 5},
    {"position_period": 4},
    {"mask": "prefix"},
    {"relative_attention": 5, "mask": "prefix"},
    {"copy_attention": 5},
    {"copy_attention": 5, "mask": "prefix"},
]


@pytest.fixture(autouse=True)
def own_modules(tmp_path, monkeypatch):
    """The modelling files that transformers copies stay in the test's folder."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def pair(new_decoder):
    """A decoder and transformers' own GPT-2 of the same weights."""
    decoder = new_decoder()
    model = GPT2LMHeadModel(decoder.config).eval()
    model.load_state_dict(decoder.state_dict())
    return decoder, model


@pytest.fixture
def ids():
    torch.manual_seed(7)
    return torch.randint(1, 24, (2, 9))


def new_weights(decoder):
    """Distances that mean something."""
    torch.manual_seed(3)
    for block in decoder.transformer.h:
        if hasattr(block.attn, "relative"):
            nn.init.normal_(block.attn.relative)
    if decoder.copying:
        nn.init.normal_(decoder.copying.gate.weight)
    return decoder


@torch.no_grad()
def test_a_decoder_called_as_gpt2_answers_as_gpt2(pair, ids):
    decoder, model = pair
    torch.testing.assert_close(decoder(ids).logits, model(ids).logits)
    seen = torch.ones_like(ids)
    seen[1, :3] = 0
    ours, theirs = (one(ids, attention_mask=seen, labels=ids) for one in pair)
    torch.testing.assert_close(ours.loss, theirs.loss)
    torch.testing.assert_close(ours.logits[0], theirs.logits[0])
    torch.testing.assert_close(ours.logits[1, 3:], theirs.logits[1, 3:])


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=str)
def test_a_decoder_generates_as_gpt2(pair, ids, options):
    seen = torch.ones_like(ids)
    seen[1, :3] = 0  # padded on the left
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "attention_mask": seen, **options}
    ours, theirs = (one.generate(ids, **options) for one in pair)
    assert torch.equal(ours, theirs)


def test_a_decoder_saves_under_transformers_names(pair, tmp_path):
    decoder, model = pair
    decoder.save_pretrained(save_directory=tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model_type"] == "gpt2" and not {"mask", "relative_attention", "auto_map"} & set(config)
    assert not list((tmp_path / "run").glob("*.py"))
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    assert type(again) is GPT2LMHeadModel
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)


@pytest.mark.parametrize("changes", UNKNOWN_TO_GPT2, ids=str)
def test_what_gpt2_does_not_know_loads_with_our_file_and_gives_the_same(new_decoder, ids, tmp_path, changes):
    decoder = new_weights(new_decoder(**changes))
    decoder.save_pretrained(tmp_path / "run")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "run", trust_remote_code=True).eval()
    prefix = torch.arange(9).expand_as(ids) < 4
    with torch.no_grad():
        expected = decoder.packed_logits(ids, prefix)
        torch.testing.assert_close(theirs(ids, prefix=prefix).logits, expected)
        eager = AutoModelForCausalLM.from_pretrained(
            tmp_path / "run", trust_remote_code=True, attn_implementation="eager"
        )
        torch.testing.assert_close(eager.eval()(ids, prefix=prefix).logits, expected)
        torch.testing.assert_close(decoder(ids, prefix=prefix).logits, expected)
    settings = GenerationArguments(max_new_tokens=12)
    for prompt in ids.tolist():
        (ours,) = reference.generate(decoder, [prompt], settings, VOCABULARY)
        for model in (theirs, decoder):
            written = model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=0)
            written = written[0, len(prompt) :].tolist()
            assert written[: written.index(0) if 0 in written else None] == ours


@pytest.mark.parametrize("changes", UNKNOWN_TO_GPT2, ids=str)
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=str)
def test_a_prompt_that_is_padded_on_the_left_is_read_as_alone(new_decoder, ids, options, changes):
    decoder = new_weights(new_decoder(**changes))
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, **options}
    seen = torch.ones_like(ids)
    seen[1, :3] = 0
    together = decoder.generate(ids, attention_mask=seen, **options)
    for row, given in ((0, 0), (1, 3)):
        prompt = ids[row : row + 1, given:]
        alone = decoder.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, prompt.shape[1] :]
        assert together[row, ids.shape[1] :][: len(alone)].tolist() == alone.tolist()


@pytest.mark.parametrize("kept", [1, 3, torch.tensor([2, 5])], ids=str)
def test_copying_keeps_the_logits_that_are_asked_for(new_decoder, ids, kept):
    decoder = new_weights(new_decoder(copy_attention=5))
    with torch.no_grad():
        whole, some = decoder(ids).logits, decoder(ids, logits_to_keep=kept).logits
    torch.testing.assert_close(some, whole[:, kept if isinstance(kept, torch.Tensor) else slice(-kept, None)])


@torch.no_grad()
def test_copying_gives_a_tuple_where_one_is_asked_for(new_decoder, ids):
    decoder = new_weights(new_decoder(copy_attention=5))
    logits, *_ = decoder(ids, return_dict=False)
    assert torch.equal(logits, decoder(ids).logits)


@torch.no_grad()
@pytest.mark.parametrize("width", [0, 5])
def test_the_loss_of_a_part_is_divided_by_all_tokens_of_a_step(new_decoder, ids, width):
    decoder = new_weights(new_decoder(copy_attention=width))
    alone = decoder(ids, labels=ids).loss * ids[:, 1:].numel()
    torch.testing.assert_close(decoder(ids, labels=ids, num_items_in_batch=50).loss, alone / 50)


@pytest.mark.parametrize("changes", UNKNOWN_TO_GPT2, ids=str)
def test_without_our_file_transformers_refuses_what_it_does_not_know(new_decoder, tmp_path, changes):
    new_decoder(**changes).save_pretrained(tmp_path / "run")
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "run", trust_remote_code=False)


def test_we_run_no_code_that_comes_with_a_run(new_decoder, ids, tmp_path):
    decoder = new_weights(new_decoder(relative_attention=5, mask="prefix"))
    decoder.save_pretrained(tmp_path / "run")
    (tmp_path / "run" / "modeling_onedecoder.py").write_text("raise SystemExit('code of a run was executed')\n")
    again = load_decoder(str(tmp_path / "run")).eval()
    assert torch.equal(again.packed_logits(ids), decoder.packed_logits(ids))


@pytest.mark.parametrize(
    "changes", [{"n_layer": 3}, {"n_layer": 1}, {"relative_attention": 7}, {"copy_attention": 7}], ids=str
)
def test_weights_that_do_not_fit_their_config_are_refused(new_decoder, tmp_path, changes):
    new_decoder().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(UserError, match="weights do not fit its config") as caught:
        load_decoder(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_what_a_checkpoint_lacks_begins_as_if_it_were_added(new_decoder, tmp_path, monkeypatch):
    plain = new_decoder()
    plain.save_pretrained(tmp_path)
    config = OneDecoderConfig.from_pretrained(tmp_path, relative_attention=5, copy_attention=16)
    # What transformers makes room for and nobody fills would be whatever was in memory.
    monkeypatch.setattr(torch, "empty_like", lambda *like, **options: torch.full_like(*like, torch.nan, **options))
    begun = OneDecoderForCausalLM.from_pretrained(tmp_path, config=config)
    for block in begun.blocks:
        assert block.attn.relative.shape == (2, 5, 16) and not block.attn.relative.any()
    assert begun.copying.gate.bias == -2 and not begun.copying.gate.weight.any()
    for projection in (begun.copying.query, begun.copying.key):
        assert projection.weight.std().item() == pytest.approx(config.initializer_range, rel=0.1)
    for name, weight in plain.state_dict().items():
        assert torch.equal(begun.state_dict()[name], weight)


@pytest.mark.parametrize("changes", [{}, {"relative_attention": 5}], ids=str)
def test_what_is_uploaded_is_what_loads(new_decoder, ids, tmp_path, monkeypatch, changes):
    def commit(_, operations, **options):
        (tmp_path / "hub").mkdir()
        for each in operations:
            shutil.copy(each.path_or_fileobj, tmp_path / "hub" / each.path_in_repo)

    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **options: SimpleNamespace(repo_id="somebody/run"))
    monkeypatch.setattr(HfApi, "create_commit", commit)
    decoder = new_weights(new_decoder(**changes))
    decoder.save_pretrained(tmp_path / "run", push_to_hub=True, repo_id="somebody/run")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hub", trust_remote_code=bool(changes)).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, decoder(ids).logits)


def test_only_the_main_process_writes(new_decoder, tmp_path):
    new_decoder().save_pretrained(tmp_path / "run", False)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("changes", [{}, *UNKNOWN_TO_GPT2], ids=str)
def test_a_cache_that_is_allocated_in_advance_is_right_or_refused(new_decoder, ids, changes):
    decoder = new_weights(new_decoder(**changes))
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    if changes in ({}, {"position_period": 4}):
        expected = decoder.generate(ids, **options)
        assert torch.equal(decoder.generate(ids, cache_implementation="static", **options), expected)
    else:
        with pytest.raises(ValueError, match=r"only plain GPT-2 .* give a DynamicCache"):
            decoder.generate(ids, cache_implementation="static", **options)


@torch.no_grad()
@pytest.mark.parametrize("width", [0, 5])
def test_with_labels_the_context_ends_at_the_first_learned_one(new_decoder, ids, width):
    decoder = new_weights(new_decoder(mask="prefix", copy_attention=width))
    places = torch.arange(9).expand_as(ids)
    lengths = torch.tensor([[4], [1]])
    labels = ids.masked_fill(places < lengths, -100).index_fill(1, torch.tensor(6), -100)
    found = decoder(ids, labels=labels)
    torch.testing.assert_close(found.logits, decoder(ids, prefix=places < lengths).logits)
    targets = (labels[:, 1:] >= 0).nonzero()
    packed = decoder(
        ids, prefix=places < lengths, labels=labels, target_positions=targets[:, 0] * 9 + targets[:, 1] + 1
    )
    torch.testing.assert_close(found.loss, packed.loss)


@pytest.mark.parametrize("changes", [each for each in UNKNOWN_TO_GPT2 if "mask" in each], ids=str)
@pytest.mark.parametrize("options", [{"num_beams": 3}, {"num_return_sequences": 2, "num_beams": 2}, {}], ids=str)
def test_the_prompt_alone_is_context_without_a_cache_too(new_decoder, ids, changes, options):
    decoder = new_weights(new_decoder(**changes))
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, **options}
    for given in ({"inputs": ids}, {"input_ids": ids}, {}):
        written = [decoder.generate(**given, use_cache=cached, **options) for cached in (True, False)]
        assert torch.equal(*written)


def test_tokens_that_are_guessed_are_no_context(new_decoder):
    decoder = new_decoder(mask="prefix")
    for seed in range(8):
        torch.manual_seed(seed)
        prompt = torch.randint(1, 24, (1, 6)).repeat(1, 2)
        options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
        guessed = decoder.generate(prompt, prompt_lookup_num_tokens=3, **options)
        assert torch.equal(guessed, decoder.generate(prompt, **options))


def test_a_context_that_is_read_in_pieces_is_refused(new_decoder, ids):
    with pytest.raises(ValueError, match="a context is read in one piece"):
        new_decoder(mask="prefix").generate(ids, prefill_chunk_size=4, max_new_tokens=3)


def test_weights_of_attention_are_refused_rather_than_left_out(new_decoder, ids):
    decoder = new_decoder(relative_attention=5)
    for model in (decoder, OneDecoderForCausalLM(decoder.config)):
        with pytest.raises(ValueError, match=r"shared\.model\.inspection computes"):
            model(ids, output_attentions=True)
        with pytest.raises(ValueError, match=r"shared\.model\.inspection computes"):
            model.generate(ids, max_new_tokens=2, return_dict_in_generate=True, output_attentions=True)
        assert len(model(ids, output_hidden_states=True).hidden_states) == 3


def test_packed_rows_give_a_tuple_where_one_is_asked_for(new_decoder, ids):
    decoder = new_decoder()
    packed = {"input_ids": ids, "labels": ids, "target_positions": torch.arange(1, 9)}
    (loss,) = decoder(**packed, return_dict=False)
    assert torch.equal(loss, decoder(**packed).loss)
