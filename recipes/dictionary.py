"""Turn a German-English dictionary in Ding's format into pairs that a training can use beside sentences.

    python recipes/dictionary.py de-en --texts train.jsonl captions.en.txt --output_file dictionary.jsonl

The dictionary of Chemnitz (https://dict.tu-chemnitz.de, GPL) is such a file; Debian's package trans-de-en installs it
as /usr/share/trans/de-en. With --texts, only entries stay whose English words all occur in those files, as in what
the decoder will read. A training takes the pairs as further files: `--train_file train.jsonl dictionary.jsonl`.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

from shared.data.loading import check_file
from shared.errors import UserError
from shared.runs.cli import Parser, run
from tasks.translation.dictionary import known, pairs, words_of
from tasks.translation.texts import load_texts, pairs_file, write_pairs


@dataclass
class DictionaryArguments:
    """Which entries to keep, and where they go."""

    texts: list[str] | None = field(
        default=None,
        metadata={"help": "Keep entries whose English words all occur in these files (.txt, or rows with 'en')."},
    )
    output_file: str | None = field(default=None, metadata={"help": "Where to write the pairs, as JSON lines."})


def main(arguments: list[str]) -> None:
    parser = Parser(DictionaryArguments)
    parser.add_argument("dictionary", help="The dictionary: a text file of lines 'German :: English'.")
    asked, given = parser.parse(arguments)
    path = pairs_file(asked.output_file, [given.dictionary, *(asked.texts or ())])
    check_file(given.dictionary)
    try:
        with Path(given.dictionary).open(encoding="utf-8") as lines:
            found = [*pairs(lines)]
    except UnicodeDecodeError:
        raise UserError(f"{given.dictionary} is no text in UTF-8: convert it first") from None
    if not found:
        raise UserError(f"{given.dictionary}: no line reads 'German :: English'")
    kept = found
    if asked.texts:
        words = {word for text in load_texts(asked.texts, "en") for word in words_of(text)}
        kept = [pair for pair in found if known(pair, words)]
    random.Random(0).shuffle(kept)  # an alphabet's order is no order to learn in, nor to take a first part of
    write_pairs(({"en": english, "de": german} for english, german in kept), path)
    print(f"{path}: {len(kept)} pairs of {len(found)}")


if __name__ == "__main__":
    run(main)
