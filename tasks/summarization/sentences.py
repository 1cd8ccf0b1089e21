"""Where sentences end, and which of them open a section."""

import re

# A sentence ends at `.`, `!` or `?`, any closing quote or bracket, and white space.
SENTENCE_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+")
# The same where what follows begins like a sentence, which "e.g. this" and "No. 5" do not.
CLEAR_SENTENCE_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+(?=[\"'“‘(\[]*[^\W\d_a-z])")


def first_sentences(text: str, count: int) -> str:
    """The text up to the end of its `count`-th sentence."""
    ends = list(SENTENCE_END.finditer(text))
    return text[: ends[count - 1].end(1)] if len(ends) >= count else text


def openings(body: str, words: int | None = None) -> str:
    """The first sentence of every section, up to the one that reaches so many `words`; blank lines part sections."""
    kept, length = [], 0
    for section in body.split("\n\n"):
        if words is not None and length >= words:
            break
        end = CLEAR_SENTENCE_END.search(section)
        kept.append(section[: end.end(1)] if end else section)
        length += len(kept[-1].split())
    return " ".join(kept)
