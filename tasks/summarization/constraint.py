"""Names and numbers are taken from the source: what a decoder knows of other articles cannot take their place.

Where a small decoder does not find a fact, it writes a frequent name of the same kind. Here, a token that begins a name
or holds a digit may be written only if it stands in the prompt. Of names of several tokens, only the first is held to
it; in languages that write other words with a capital, such as German's nouns, those count as names, too.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from shared.data.vocabulary import TextVocabulary
from shared.writing import Constraint

SENTENCE_END = re.compile(r"[.!?]\W*$|\n$")


def names(text: str) -> bool:
    """Whether a token's text begins a name or a number. A word after a space is none of a sentence's first.

    Of a letter whose bytes are several tokens, nothing can be said: it counts as none.
    """
    return (text[:1] == " " and text[1:2].isupper()) or text.removeprefix(" ")[:1].isdigit()


class NamesFromSource(Constraint):
    """Names and numbers stand in the prompt; every prompt ends with what its output has `begun` with.

    The state, for R rows: `in_source` bool [R, V], the tokens of the prompt; `begins` [R], whether the next token
    begins a sentence, whose first word may have any capital.
    """

    def __init__(self, vocabulary: TextVocabulary, begun: Sequence[int] = ()):
        size = max(vocabulary.tokens.values()) + 1
        super().__init__(size)
        self.begun = begun
        self.names, self.ends = torch.zeros(2, size, dtype=torch.bool)
        for token, index in vocabulary.tokens.items():
            text = vocabulary.tokenizer.convert_tokens_to_string([token])
            self.names[index] = names(text)
            self.ends[index] = SENTENCE_END.search(text) is not None

    def new_state(self, slots: int, device: torch.device | str) -> dict[str, Tensor]:
        self.to(device)
        return {
            "in_source": torch.zeros(slots, len(self.names), dtype=torch.bool, device=device),
            "begins": torch.ones(slots, dtype=torch.bool, device=device),
        }

    def begin(
        self, state: dict[str, Tensor], slot: int, prompt: Sequence[int], new_tokens: int, written: Sequence[int] = ()
    ) -> None:
        state["in_source"][slot] = False
        state["in_source"][slot, torch.tensor(prompt, device=self.names.device)] = True
        before = [*self.begun, *written]
        state["begins"][slot] = self.ends[before[-1]] if before else True

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        return ~self.names | state["in_source"] | state["begins"][:, None]

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        state["begins"].copy_(self.ends[tokens])
