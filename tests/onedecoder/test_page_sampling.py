"""The page's choice of a token beside Python's."""

import numpy as np
import pytest
import torch

from onedecoder.about import moves
from shared.generation.arguments import GenerationArguments
from shared.generation.processors import MASKS, WARPERS, Written, active, process
from shared.generation.sampling import constrained, draw

SETTINGS = [
    {},
    {"temperature": 0.3},
    {"temperature": 2.5, "top_k": 5},
    {"top_k": 1},
    {"top_p": 0.6},
    {"top_p": 0.01},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.9},
]
CHOOSE = """
import { choose } from "onedecoder/engine/sampling.js";
result = data.lines.map(({ logits, allowed, settings }) => choose(
  { logits: Float32Array.from(logits), allowed: allowed && Uint8Array.from(allowed) }, settings, data.moves,
));
"""


class Given:
    """A constraint that allows what it is given as its state. Four kinds; 8 stands for 7, 2 for 30."""

    stands_for = torch.arange(50)
    stands_for[[8, 2]] = torch.tensor([7, 30])
    kinds = torch.arange(50) % 4 == torch.arange(4)[:, None]

    def __init__(self, narrowed=None):
        self.narrowed = narrowed

    def allowed(self, state):
        return state


@pytest.mark.parametrize("grammar", [None, Given(), Given((3, 0.7)), Given((0, 0.01))])
def test_the_same_number_draws_the_same_token(grammar, javascript, numbers):
    rng = np.random.default_rng(0)
    asked, expected = [], []
    for number in range(300):
        settings = GenerationArguments(do_sample=True, **SETTINGS[number % len(SETTINGS)])
        logits = (rng.normal(size=50) * 3).astype(np.float32).round(2 if number % 2 else 0)  # some are as likely
        allowed = (rng.random(50) < 0.4).astype(int) if grammar else None
        uniform = float(rng.random())
        left = torch.from_numpy(logits)[None]
        if grammar:
            left, _ = constrained(left, grammar, torch.from_numpy(allowed)[None] == 1)
        best = int(left.argmax())
        left = process(left, active(WARPERS, settings), settings, Written(left, left, 0))
        expected.append((best, int(draw(left, torch.tensor([uniform]))), left.softmax(-1)[0].numpy()))
        names = ("temperature", "top_k", "top_p", "do_sample")
        wanted = {name: getattr(settings, name) for name in names} | {"uniform": uniform}
        line = {"logits": logits.tolist(), "allowed": None if allowed is None else allowed.tolist()}
        asked += [line | {"settings": wanted}, line | {"settings": wanted | {"do_sample": False}}]
    found = javascript(CHOOSE, {"lines": asked, "moves": moves(grammar)})
    for (best, drawn, shares), sampled, greedy in zip(expected, found[::2], found[1::2], strict=True):
        assert (sampled["id"], greedy["id"]) == (drawn, best)
        np.testing.assert_allclose(numbers(sampled["probabilities"]), shares, atol=1e-5)
        assert sum(sampled["plain"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("written", [[], [1], [1, 2, 1], [1, 2, 3], [3, 2, 1, 1]], ids=str)
@pytest.mark.parametrize("rules", [{"min_new_tokens": 9}, {"min_new_tokens": 2}, {}], ids=str)
def test_a_rule_that_leaves_nothing_gives_way_as_in_python(javascript, rules, written):
    settings, end, size = GenerationArguments(no_repeat_ngram_size=1, **rules), 0, 4
    so_far = Written(torch.tensor([written], dtype=torch.long), torch.tensor([len(written)]), end)
    expected = process(torch.zeros(1, size), active(MASKS, settings), settings, so_far)[0].isfinite().int().tolist()
    assert any(expected)
    code = """
    import { allowedAfter } from "onedecoder/engine/allowed.js";
    result = allowedAfter({ about: data, music: null }, null, [9, ...data.written], 1);
    """
    names = "min_new_tokens", "no_repeat_ngram_size"
    about = {
        "generation": {name: getattr(settings, name) for name in names},
        "config": {"vocabulary": size},
        "end": end,
    }
    assert (javascript(code, {**about, "written": written}) or [1] * size) == expected


@pytest.mark.parametrize("count", [1, 10, 500, 501])
def test_the_likeliest_are_those_of_a_sort_and_of_equal_ones_the_first(javascript, count):
    shares = np.random.default_rng(0).integers(50, size=500)
    code = """
    import { likeliest } from "onedecoder/engine/sampling.js";
    result = likeliest(Float32Array.from(data.shares), data.count);
    """
    expected = np.argsort(-shares, kind="stable")[:count].tolist()
    assert javascript(code, {"shares": shares.tolist(), "count": count}) == expected
