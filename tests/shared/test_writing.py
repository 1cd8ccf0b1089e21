"""What is read to write on past the context."""

import pytest

from shared.writing import latter_half


@pytest.mark.parametrize("context", [8, 9])
def test_the_latter_half_of_a_full_context_is_read_again(context):
    line = [*range(100, 100 + context)]
    for given in range(1, context):
        prompt, written = line[:given], line[given:]
        assert latter_half(prompt, written[:-1], context).ids == line[:-1]
        assert latter_half(prompt, written, context).ids == line[-(context // 2) :] == line[(context + 1) // 2 :]
