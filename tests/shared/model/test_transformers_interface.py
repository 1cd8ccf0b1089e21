"""A decoder is what transformers says it is: as GPT-2 itself, and as what is saved of it."""

import json

import pytest
import torch
import transformers.dynamic_module_utils as remote_code
from torch import nn
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from shared.data.sequence import IGNORED
from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.model.build import load_decoder
from tests.shared.generation.test_generate import VOCABULARY

BEYOND_GPT2 = {
    "prefix": {"mask": "prefix"},
    "relative": {"relative_attention": 6},
    "relative, prefix": {"mask": "prefix", "relative_attention": 6},
}


@pytest.fixture
def ids():
    return torch.randint(1, 24, (3, 12), generator=torch.Generator().manual_seed(4))


@pytest.fixture
def padded(ids):
    """An attention mask [3, 12] under which the second and the third row are padded on the left."""
    mask = torch.ones_like(ids)
    mask[1, :3], mask[2, :7] = 0, 0
    return mask


@pytest.fixture
def pair(new_decoder):
    """A decoder, and GPT-2 with the same weights."""
    decoder = new_decoder(dtype=torch.float64)
    model = GPT2LMHeadModel(decoder.config).double().eval()
    model.load_state_dict(decoder.state_dict())
    return decoder, model


@pytest.fixture
def beyond(new_decoder):
    """Makes a decoder that plain GPT-2 cannot be, with random embeddings of distances."""

    def new(name):
        decoder = new_decoder(**BEYOND_GPT2[name])
        for block in decoder.transformer.h if decoder.config.relative_attention else ():
            nn.init.normal_(block.attn.relative)
        return decoder

    return new


@pytest.fixture(autouse=True)
def own_modules(tmp_path, monkeypatch):
    """What transformers copies of a folder's code goes to the test's own folder."""
    monkeypatch.setattr(remote_code, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))


@torch.no_grad()
def test_logits_and_loss_are_gpt2s(pair, ids, padded):
    decoder, model = pair
    torch.testing.assert_close(decoder(ids).logits, model(ids).logits)
    labels = ids.masked_fill(padded == 0, IGNORED)
    ours, theirs = (each(ids, attention_mask=padded, labels=labels) for each in pair)
    torch.testing.assert_close(ours.loss, theirs.loss)
    torch.testing.assert_close(ours.logits[padded == 1], theirs.logits[padded == 1])
    assert not torch.allclose(decoder(ids).logits[1, -1], ours.logits[1, -1])


@pytest.mark.parametrize("left_padded", [False, True])
def test_greedy_tokens_are_gpt2s(pair, ids, padded, left_padded):
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    if left_padded:
        options["attention_mask"] = padded
    ours, theirs = (each.generate(ids, **options) for each in pair)
    assert ours.tolist() == theirs.tolist()
    assert len(set(ours[:, 12:].flatten().tolist())) > 1


@torch.no_grad()
def test_a_decoder_that_gpt2_can_be_is_saved_as_one(pair, ids, tmp_path):
    decoder, model = pair
    decoder.save_pretrained(save_directory=tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("gpt2", ["GPT2LMHeadModel"])
    assert not {"mask", "relative_attention", "auto_map"} & set(config)
    assert not list((tmp_path / "saved").glob("*.py"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", trust_remote_code=False).double()
    assert type(loaded) is GPT2LMHeadModel
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits)


@pytest.mark.parametrize("name", BEYOND_GPT2)
@torch.no_grad()
def test_any_other_gives_the_same_in_plain_transformers(beyond, ids, tmp_path, name):
    decoder = beyond(name)
    decoder.save_pretrained(save_directory=tmp_path / "saved")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", trust_remote_code=True).eval()
    assert type(loaded).__module__.startswith("transformers_modules.")
    prefix = torch.arange(12).expand(3, 12) < torch.tensor([[5], [12], [1]])
    torch.testing.assert_close(loaded(ids, prefix=prefix).logits, decoder.packed_logits(ids, prefix))
    torch.testing.assert_close(loaded(ids).logits, decoder.packed_logits(ids, torch.ones_like(prefix)))
    settings = GenerationArguments(max_new_tokens=12)
    for prompt in ids[:, :7].tolist():
        (expected,) = reference.generate(decoder, [prompt], settings, VOCABULARY)
        for model in (loaded, decoder):
            options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": VOCABULARY.end}
            written = model.generate(torch.tensor([prompt]), **options)[0, 7:].tolist()
            assert (written[: written.index(VOCABULARY.end)] if VOCABULARY.end in written else written) == expected


@pytest.mark.parametrize("name", BEYOND_GPT2)
def test_without_trust_transformers_refuses_it(beyond, tmp_path, name):
    beyond(name).save_pretrained(save_directory=tmp_path / "saved")
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "saved", trust_remote_code=False)


@pytest.mark.parametrize("name", BEYOND_GPT2)
@torch.no_grad()
def test_we_run_no_code_of_a_folder(beyond, ids, tmp_path, name):
    decoder, folder = beyond(name), tmp_path / "saved"
    decoder.save_pretrained(save_directory=folder)
    (modeling,) = folder.glob("*.py")
    modeling.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nraise SystemExit('ran')\n")
    loaded = load_decoder(str(folder)).eval()
    assert not (tmp_path / "ran").exists()
    torch.testing.assert_close(loaded.packed_logits(ids), decoder.packed_logits(ids))
