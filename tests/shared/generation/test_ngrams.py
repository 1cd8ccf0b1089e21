import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import NoRepeatNGramLogitsProcessor

from shared.generation.ngrams import repeats

VOCABULARY = 4  # few tokens, so that n-grams do repeat


def banned(written, n):
    """What transformers' processor bans after `written`."""
    scores = NoRepeatNGramLogitsProcessor(n)(torch.tensor([written]), torch.zeros(1, VOCABULARY))
    return scores[0] == -torch.inf


@given(
    rows=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12), min_size=1, max_size=4),
    n=st.integers(1, 4),
    padding=st.integers(0, VOCABULARY - 1),
    room=st.integers(0, 5),
)
def test_what_transformers_bans_is_banned_whatever_stands_behind_the_written(rows, n, padding, room):
    longest = max(map(len, rows)) + room
    ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
    found = repeats(ids, torch.tensor([len(row) for row in rows]), n, VOCABULARY)
    assert found.dtype == torch.bool
    assert torch.equal(found, torch.stack([banned(row, n) for row in rows]))


def test_a_trigram_is_completed_once_only():
    written = torch.tensor([[5, 6, 7, 5, 6, 0], [5, 6, 7, 6, 5, 0]])
    found = repeats(written, torch.tensor([5, 5]), 3, 9)
    assert found.nonzero().tolist() == [[0, 7]]


@pytest.mark.parametrize("length", [3, torch.tensor(3), torch.tensor([3, 3])], ids=["number", "0-d", "by row"])
def test_one_length_may_stand_for_all_rows(length):
    written = torch.tensor([[1, 2, 1, 1], [3, 3, 3, 0]])
    assert repeats(written, length, 2, 4).nonzero().tolist() == [[0, 2], [1, 3]]


def test_nothing_written_bans_nothing():
    assert not repeats(torch.zeros(2, 5, dtype=torch.long), 0, 1, 4).any()
    assert not repeats(torch.zeros(2, 0, dtype=torch.long), 0, 2, 4).any()


def test_it_compiles_into_one_graph_without_asking_for_a_value():
    written, length = torch.tensor([[1, 2, 1, 0, 0]]), torch.tensor(3)
    compiled = torch.compile(repeats, backend="eager", fullgraph=True)
    assert compiled(written, length, 2, 4).nonzero().tolist() == [[0, 2]]
