"""The embedded sample: short encyclopedia articles, so that the recipe runs without a download.

The articles are artificial. They were composed for this project from word lists and sentence patterns
(`kinds/`), and nothing in them is a fact about the real world. The facts of each lead are spread over the
sections, in changing words and order and among others of the same sort (other towns, trades, years), so that
a model has to find them: the first words of the body make a poor summary. What a model learns here is the form
of the task, not how to summarise Wikipedia.
"""

import random
import re
from itertools import accumulate, product

from tasks.articles.kinds import KINDS, words
from tasks.articles.kinds.kind import Kind, Section

SIZES = {"train": 3000, "validation": 100, "test": 100}
SEED = 2020
MAX_DISTRACTORS = 2  # in a section, which has at least one

FIELD = re.compile(r"{(\w+)")
WOMEN, MEN = frozenset(words.WOMEN), frozenset(words.MEN)


def sample() -> dict[str, list[dict]]:
    """The splits. A title is used once, and lead and body name it, so that no two splits share any of them."""
    rng = random.Random(SEED)
    per_kind = -(-sum(SIZES.values()) // len(KINDS))
    rows = [article(kind, name, rng) for kind in KINDS for name in rng.sample(list(product(*kind.names)), per_kind)]
    rng.shuffle(rows)
    remaining = iter(rows)
    return {split: [next(remaining) for _ in range(size)] for split, size in SIZES.items()}


def article(kind: Kind, name: tuple[str, str], rng: random.Random) -> dict:
    """One row: a title, its lead, and the sections in any order."""
    facts = draw_facts(kind, name, rng)
    ending = rng.choice(kind.endings)
    wordings = [section.facts for section in kind.sections]
    wordings[-1] += (ending.wordings,)
    outline = list(zip(kind.sections, wordings, strict=True))
    rng.shuffle(outline)
    narrator = Narrator(kind, facts)
    return {
        "title": capitalised(facts["title"]),
        "lead": f"{kind.lead} {ending.lead}".format_map(facts),
        "sections": [
            {
                "heading": rng.choice(section.headings),
                "paragraphs": [narrator.tell(paragraph) for paragraph in paragraphs(section, wordings, rng)],
            }
            for section, wordings in outline
        ],
    }


def draw_facts(kind: Kind, name: tuple[str, str], rng: random.Random) -> dict[str, "Fact"]:
    """An article's facts. No two share their last word: a family name is one person's, a town has one role."""
    first, last = name
    facts = {"title": " ".join(name), "last": last}
    taken = {last}
    for keys, options in kind.facts.items():
        parts = rng.choice(options).split("/")
        while not taken.isdisjoint(last_words := {part.split()[-1] for part in parts}):
            parts = rng.choice(options).split("/")
        taken |= last_words
        facts.update(zip(keys.split("/"), parts, strict=True))
    years = accumulate(rng.randint(*bounds) for bounds in kind.years.values())
    facts.update(zip(kind.years, map(str, years), strict=True))
    facts["he"], facts["him"], facts["his"] = pronouns(first)
    facts["He"] = capitalised(facts["he"])
    return {key: Fact(fact) for key, fact in facts.items()}


def pronouns(first_name: str) -> tuple[str, str, str]:
    if first_name in WOMEN:
        return "she", "her", "her"
    if first_name in MEN:
        return "he", "him", "his"
    return "it", "it", "its"


def paragraphs(section: Section, wordings: tuple[tuple[str, ...], ...], rng: random.Random) -> list[list[str]]:
    """The sentences of a section, still with their fields: its facts in some wording, among distractors."""
    sentences = [rng.choice(wording) for wording in wordings]
    sentences += rng.sample(section.distractors, rng.randint(1, MAX_DISTRACTORS))
    rng.shuffle(sentences)
    cut = rng.choice((2, len(sentences)))
    return [part for part in (sentences[:cut], sentences[cut:]) if part]


class Narrator:
    """Fills in sentences, and calls their subject by full name, short name or pronoun."""

    def __init__(self, kind: Kind, facts: dict[str, "Fact"]):
        self.facts: dict[str, str] = {**facts}
        self.name, self.short = kind.name.format_map(facts), kind.short.format_map(facts)
        self.others = {field for field, options in kind.facts.items() if options is words.PEOPLE}

    def tell(self, sentences: list[str]) -> str:
        """One paragraph. A pronoun stands only after a sentence with the same subject and no other person."""
        told, is_clear = [], False
        for sentence in sentences:
            told.append(sentence.format_map(self.facts | self.mentions(is_clear)))
            fields = set(FIELD.findall(sentence))
            if fields & {"Who", "who", "Whose", "whose", "whom"}:
                self.name = self.short  # the full name only once
            is_clear = bool(fields & {"Who", "who"}) and not fields & self.others
        return " ".join(told)

    def mentions(self, is_clear: bool) -> dict[str, str]:
        """How the subject is called in a sentence."""
        if is_clear:
            who, whom, whose = self.facts["he"], self.facts["him"], self.facts["his"]
        else:
            who, whom, whose = self.name, self.name, f"{self.name}'s"
        capitals = {"Who": capitalised(who), "Whose": capitalised(whose)}
        return {"who": who, "whom": whom, "whose": whose, **capitals}


class Fact(str):
    """A word or phrase; `{fact:a}` puts its indefinite article before it (no word is like "hour")."""

    def __format__(self, spec: str) -> str:
        if spec == "a":
            return f"{'an' if self[0] in 'aeiou' else 'a'} {self}"
        return super().__format__(spec)


def capitalised(text: str) -> str:
    return text[0].upper() + text[1:]
