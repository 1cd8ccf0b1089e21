"""A line that is read as it comes, against one that is read at once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.generation.steps import new_step
from shared.generation.stream import Stream

CONTEXT = 48
GREEDY = GenerationArguments(max_new_tokens=10)


class Ends:
    """A vocabulary whose end is token 0."""

    end = 0


@pytest.fixture(scope="module")
def decoders(new_decoder):
    """With learned positions alone, with relative attention and positions that repeat, and with copy attention."""
    relative = new_decoder(context=CONTEXT, relative_attention=5, position_period=7)
    for block in relative.blocks:
        nn.init.normal_(block.attn.relative, std=0.3)
    return [new_decoder(context=CONTEXT), relative, new_decoder(context=CONTEXT, copy_attention=5)]


lines = st.lists(st.integers(1, 23), min_size=1, max_size=CONTEXT - 11)


@given(
    st.integers(0, 2), st.lists(st.tuples(st.integers(0, CONTEXT), lines, st.integers(1, 9)), max_size=4, min_size=1)
)
@settings(max_examples=30)
def test_what_is_read_as_it_comes_is_what_is_read_at_once(decoders, kind, changes):
    """Lines that share a beginning with the one before, read `several` tokens at a time, each then gone on with."""
    decoder, line = decoders[kind], []
    stream = Stream(decoder, GREEDY, Ends)
    for shared, rest, several in changes:
        line = [*line[:shared], *rest][: CONTEXT - 11]
        for length in (*range(0, len(line), several), len(line)):
            stream.read(line[:length])
        assert stream.held == line
        whole = new_step(decoder, 1, CONTEXT)
        whole.prefill({0: line})
        ours, theirs = ([*step.cache.keys, *step.cache.values] for step in (stream.decode, whole))
        for own, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(own[:, :, : len(line)], other[:, :, : len(line)], rtol=1e-4, atol=1e-4)
        stream.begin(line, 10)
        written = []
        while (token := stream.write()) is not None:
            written.append(token)
        assert [written] == generate(decoder, [line], GREEDY, Ends)


def test_what_is_drawn_is_what_the_same_stream_of_numbers_draws(decoders):
    sampled = GenerationArguments(max_new_tokens=10, do_sample=True, top_k=5)
    stream, line = Stream(decoders[0], sampled, Ends), [3, 1, 4, 1, 5]
    for number in range(3):
        stream.read(line[:-1])  # the last one is read by the first step of writing
        stream.begin(line, 10, seed=(7, number))
        written = list(iter(stream.write, None))
        assert [written] == generate(decoders[0], [line], sampled, Ends, seed=7, streams=[number])
        assert stream.write() is None  # nor does it go on


def test_what_is_shared_is_not_read_again(decoders):
    stream, line = Stream(decoders[0], GREEDY, Ends), [1 + place % 23 for place in range(20)]
    stream.read(line)
    stream.trim_to([*line, 0])
    assert stream.held == line
    stream.trim_to([*line[:10], 0])
    assert stream.held == line[:10]


def test_what_cannot_go_token_by_token_is_refused(new_decoder, decoders):
    with pytest.raises(UserError, match="--mask causal"):
        Stream(new_decoder(mask="prefix"), GREEDY, Ends)
    with pytest.raises(UserError, match="--num_beams 2"):
        Stream(decoders[0], GenerationArguments(num_beams=2), Ends)
