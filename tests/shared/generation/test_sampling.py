"""Which token is drawn, by numbers in the place of chance."""

import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from shared.generation.arguments import GenerationArguments
from shared.generation.processors import MASKS, WARPERS, Written, active, process
from shared.generation.sampling import draw


def spread(count):
    """Numbers evenly over [0, 1): what is drawn by them has the shares of the distribution itself."""
    return (torch.arange(count) + 0.5) / count


def warped(logits, **settings):
    settings = GenerationArguments(do_sample=True, **settings)
    nothing = Written(torch.zeros(len(logits), 1, dtype=torch.long), torch.zeros(len(logits), dtype=torch.long), -1)
    return process(logits, active(WARPERS, settings), settings, nothing)


def drawn_by(logits, **settings):
    tokens = draw(warped(logits.expand(1000, -1), **settings), spread(1000))
    return (torch.bincount(tokens, minlength=len(logits)) / 1000).tolist()


LOGITS = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_k": 1}, [0, 1, 0, 0]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_k": 3}, [0, 4 / 9, 2 / 9, 3 / 9]),
        ({"top_k": 9}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_p": 0.01}, [0, 1, 0, 0]),
        ({"top_p": 0.39}, [0, 1, 0, 0]),
        ({"top_p": 0.41}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.71}, [0, 4 / 9, 2 / 9, 3 / 9]),
        ({"top_p": 0.91}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_k": 3, "top_p": 0.7}, [0, 4 / 7, 0, 3 / 7]),  # the nucleus of the three, of which two hold 7/9
        ({"temperature": 0.5}, [1 / 30, 16 / 30, 4 / 30, 9 / 30]),
        ({"temperature": 1e-4}, [0, 1, 0, 0]),
    ],
)
def test_top_k_top_p_and_temperature_cut_and_sharpen_the_distribution(settings, shares):
    assert drawn_by(LOGITS, **settings) == pytest.approx(shares, abs=0.0021)


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.9), (0, 0.3), (7, 0.6)])
def test_drawing_follows_transformers_warpers(top_k, top_p):
    torch.manual_seed(0)
    for logits in torch.randn(20, 30) * 3:
        theirs = TemperatureLogitsWarper(0.8)(None, logits[None])
        for warper in ([TopKLogitsWarper(top_k)] if top_k else []) + [TopPLogitsWarper(top_p)]:
            theirs = warper(None, theirs)
        shares = torch.tensor(drawn_by(logits, top_k=top_k, top_p=top_p, temperature=0.8))
        assert (shares - theirs[0].softmax(-1)).abs().max() < 0.0021
        assert not shares[theirs[0] == -torch.inf].any()


@pytest.mark.parametrize("settings", [{"top_k": 2}, {"top_k": 4}, {"top_p": 0.35}, {"top_p": 0.85}], ids=str)
def test_what_is_as_likely_as_the_last_token_kept_is_kept(settings):
    logits = torch.tensor([0.2, 0.3, 0.2, 0.1, 0.2]).log()
    assert drawn_by(logits, **settings) == pytest.approx([2 / 9, 3 / 9, 2 / 9, 0, 2 / 9], abs=0.0021)


@pytest.mark.parametrize("count", [0, 2, 3, 4])
def test_an_end_may_come_once_the_least_is_written(count):
    settings, end = GenerationArguments(min_new_tokens=3), 2
    written = Written(torch.zeros(1, 9, dtype=torch.long), torch.tensor([count]), end)
    (left,) = process(LOGITS[None], active(MASKS, settings), settings, written)
    assert left.isfinite().tolist() == [True, True, count >= 3, True]
    assert left[left.isfinite()].equal(LOGITS[left.isfinite()])


@pytest.mark.parametrize(
    ("settings", "number", "token"),
    [({}, 0.0, 0), ({}, 1.0, 3), ({"top_k": 2}, 0.0, 1), ({"top_k": 2}, 1.0, 2), ({"top_p": 0.6}, 1.0, 2)],
)
def test_the_extremes_draw_the_first_and_the_last_token_kept(settings, number, token):
    """1.0 comes up where a float64 just below 1 is rounded to float32."""
    logits = torch.tensor([[0.0, 2.0, 1.9, -1.0]])
    assert draw(warped(logits, **settings), torch.tensor([number])).item() == token
