import pytest
import torch
from transformers import AutoModelForCausalLM

from shared.model.arguments import ModelArguments
from shared.model.build import load_decoder
from shared.model.positions import extend_positions
from shared.model.start import build_decoder


@torch.no_grad()
def logits_of(decoder, ids):
    return decoder(ids).logits


def test_tiled_positions_repeat_the_table_and_leave_short_lines_as_they_were(new_decoder):
    decoder = new_decoder(context=10)
    ids = torch.randint(0, 24, (1, 10))
    before, old = logits_of(decoder, ids), decoder.transformer.wpe.weight.clone()
    extend_positions(decoder, 25, "tile")
    weight = decoder.transformer.wpe.weight
    assert torch.equal(weight, torch.cat([old, old, old[:5]]))
    assert weight.requires_grad
    assert torch.equal(logits_of(decoder, ids), before)
    assert decoder.context == 25


def test_interpolated_positions_run_linearly_between_those_of_the_table(new_decoder):
    decoder = new_decoder(context=3)
    with torch.no_grad():
        decoder.transformer.wpe.weight[:, 0] = torch.tensor([0.0, 4.0, 2.0])
    old = decoder.transformer.wpe.weight.clone()
    extend_positions(decoder, 9, "interpolate")
    weight = decoder.transformer.wpe.weight
    assert weight[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 3.5, 3.0, 2.5, 2.0]
    assert torch.equal(weight[::4], old)
    assert weight.requires_grad


@pytest.mark.parametrize("how", ["interpolate", "tile"])
def test_a_grown_decoder_is_a_plain_gpt2_of_that_length(new_decoder, tmp_path, how):
    decoder = new_decoder(context=10)
    extend_positions(decoder, 32, how)
    decoder.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.randint(0, 24, (1, 32))
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, logits_of(decoder, ids), atol=1e-5, rtol=0)
    assert load_decoder(str(tmp_path)).context == 32


def test_positions_are_not_taken_away(new_decoder):
    with pytest.raises(ValueError, match="10 positions already, more than 9"):
        extend_positions(new_decoder(context=10), 9, "tile")


def test_there_are_two_ways(new_decoder):
    with pytest.raises(ValueError, match="'mirror'"):
        extend_positions(new_decoder(context=10), 20, "mirror")


def test_a_recipe_extends_where_the_lines_ask_for_it(task, vocabulary, decoder, tmp_path):
    decoder.save_pretrained(tmp_path)
    vocabulary.save(tmp_path)
    rows = task.load_rows(task.arguments)["train"]
    for length, context in ((40, 48), (60, 60)):
        model = ModelArguments(model_name_or_path=str(tmp_path), max_length=length, extend_positions="tile")
        assert build_decoder(type(task), task.arguments, rows, model, seed=0)[0].context == context
