import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data.sequence import TokenSequence, build_prompt, build_sequence, loss_mask, windows

SEPARATOR, END = 100, 101
tokens = st.lists(st.integers(0, 99), max_size=30)


def test_a_line_is_source_separator_target_end():
    line = build_sequence([1, 2, 3], [SEPARATOR], [4, 5], END, max_length=7)
    assert line == TokenSequence([1, 2, 3, SEPARATOR], [4, 5, END], cut=0)
    assert len(line) == 7


def test_the_end_of_an_overlong_source_is_cut():
    assert build_sequence([1, 2, 3], [SEPARATOR], [4, 5], END, max_length=6) == TokenSequence(
        [1, 2, SEPARATOR], [4, 5, END], cut=1
    )


def test_one_source_token_is_the_least_that_may_remain():
    assert build_sequence([1, 2, 3], [SEPARATOR], [4, 5], END, max_length=5) == TokenSequence(
        [1, SEPARATOR], [4, 5, END], cut=2
    )
    assert build_sequence([1, 2, 3], [SEPARATOR], [4, 5], END, max_length=4) is None


def test_an_empty_source_needs_no_room():
    assert build_sequence([], [SEPARATOR], [4, 5], END, max_length=4) == TokenSequence([SEPARATOR], [4, 5, END])
    assert build_sequence([], [SEPARATOR], [4, 5], END, max_length=3) is None


@given(tokens, tokens, st.integers(2, 40))
def test_a_line_fits_and_keeps_its_target_whole(source, target, max_length):
    line = build_sequence(source, [SEPARATOR], target, END, max_length)
    if line is None:
        assert len(target) + 2 + min(len(source), 1) > max_length
        return
    assert len(line) <= max_length
    assert list(line.target) == [*target, END]
    assert list(line.context) == [*source[: len(source) - line.cut], SEPARATOR]
    assert line.cut == max(0, len(source) + len(target) + 2 - max_length)


def test_a_prompt_keeps_room_for_new_tokens():
    assert build_prompt([1, 2, 3, 4, 5], [SEPARATOR], max_length=10, new_tokens=4) == TokenSequence(
        [1, 2, 3, 4, 5, SEPARATOR]
    )
    assert build_prompt([1, 2, 3, 4, 5, 6], [SEPARATOR], max_length=10, new_tokens=4) == TokenSequence(
        [1, 2, 3, 4, 5, SEPARATOR], cut=1
    )


def test_a_prompt_keeps_half_of_the_line_however_many_tokens_are_asked_for():
    assert build_prompt(list(range(9)), [SEPARATOR], max_length=10, new_tokens=99) == TokenSequence(
        [0, 1, 2, 3, SEPARATOR], cut=5
    )


@given(tokens, st.integers(2, 40), st.integers(1, 60))
def test_a_prompt_is_the_beginning_of_its_line(source, max_length, new_tokens):
    prompt = build_prompt(source, [SEPARATOR], max_length, new_tokens)
    assert list(prompt.context) == [*source[: len(source) - prompt.cut], SEPARATOR]
    assert not prompt.target
    assert len(prompt) + new_tokens <= max_length or len(prompt) <= max_length // 2


def test_windows_overlap_by_what_the_stride_leaves():
    assert windows([0, 1, 2, 3, 4, 5, 6, 7], max_length=5, stride=2) == [
        TokenSequence([0], [1, 2, 3, 4]),
        TokenSequence([2, 3, 4], [5, 6]),
        TokenSequence([3, 4, 5, 6], [7]),
    ]


def test_the_longest_stride_gives_each_token_the_least_context():
    assert windows([0, 1, 2, 3, 4, 5], max_length=3, stride=2) == [
        TokenSequence([0], [1, 2]),
        TokenSequence([2], [3, 4]),
        TokenSequence([3, 4], [5]),
    ]


def test_windows_begin_at_the_same_place_in_a_group():
    assert windows([0, 1, 2, 3, 4, 5, 6, 7], max_length=6, stride=4, align=2) == [
        TokenSequence([0], [1, 2, 3, 4, 5]),
        TokenSequence([2, 3, 4, 5], [6, 7]),
    ]
    assert windows([0, 1, 2, 3, 4, 5, 6, 7, 8], max_length=6, stride=2, align=4)[1:] == [
        TokenSequence([4, 5], [6, 7]),
        TokenSequence([4, 5, 6, 7], [8]),
    ]


@given(st.integers(0, 200), st.integers(2, 40), st.data())
def test_windows_learn_every_token_but_the_first_exactly_once(count, max_length, data):
    text, align = list(range(count)), data.draw(st.integers(1, max_length // 2))
    vary = data.draw(st.booleans())
    found = windows(text, max_length, data.draw(st.integers(1, max_length - align)), align, vary)
    assert [token for window in found for token in window.target] == text[1:]
    for window in found:
        assert len(window) <= max_length
        assert len(window.context) > 0
        whole = [*window.context, *window.target]
        assert whole[0] % align == 0
        assert whole == text[whole[0] : whole[0] + len(whole)]


def test_long_texts_end_at_many_positions_of_a_line_where_that_is_learned():
    texts = [list(range(length)) for length in range(65, 200)]
    ends = [{len(windows(text, 64, 63, vary_end=vary)[-1]) - 1 for text in texts} for vary in (False, True)]
    assert ends[0] == {63} and len(ends[1]) > 16 and min(ends[1]) > 32


@pytest.mark.parametrize("stride", [-1, 0, 8])
def test_a_stride_must_leave_some_context(stride):
    with pytest.raises(ValueError, match=f"stride {stride}"):
        windows([1, 2, 3], max_length=8, stride=stride)


def test_a_separator_may_be_several_tokens():
    assert build_sequence([1, 2, 3], [98, 99], [4], END, max_length=6) == TokenSequence([1, 2, 98, 99], [4, END], cut=1)
    assert build_sequence([1, 2, 3], [98, 99], [4], END, max_length=4) is None
    assert build_prompt([1, 2, 3], [98, 99], max_length=6, new_tokens=2) == TokenSequence([1, 2, 98, 99], cut=1)
    assert build_prompt([1, 2, 3], [98, 99], max_length=2, new_tokens=2) == TokenSequence([98, 99], cut=3)


def test_labels_fall_on_the_target_or_on_all_but_the_first_token():
    assert loss_mask(5, 3, "target").tolist() == [False, False, False, True, True]
    assert loss_mask(5, 3, "all").tolist() == [False, True, True, True, True]
