"""Rows become sequences of ids, in their order; what does not fit is counted."""

import pytest
from datasets import Dataset

from shared.data.encoding import encode, pack_split
from shared.data.packing import PackedDataset
from shared.errors import UserError

LENGTH = 24


@pytest.fixture
def rows(task):
    """Rows of many lengths, in no order."""
    texts = ["dog", "the cat and the rat", "owl and hen", "a", "pig and the pig and the pig", "the fox", "cow", "hens"]
    return Dataset.from_list([{"source": text, "target": text[::-1]} for text in texts])


def lengths(task, max_length):
    """The sequences of rows in training, of at most `max_length` tokens."""
    return lambda rows: task.all_sequences(rows, max_length, training=True)


def test_several_processes_tokenise_as_one(task, rows):
    alone, dropped = encode(rows, lengths(task, 10), "train")
    together, also_dropped = encode(rows, lengths(task, 10), "train", processes=2)
    assert together.to_list() == alone.to_list() and also_dropped == dropped


def test_what_one_process_left_is_not_tokenised_again(task, rows, tmp_path):
    def pack(sequences):
        return pack_split(rows, sequences, "train", max_length=LENGTH, pack_length=None, padding=0, shared=tmp_path)

    first = pack(lengths(task, LENGTH))
    second = pack(lambda rows: pytest.fail("tokenised again"))
    assert second.rows == first.rows
    assert all((second[index][name] == first[index][name]).all() for index in range(len(first)) for name in first[0])


def test_rows_become_lines_of_ids(task):
    rows = Dataset.from_list([{"source": "the dog", "target": "the cat"}, {"source": "", "target": "x"}])
    lines, counts = encode(rows, lengths(task, LENGTH), "train")
    assert counts == {"dropped": 0, "cut": 0}
    read, copy, end = task.vocabulary.encode, task.vocabulary.tokens["<|copy|>"], task.vocabulary.end
    expected = [[*read("the dog"), copy, *read("the cat"), end], [copy, *read("x"), end]]
    assert lines["input_ids"][:] == expected
    assert lines["context"][:] == [len(read("the dog")) + 1, 1]
    assert lines["length"][:] == [len(ids) for ids in expected]


def test_rows_that_do_not_fit_are_dropped_and_counted_and_cut_ones_are_counted(task):
    texts = [("zzzzz", "ab"), ("zzzzzzzzzz", "cd"), ("z", "q" * 20), ("zz", "ef"), ("z", "q" * 30), ("zzzzzzz", "gh")]
    rows = Dataset.from_list([{"source": source, "target": target} for source, target in texts])
    lines, counts = encode(rows, lengths(task, 10), "train")
    assert counts == {"dropped": 2, "cut": 2}
    assert [task.vocabulary.decode(ids) for ids in lines["input_ids"]] == ["zzzzzab", "zzzzzzcd", "zzef", "zzzzzzgh"]
    assert max(lines["length"]) == 10
    packed = PackedDataset(lines, 10, task.vocabulary.padding)
    assert packed.tokens == sum(lines["length"])
    starts = {task.vocabulary.decode(packed[index]["input_ids"]) for index in range(len(packed))}
    assert starts == {task.vocabulary.decode(ids) for ids in lines["input_ids"]}


def test_more_rows_than_one_batch_of_the_tokeniser_keep_their_order(task):
    rows = Dataset.from_list([{"source": str(number), "target": "x"} for number in range(250)])
    lines, _ = encode(rows, lengths(task, LENGTH), "train")
    assert [task.vocabulary.decode(ids) for ids in lines["input_ids"]] == [f"{number}x" for number in range(250)]


def test_rows_of_which_none_fits_are_an_error_of_the_user(task):
    rows = Dataset.from_list([{"source": "z", "target": "q" * 30}])
    with pytest.raises(UserError, match="none of the 1 rows of train fits into --max_length 10"):
        pack_split(rows, lengths(task, 10), "train", max_length=10, pack_length=None, padding=0)
