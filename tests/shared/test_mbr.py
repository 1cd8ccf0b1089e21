import numpy as np

from shared.mbr import consensus


def between_all(utility):
    return lambda outputs: np.array([[utility(output, other) for other in outputs] for output in outputs])


@between_all
def overlap(output, other):
    return len(set(output) & set(other)) / max(1, len(set(output)))


def test_the_output_most_like_all_others_wins():
    # means over the four: "ab" (1 + 1 + 0 + 1) / 4, "abc" (2/3 + 1 + 0 + 2/3) / 4, "xy" 1 / 4
    assert consensus(["xy", "abc", "ab", "ab"], overlap) == 2
    assert consensus(["abc", "ab", "xy"], overlap) == 1
    assert consensus([""], overlap) == 0


def test_what_is_drawn_often_weighs_as_often():
    equal = between_all(str.__eq__)
    assert consensus(["a", "b", "c", "b"], equal) == 1
    assert consensus(["c", "a", "b"], equal) == 0


def test_utility_runs_from_a_candidate_to_the_others():
    """A measure that asks how much of the candidate is found elsewhere prefers the short one; reversed, the long."""
    assert consensus(["ab", "abc"], overlap) == 0
    assert consensus(["ab", "abc"], lambda outputs: overlap(outputs).T) == 1
