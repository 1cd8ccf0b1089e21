import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from shared.data.packing import EMPTY, PackedDataset, collate, collate_counted, pack
from shared.data.sequence import IGNORED


def lines(*pairs):
    """A table of lines from (ids, tokens before the target)."""
    return Dataset.from_list([{"input_ids": ids, "context": n, "length": len(ids)} for ids, n in pairs])


@given(st.lists(st.integers(1, 32), max_size=60), st.integers(32, 40))
def test_every_sequence_lies_in_exactly_one_row_and_no_row_is_too_long(lengths, pack_length):
    rows = pack(np.array(lengths, dtype=np.int64), pack_length)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[index] for index in row) <= pack_length for row in rows)


@given(st.lists(st.integers(1, 32), min_size=1, max_size=60))
def test_no_two_rows_would_fit_into_one(lengths):
    rows = pack(np.array(lengths), 32)
    filled = sorted(sum(lengths[index] for index in row) for row in rows)
    assert len(filled) < 2 or filled[0] + filled[1] > 32


def test_the_tightest_fit_is_taken_longest_first():
    # 7 and 6 open rows, in which 3 and 4 are left: 3 goes where it leaves nothing, and so does 4.
    assert pack(np.array([6, 3, 7]), 10) == [[2, 1], [0]]
    assert pack(np.array([3, 6, 4, 7]), 10) == [[3, 0], [1, 2]]


def test_random_lengths_fill_the_rows_to_99_percent():
    lengths = np.random.default_rng(0).integers(5, 60, size=2000)
    rows = pack(lengths, 128)
    assert lengths.sum() / (len(rows) * 128) > 0.99


def test_a_row_holds_its_sequences_with_positions_labels_and_padding():
    packed = PackedDataset(lines(([5, 6, 7], 1), ([8, 9, 10, 11], 2)), pack_length=9, padding=99)
    assert len(packed) == 1
    assert packed.tokens == 7
    row = {name: values.tolist() for name, values in packed[0].items()}
    x = IGNORED
    assert row == {
        "input_ids": [8, 9, 10, 11, 5, 6, 7, 99, 99],
        "position_ids": [0, 1, 2, 3, 0, 1, 2, 0, 0],
        "labels": [x, x, 10, 11, x, 6, 7, x, x],
        "prefix": [True, True, False, False, True, False, False, False, False],
    }


def test_the_whole_line_but_its_first_token_is_learned_where_that_is_wanted():
    packed = PackedDataset(lines(([5, 6, 7], 1), ([8, 9, 10, 11], 3)), pack_length=8, padding=99, loss_on="all")
    x = IGNORED
    assert packed[0]["labels"].tolist() == [x, 9, 10, 11, x, 6, 7, x]


@pytest.mark.parametrize("loss_on", ["target", "all"])
def test_rows_together_hold_every_sequence_once(loss_on):
    random = np.random.default_rng(0)
    table = lines(*(([*range(100 * i, 100 * i + n)], n // 2 + 1) for i, n in enumerate(random.integers(2, 20, 40))))
    packed = PackedDataset(table, pack_length=32, padding=99999, loss_on=loss_on)
    rows = [packed[index] for index in range(len(packed))]
    found = sorted(int(token) for row in rows for token in row["input_ids"] if token != 99999)
    assert found == sorted(token for ids in table["input_ids"] for token in ids)
    learned = sorted(int(token) for row in rows for token in row["labels"] if token != IGNORED)
    pairs = zip(table["input_ids"], table["context"], strict=True)
    assert learned == sorted(token for ids, n in pairs for token in (ids[n:] if loss_on == "target" else ids[1:]))


def test_an_empty_row_is_padding_of_which_nothing_is_learned():
    packed = PackedDataset(lines(([5, 6, 7], 1), ([8, 9, 10, 11], 2)), pack_length=9, padding=99)
    first, empty = packed[0], packed[EMPTY]
    assert (empty["input_ids"] == 99).all() and (empty["labels"] == -100).all()
    assert (empty["position_ids"] == first["position_ids"]).all()
    assert len(packed) == 1


def test_rows_are_stacked_to_a_batch_of_tensors():
    packed = PackedDataset(lines(([5, 6, 7], 1), ([8, 9, 10], 2)), pack_length=4, padding=0)
    batch = collate([packed[0], packed[1]])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 0], [8, 9, 10, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0], [0, 1, 2, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, IGNORED], [IGNORED, IGNORED, 10, IGNORED]]
    assert batch["prefix"].tolist() == [[True, False, False, False], [True, True, False, False]]
    assert batch["target_positions"].tolist() == [1, 2, 6]


def test_positions_are_left_out_only_where_every_row_is_one_sequence():
    packed = PackedDataset(lines(([5, 6, 7], 1), ([8, 9, 10], 2), ([11, 12], 1), ([13], 1)), pack_length=3, padding=0)
    whole, shared = [packed[0], packed[1]], packed[2]
    assert "position_ids" not in collate(whole)
    assert collate([*whole, shared])["position_ids"].tolist() == [[0, 1, 2], [0, 1, 2], [0, 1, 0]]


def test_a_batch_is_filled_up_to_one_shape_with_places_that_something_comes_before():
    """And each of them once: what is computed at a place is written there."""
    packed = PackedDataset(lines(([5, 6, 7], 1), ([8, 9], 1)), pack_length=4, padding=0)
    batch = collate_counted([packed[0]], padding=0, size=3, most_learned=7)
    assert batch["tokens"] == 3
    assert batch["input_ids"].tolist() == [[5, 6, 7, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    places = batch["target_positions"].tolist()
    assert places[:2] == [1, 2] and len(places) == len(set(places)) == 7 and min(places) > 0
    assert set(batch["labels"].flatten()[places[2:]].tolist()) == {IGNORED}


def shuffled(ids, rng):
    return rng.permutation(ids)


def epochs(packed, **loading):
    """The token ids of two epochs, row by row."""
    loader = DataLoader(packed, batch_size=2, collate_fn=collate, **loading)
    for epoch in range(2):
        packed.set_epoch(epoch)
        yield [row for batch in loader for row in batch["input_ids"].tolist()]


@pytest.mark.parametrize("loading", [{}, {"num_workers": 2, "persistent_workers": True}], ids=["here", "workers"])
def test_lines_change_from_epoch_to_epoch_and_are_the_same_for_a_seed(loading):
    table = lines(*(([*range(20 * i, 20 * i + 12)], 2) for i in range(6)))
    packed, plain = (PackedDataset(table, pack_length=24, padding=999) for _ in range(2))
    packed.augment_with(shuffled, seed=1)
    first, second = epochs(packed, **loading)
    assert first != second
    for found in (first, second):
        assert [[sorted(row[:12]), sorted(row[12:])] for row in found] == [
            [row[:12], row[12:]] for row in next(epochs(plain))
        ]
    packed.augment_with(shuffled, seed=1)
    assert [*epochs(packed)] == [first, second]
    packed.augment_with(shuffled, seed=2)
    assert next(epochs(packed)) != first
    row = packed[0]
    assert row["labels"][row["labels"] != IGNORED].tolist() == row["input_ids"][~row["prefix"]].tolist()
