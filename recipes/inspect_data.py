"""Show what a decoder reads in training: packed rows as tokens, positions, lengths and padding.

    python recipes/inspect_data.py translation
    python recipes/inspect_data.py translation --train_file train.jsonl --source_lang en --target_lang de --split train
    python recipes/inspect_data.py music --show_rows 1

Flags and defaults are the recipe's own. For every sequence in a row, it prints where the sequence begins and ends, its
positions, its context (attended to) and its target (learned, unless --loss_on says more). The context ends with the
separator. Standard error says, before the summary, how many sequences were dropped or cut.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from onedecoder.naming import token_names
from shared.data.packing import PackedDataset
from shared.errors import UserError
from shared.model.start import start_vocabulary
from shared.runs.cli import Parser, run
from shared.runs.flags import parse
from shared.runs.pipeline import load_splits, pack
from shared.tables import table
from tasks import TASKS

WIDTH = 100
PERCENTILES = {0: "least", 5: "5 %", 25: "25 %", 50: "median", 75: "75 %", 95: "95 %", 100: "most"}


@dataclass
class InspectArguments:
    """What to show."""

    split: str = field(default="train", metadata={"help": "train, validation or test."})
    show_rows: int = field(default=2, metadata={"help": "How many packed rows to print."})


def main(arguments: list[str]) -> None:
    if arguments[:1] in ([], ["-h"], ["--help"]):
        print(f"{__doc__}\nTASK is one of {', '.join(TASKS)}; the flags --split and --show_rows are this recipe's own.")
        return
    name, *flags = arguments
    if name not in TASKS:
        raise UserError(f"no task '{name}': give one of {', '.join(TASKS)}")
    # This recipe's own flags are taken out first; what is left is the training's.
    shown, rest = Parser(InspectArguments, add_help=False).parse_known_args(flags)
    if shown.config:
        rest.append(f"--config={shown.config}")
    if shown.show_rows < 0:
        raise UserError(f"--show_rows {shown.show_rows}: give 0 or more")
    kind = TASKS[name]
    data, model, _, training = parse(kind, rest)
    splits = load_splits(kind, data, training.seed)
    if shown.split not in splits:
        raise UserError(f"--split {shown.split}: the data have {', '.join(splits)}")
    vocabulary = start_vocabulary(kind, data, splits.get("train"), model)
    task, learning = kind(data, vocabulary), shown.split == "train"
    packed = pack(task, splits[shown.split], model, shown.split, learning, training.seed)
    if learning:
        packed.augment_with(task.augment, training.seed)
    names = token_names(vocabulary, max(vocabulary.tokens.values()) + 1)
    print("\n".join(summary(packed)))
    for index in range(min(shown.show_rows, len(packed))):
        print("\n".join(packed_row(packed, index, names)))


def summary(packed: PackedDataset) -> list[str]:
    """Lengths in tokens, and how full the packed rows are."""
    room = len(packed) * packed.pack_length
    lengths = {"source": packed.context, "target": packed.lengths - packed.context, "whole": packed.lengths}
    rows = [
        {"tokens": name}
        | {
            label: f"{value:.0f}"
            for label, value in zip(PERCENTILES.values(), np.percentile(values, list(PERCENTILES)), strict=True)
        }
        for name, values in lengths.items()
    ]
    return [
        f"{len(packed.lengths):,} sequences in {len(packed):,} packed rows of {packed.pack_length} tokens",
        f"{packed.tokens / len(packed):.1f} tokens a row, {100 * (1 - packed.tokens / room):.2f} % padding",
        "",
        table(["tokens", *PERCENTILES.values()], rows),
        "(source with its separator, target with its end)",
    ]


def packed_row(packed: PackedDataset, index: int, names: list[str]) -> Iterator[str]:
    """One packed row as lines: its sequences, each as context and target."""
    row = packed[index]
    yield ""
    yield f"row {index}"
    begin = 0
    for sequence in packed.rows[index]:
        end = begin + int(packed.lengths[sequence])
        positions = row["position_ids"][begin:end]
        yield f"  {begin}-{end - 1}, positions {positions[0]}-{positions[-1]}"
        for part, chosen in {"context": row["prefix"][begin:end], "target": ~row["prefix"][begin:end]}.items():
            tokens = " ".join(names[token] for token in row["input_ids"][begin:end][chosen])
            yield from textwrap.wrap(
                tokens,
                WIDTH,
                initial_indent=f"    {part:<8} ",
                subsequent_indent=" " * 13,
                break_on_hyphens=False,
            )
        begin = end
    if begin < packed.pack_length:
        yield f"  {begin}-{packed.pack_length - 1} padding"


if __name__ == "__main__":
    run(main)
