"""Make data that test copying: the target is what follows, in the source, the word that is asked for.

    python recipes/copying_data.py outputs/copying --span 3
    python recipes/compare.py --variants recipes/configs/comparisons/copying.yaml --task translation \
        --scores exact loss --train_file outputs/copying/train.jsonl --test_file outputs/copying/test.jsonl \
        --source_lang asked --target_lang copy --size tiny --max_steps 600 --optim muon --learning_rate 5e-3

    asked: kobu mira tona; desa lupo wike; rilo kobu fame; desa?        copy: lupo wike

A decoder cannot memorise the answers, because every row draws anew which words follow which. A decoder with `exact`
near 100 finds the word again and copies what follows it (an induction head, Olsson et al. 2022,
https://arxiv.org/abs/2209.11895). The number of steps that this takes depends on its size and on how it learns.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random

from shared.errors import UserError
from shared.files import atomic_directory
from shared.runs.cli import Parser, run

SYLLABLES = [consonant + vowel for consonant, vowel in product("bdfgklmnprstvw", "aeiou")]
HELD_OUT = 200  # rows of the validation split, and of the test split


@dataclass
class CopyingArguments:
    """The shape of a row, and how many there are."""

    rows: int = field(default=20_000, metadata={"help": "Rows to learn from."})
    words: int = field(default=300, metadata={"help": "Different words in all rows together, at most 4,900."})
    records: int = field(default=6, metadata={"help": "Records in a row, of which one is asked for."})
    span: int = field(default=2, metadata={"help": "Words in a record after its first, which are to be copied."})
    seed: int = field(default=0, metadata={"help": "Where the random numbers start."})

    def check(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            UserError: in one line.
        """
        for name in ("rows", "records", "span"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}: give 1 or more")
        if not self.records <= self.words <= len(SYLLABLES) ** 2:
            raise UserError(
                f"--words is {self.words}: give {self.records} (--records) to {len(SYLLABLES) ** 2:,}, for the first "
                "words of a row differ"
            )


def main(arguments: list[str]) -> None:
    parser = Parser(CopyingArguments)
    parser.add_argument("folder", help="Where train.jsonl, validation.jsonl and test.jsonl go.")
    shape, given = parser.parse(arguments)
    shape.check()
    counts = {"train": shape.rows, "validation": HELD_OUT, "test": HELD_OUT}
    for split in counts:
        if (there := Path(given.folder, f"{split}.jsonl")).exists():
            raise UserError(f"{there} is there already: give another folder")
    drawn = rows(shape)
    with atomic_directory(Path(given.folder)) as staging:
        for split, count in counts.items():
            lines = (json.dumps(next(drawn)) + "\n" for _ in range(count))
            (staging / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{shape.rows} rows to learn from, {HELD_OUT} to validate and to test on: {given.folder}")


def rows(shape: CopyingArguments) -> Iterator[dict[str, str]]:
    """Rows without end, each drawn anew."""
    rng = Random(shape.seed)
    words = rng.sample(["".join(pair) for pair in product(SYLLABLES, SYLLABLES)], shape.words)
    while True:
        first = rng.sample(words, shape.records)
        spans = [" ".join(rng.choices(words, k=shape.span)) for _ in first]
        place = rng.randrange(shape.records)
        told = "; ".join(map(" ".join, zip(first, spans, strict=True)))
        yield {"asked": f"{told}; {first[place]}?", "copy": spans[place]}


if __name__ == "__main__":
    run(main)
