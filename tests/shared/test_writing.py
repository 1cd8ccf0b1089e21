"""What is read to write on past the context, and how much of what is written was ruled out."""

import pytest

from shared.writing import Constraint, latter_half


@pytest.mark.parametrize("context", [8, 9])
def test_the_latter_half_of_a_full_context_is_read_again(context):
    line = [*range(100, 100 + context)]
    for given in range(1, context):
        prompt, written = line[:given], line[given:]
        assert latter_half(prompt, written[:-1], context).ids == line[:-1]
        assert latter_half(prompt, written, context).ids == line[-(context // 2) :] == line[(context + 1) // 2 :]


def test_what_was_removed_is_a_share_of_the_tokens_also_of_none(monkeypatch):
    monkeypatch.setattr(Constraint, "__abstractmethods__", frozenset())
    rule = Constraint(5)
    assert rule.removed_share == 0
    rule.removed, rule.tokens = 1.0, 4
    assert rule.removed_share == 0.25
