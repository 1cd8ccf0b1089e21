"""Learning from a share of the rows, and from new weights in a known shape."""

import json

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import set_seed

from shared.data.arguments import DataArguments
from shared.data.encoding import share_of
from shared.errors import UserError
from shared.model.arguments import ModelArguments
from shared.model.build import load_decoder
from shared.model.start import build_decoder
from shared.runs.pipeline import parse, train
from tasks.translation import Translation
from tests.conftest import Copying

ROWS = Dataset.from_dict({"number": list(range(200))})


@given(st.floats(0.001, 1), st.floats(0.001, 1), st.integers(0, 5))
def test_a_smaller_share_is_part_of_a_larger_one(first, second, seed):
    small, large = (share_of(ROWS, share, seed)["number"][:] for share in sorted((first, second)))
    assert set(small) <= set(large) <= set(range(200))
    assert len(set(small)) == len(small) == max(1, round(200 * min(first, second)))


def test_a_share_depends_on_the_seed_and_all_is_all():
    assert share_of(ROWS, 0.1, 1)["number"][:] != share_of(ROWS, 0.1, 2)["number"][:]
    assert share_of(ROWS, 1.0, 1) is ROWS


@pytest.fixture
def run(task, decoder, tmp_path):
    """A folder with the tiny decoder and its tokenizer."""
    decoder.save_pretrained(tmp_path / "run")
    task.vocabulary.save(tmp_path / "run")
    return str(tmp_path / "run")


def started(run, seed, **settings):
    set_seed(seed)
    model = ModelArguments(model_name_or_path=run, max_length=32, **settings)
    return build_decoder(Copying, DataArguments(), None, model, seed)


def test_from_scratch_keeps_shape_and_vocabulary_but_no_weight(run):
    known, vocabulary = started(run, 1)
    new, again = started(run, 1, from_scratch=True, mask="prefix", dropout=0.2)
    assert again.tokens == vocabulary.tokens
    assert (new.config.mask, new.config.resid_pdrop) == ("prefix", 0.2)
    old_weights, new_weights = known.state_dict(), new.state_dict()
    assert old_weights.keys() == new_weights.keys()
    for name, weight in old_weights.items():
        assert weight.shape == new_weights[name].shape
        if weight.ndim > 1:  # biases and norms begin at 0 and 1 in every decoder
            assert not torch.equal(weight, new_weights[name]), name
    assert torch.equal(known.transformer.wpe.weight, load_decoder(run).transformer.wpe.weight)


def test_from_scratch_starts_from_the_seed(run):
    first, same, other = (started(run, seed, from_scratch=True)[0] for seed in (1, 1, 2))
    assert torch.equal(first.lm_head.weight, same.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


class GivenRows(DataArguments):
    """As if the rows were a user's own."""

    sample = False


class CopyingGivenRows(Copying):
    Arguments = GivenRows


def test_training_sees_its_share_only(tmp_path, capsys):
    flags = ["--train_share=0.25", "--size=tiny", "--max_steps=1", "--vocab_size=300", "--max_length=64", "--seed=3"]
    train(
        CopyingGivenRows,
        [*flags, f"--output_dir={tmp_path}", "--do_eval=false", "--torch_compile=false", "--disable_tqdm=true"],
    )
    assert "train: 12 rows as 12 sequences" in capsys.readouterr().err
    assert json.loads((tmp_path / "metrics.json").read_text())["train"]["rows"] == 12


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--train_share=0", "--train_share is 0.0: give a share above 0"),
        ("--train_share=1.5", "--train_share is 1.5: give a share above 0"),
        ("--from_scratch", "--from_scratch needs --model_name_or_path"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path, flag, message):
    with pytest.raises(UserError, match=message):
        parse(Translation, [flag, f"--output_dir={tmp_path}"])
