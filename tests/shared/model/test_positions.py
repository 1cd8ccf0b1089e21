import pytest
import torch
from transformers import AutoModelForCausalLM

from shared.errors import UserError
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


def test_positions_that_repeat_are_those_of_a_table_that_does(new_decoder):
    repeating = new_decoder(context=16, position_period=4)
    plain = new_decoder(context=16)
    state = repeating.state_dict()
    plain.load_state_dict({**state, "transformer.wpe.weight": state["transformer.wpe.weight"].repeat(4, 1)})
    ids = torch.randint(0, 24, (2, 16))
    position_ids = torch.tensor([[*range(16)], [*range(7), *range(9)]])  # the second row is two sequences
    with torch.no_grad():
        ours, theirs = (one.packed_logits(ids, position_ids=position_ids) for one in (repeating, plain))
    assert torch.equal(ours, theirs)
    assert len(state["transformer.wpe.weight"]) == 4


def test_positions_that_repeat_go_on_in_longer_lines(new_decoder, tmp_path):
    decoder = new_decoder(context=10, position_period=4)
    ids = torch.randint(0, 24, (1, 32))
    before = logits_of(decoder, ids[:, :10])
    extend_positions(decoder, 32, "tile")
    decoder.save_pretrained(tmp_path)
    again = load_decoder(str(tmp_path)).eval()
    assert again.context == 32
    torch.testing.assert_close(logits_of(again, ids)[:, :10], before)


def test_a_decoder_keeps_its_own_period(task, vocabulary, new_decoder, tmp_path):
    new_decoder(len(vocabulary.tokens), position_period=4).save_pretrained(tmp_path)
    vocabulary.save(tmp_path)
    rows = task.load_rows(task.arguments)["train"]

    def built(period):
        model = ModelArguments(model_name_or_path=str(tmp_path), max_length=40, position_period=period)
        return build_decoder(type(task), task.arguments, rows, model, seed=0)[0]

    assert built(0).config.position_period == built(4).config.position_period == 4
    with pytest.raises(UserError, match=r"--position_period 8: the positions of .* repeat after 4"):
        built(8)


@pytest.mark.parametrize("period", [-1, 41])
def test_a_period_fits_into_a_line(period):
    with pytest.raises(UserError, match=f"--position_period {period}: give 0 .none., or at most --max_length 40"):
        ModelArguments(max_length=40, position_period=period).check(has_source=True)


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
