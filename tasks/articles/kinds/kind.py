"""What a kind of article is made of.

A field in braces is a fact; `{fact:a}` puts its article before it. Sentences of the body name their subject
by `{Who}`, `{who}`, `{Whose}`, `{whose}` or `{whom}`: whether a name or a pronoun stands there depends on the
sentence before. `{he}` and `{his}` are always pronouns, for a second mention in one sentence.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    headings: tuple[str, ...]
    facts: tuple[tuple[str, ...], ...]  # each fact of the lead once, in one of these wordings
    distractors: tuple[str, ...]  # true as well, but no matter of the lead


@dataclass(frozen=True)
class Ending:
    """What became of the subject, or what it is known for: articles of a kind differ in more than names."""

    lead: str
    wordings: tuple[str, ...]  # the same fact in the body, told in the kind's last section


@dataclass(frozen=True)
class Kind:
    names: tuple[list[str], list[str]]  # a title is one word of each
    name: str  # the subject at its first mention
    short: str  # at later ones
    facts: dict[str, list[str]]  # drawn so that no two facts of an article share their last word
    years: dict[str, tuple[int, int]]  # the first between these bounds, each later one so much after the one before
    lead: str
    endings: tuple[Ending, ...]
    sections: tuple[Section, ...]
