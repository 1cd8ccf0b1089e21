"""What is trained: text, translation pairs, and the small decoders that people train here."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from datasets import Dataset as ArrowDataset
from transformers import default_data_collator

from recipes.benchmarks.measuring import (
    EVENT_VOCABULARY,
    MUSIC_CONTEXT,
    Result,
    check_counts,
    check_sizes,
    compared,
    numbered,
    random_rows,
)
from recipes.benchmarks.rows import PaddingCollator, PlainRows, UnpackedRows
from recipes.benchmarks.training import Training
from shared.data.encoding import encode
from shared.data.packing import PackedDataset
from shared.errors import UserError
from shared.task import Task
from shared.training.muon import MUON
from tasks.language_modeling.task import LanguageModeling, LanguageModelingArguments
from tasks.translation.task import Translation, TranslationArguments

GPT2_VOCABULARY = 50257
EVENTS_BATCH, SMALL_BATCH = 4, 8


@dataclass
class TrainingCases:
    """What to train, and for how long."""

    size: str | None = field(
        default=None, metadata={"help": "Train a decoder of this size on text (default: gpt2 on a GPU, else none)."}
    )
    batch_size: int = field(default=32, metadata={"help": "Rows of text in a step."})
    length: int = field(default=1024, metadata={"help": "Tokens in a row of text."})
    steps: int = field(default=20, metadata={"help": "Training steps that are measured."})
    warmup_steps: int = field(default=5, metadata={"help": "Training steps before them."})
    pairs: list[str] | None = field(
        default=None, metadata={"help": "File(s) of translations, fields en and de (default: the embedded sample)."}
    )
    pairs_size: str = field(default="tiny", metadata={"help": "Train a decoder of this size on translation pairs."})
    pairs_vocab_size: int = field(default=2000, metadata={"help": "Tokens of the pairs' vocabulary, at most."})
    pairs_length: int = field(default=64, metadata={"help": "Tokens in the line of a pair, at most."})
    pairs_row_length: int = field(default=128, metadata={"help": "Tokens in a packed row of pairs."})
    pairs_batch_size: int = field(default=8, metadata={"help": "Packed rows of pairs in a step."})
    small_shape: str | None = field(
        default=None,
        metadata={
            "help": "Train a decoder of this shape on 8 rows of pairs by Muon (default: 10 M on a GPU, else none)."
        },
    )
    events_size: str | None = field(
        default=None,
        metadata={"help": "Train a decoder of this size on 4 rows of 2,048 events by Muon (default: medium on a GPU)."},
    )

    def check(self) -> None:
        """Refuse numbers and sizes that measure nothing.

        Raises:
            UserError: that names the flag.
        """
        check_counts(self, ["batch_size", "length", "steps", "warmup_steps", "pairs_batch_size"])
        check_sizes(self, ["size", "pairs_size", "events_size"])


def text_training(cases: TrainingCases, size: str) -> Training:
    """Random tokens of GPT-2's vocabulary, a row of them one sequence."""
    task = LanguageModeling(LanguageModelingArguments(), numbered(GPT2_VOCABULARY))
    rows = cases.batch_size * (cases.warmup_steps + cases.steps)
    packed = one_sequence_a_row(random_rows(rows, cases.length, GPT2_VOCABULARY), task)
    return Training(
        f"train {size} on text, {cases.batch_size} rows of {cases.length:,}",
        size,
        task,
        packed,
        PlainRows(packed),
        default_data_collator,
        cases.batch_size,
        cases.steps,
        cases.warmup_steps,
    )


def events_training(cases: TrainingCases, size: str) -> Training:
    """Random events of music in rows of one piece, with relative attention, which transformers' GPT-2 does not have."""
    rows = EVENTS_BATCH * (cases.warmup_steps + cases.steps)
    task = LanguageModeling(LanguageModelingArguments(), numbered(EVENT_VOCABULARY))
    packed = one_sequence_a_row(random_rows(rows, MUSIC_CONTEXT, EVENT_VOCABULARY), task)
    return Training(
        f"train {size} on music by Muon, {EVENTS_BATCH} rows of {MUSIC_CONTEXT:,}",
        size,
        task,
        packed,
        PlainRows(packed),
        default_data_collator,
        EVENTS_BATCH,
        cases.steps,
        cases.warmup_steps,
        relative_attention=MUSIC_CONTEXT // 2,
        optim=MUON,
    )


def one_sequence_a_row(ids: list[list[int]], task: Task) -> PackedDataset:
    """Rows without padding, learned from their second token on."""
    length = len(ids[0])
    lines = ArrowDataset.from_dict({"input_ids": ids, "context": [1] * len(ids), "length": [length] * len(ids)})
    return PackedDataset(lines, length, task.vocabulary.padding)


def small_training(cases: TrainingCases, shape: str) -> Training:
    """A decoder of another shape on the same pairs, as small ones are trained here: 8 rows a step, by Muon."""
    case = replace(pairs_training(cases), overrides=shape, optim=MUON, batch_size=SMALL_BATCH)
    count = sum(weight.numel() for weight in case.new_decoder().parameters()) / 1e6
    name = f"train {count:.1f} M on pairs by Muon, {SMALL_BATCH} rows of {case.rows.pack_length:,}"
    return replace(case, name=name)


def pairs_training(cases: TrainingCases) -> Training:
    """Translations, packed by us and padded by transformers.

    Raises:
        UserError: if the pairs cannot be read, or do not fill a batch.
    """
    arguments = TranslationArguments(train_file=cases.pairs)
    rows = Translation.load_rows(arguments)["train"]
    task = Translation(arguments, Translation.build_vocabulary(arguments, None, rows, cases.pairs_vocab_size))
    lines, _ = encode(rows, lambda rows: task.all_sequences(rows, cases.pairs_length, True), "train")
    packed = PackedDataset(lines, max(cases.pairs_row_length, cases.pairs_length), task.vocabulary.padding)
    if len(packed) < cases.pairs_batch_size:
        raise UserError(f"--pairs_batch_size {cases.pairs_batch_size}: the pairs fill {len(packed)} rows only")
    return Training(
        f"train {cases.pairs_size} on pairs, {cases.pairs_batch_size} rows of {packed.pack_length:,}",
        cases.pairs_size,
        task,
        packed,
        UnpackedRows(packed),
        PaddingCollator(task.vocabulary.tokenizer),
        cases.pairs_batch_size,
        cases.steps,
        cases.warmup_steps,
    )


def training_results(cases: TrainingCases, systems: tuple[str, ...], device: torch.device) -> Iterator[Result]:
    """The lines of the table, one by one."""
    if cases.size:
        yield from compared(text_training(cases, cases.size).results(systems, device))
    yield from compared(pairs_training(cases).results(systems, device))
    if cases.small_shape:
        yield from compared(small_training(cases, cases.small_shape).results(systems, device))
    if cases.events_size:
        yield from compared(events_training(cases, cases.events_size).results(systems, device))
