"""Score a run: the likelihood of a split, and what the decoder writes for it.

    python recipes/evaluate.py outputs/translation
    python recipes/evaluate.py outputs/en-de --num_beams 5 --test_file test_2017.jsonl --name test_2017
    accelerate launch --config_file recipes/accelerate/many_gpus.yaml recipes/evaluate.py outputs/en-de
    python recipes/evaluate.py outputs/en-de --ensemble outputs/seed_2 outputs/seed_3
    python recipes/evaluate.py outputs/en-de --load_in_8bit true
    python recipes/evaluate.py outputs/en-de --outputs of_another_program.txt
    python recipes/evaluate.py outputs/en-de --compare_to outputs/seed_2

By default, data and generation settings are those of the training. The scores go to RUN/metrics.json and to the model
card under --name, and the outputs go to RUN/NAME. Without a name, other settings than the run's own give their names to
the scores, such as test_num_beams_5, so the training's scores do not change. --outputs scores the given outputs instead
of the decoder's. --compare_to tests whether the outputs of two runs for the same rows differ by more than chance.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset

from shared.errors import UserError
from shared.evaluation import evaluate
from shared.files import check_writable, in_turn
from shared.generation.arguments import DecoderArguments, GenerationArguments
from shared.generation.candidates import check_writing
from shared.hardware import BF16, GPU
from shared.runs.cli import Parser, names_of, read_yaml, run
from shared.runs.ensemble import with_ensemble
from shared.runs.folder import CARD, OF_TRAINING, SAMPLES, Run, add_metrics, names_outputs, read_metrics
from shared.runs.given import compare_saved, score_given
from shared.runs.model_card import model_card, write_card
from shared.runs.pipeline import load_splits, pack, prepared_once, print_metrics
from shared.tables import table
from shared.task import Task
from tasks import TASKS

# Settings that no score depends on.
SPEED = {"preprocessing_num_workers", "generation_batch_size"}

LONGEST_NAME = 200  # bytes: few file systems know more than 255


@dataclass
class ScoreArguments(DecoderArguments):
    """Which split to score, under which name."""

    split: str = field(default="test", metadata={"help": "train, validation or test."})
    name: str | None = field(
        default=None,
        metadata={"help": "What to call the scores (default: the split, and those settings that are not the run's)."},
    )
    outputs: str | None = field(
        default=None,
        metadata={"help": "Score the outputs in this file, a line for each row (or .jsonl with 'output')."},
    )
    compare_to: str | None = field(
        default=None,
        metadata={"help": "Another run: compare what both have saved under --name, by paired bootstrap resampling."},
    )
    per_device_eval_batch_size: int = field(
        default=16, metadata={"help": "Number of packed rows at once on each device (default: the training's)."}
    )
    seed: int = field(
        default=42, metadata={"help": "Where the random numbers of sampling start (default: the training's)."}
    )

    def __post_init__(self) -> None:
        if self.per_device_eval_batch_size < 1:
            raise ValueError(f"--per_device_eval_batch_size is {self.per_device_eval_batch_size}: give 1 or more")


def main(arguments: list[str], settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Score a run as the flags, or a Python caller's `settings` in their place, say; returns the scores."""
    # With a run, its task's flags are listed as well.
    first = Parser(GenerationArguments, ScoreArguments, add_help=len(arguments) == 1)
    first.epilog = "More flags, those of a run's task: evaluate.py RUN --help"
    first.add_argument("run", help="A run's folder, such as outputs/translation.")
    opened = Run.open(first.run_of(arguments))
    kind = opened.kind(TASKS)
    parser = Parser(kind.Arguments, GenerationArguments, ScoreArguments)
    parser.add_argument("run", help="A run's folder, such as outputs/translation.")
    own = {**asdict(opened.arguments(TASKS)), **asdict(opened.generation), "seed": opened.seed, "load_in_8bit": False}
    known = own | {"per_device_eval_batch_size": opened.eval_batch_size}
    sources = [name for name in ("train_file", "validation_file", "test_file", "dataset_name") if name in known]
    given = [*names_of(arguments), *(settings or ())]
    config = (settings or {}).get("config") or first.parse_known_args(arguments)[0].config
    if {*given, *(read_yaml(Path(config), "--config") if config else ())} & {*sources}:
        # The data named here instead of those of the training, not beside them.
        known |= dict.fromkeys([*sources, "dataset_config_name"])
    data, generation, score, _ = parser.parse(arguments, known, settings=settings)
    generation.check(given)
    check_writing(kind, data, generation)

    task = opened.task(TASKS, data)
    wanted = {**asdict(data), **asdict(generation), "seed": score.seed, "load_in_8bit": score.load_in_8bit}
    if score.outputs:
        check_given(score, [key for key in asdict(generation) if wanted[key] != own[key]])
    name = name_of(score, own, {**wanted, "ensemble": score.ensemble, "outputs": score.outputs})
    if len(name.encode()) > LONGEST_NAME:
        raise UserError(f"the scores would be called {name[:40]}…, {len(name)} letters: give a shorter --name")
    trained_so = opened.settings["training"].get("bf16", True)
    # Before all else, so that the processes of torchrun know of each other, also on CPUs.
    accelerator = Accelerator(mixed_precision="bf16" if BF16 and trained_so else "no", cpu=not GPU)
    splits = load_splits(kind, data, opened.seed)
    if score.split not in splits:
        raise UserError(f"--split {score.split}: the data have {', '.join(splits)}; give --{score.split}_file")

    samples = SAMPLES if name == "test" else name
    if score.compare_to:
        return print_comparison(task, splits[score.split], opened.folder, Run.open(score.compare_to).folder, samples)

    check_writable(opened.folder)
    metrics = metrics_of(opened, task, splits, generation, score, opened.folder / samples, accelerator)
    if accelerator.is_main_process:
        add_metrics(opened.folder, {name: metrics})
        if (opened.folder / CARD).is_file():
            of_training = {"model": asdict(opened.model), "generation": asdict(opened.generation)}
            with in_turn(opened.folder):
                write_card(opened.folder, model_card(opened.task(TASKS), of_training, read_metrics(opened.folder)))
        print_metrics(opened.folder, {name: metrics})
    return metrics


def metrics_of(
    opened: Run,
    task: Task,
    splits: Mapping[str, Dataset],
    generation: GenerationArguments,
    score: ScoreArguments,
    samples: Path,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """The scores of outputs that are given, or of the run's decoder and what it writes; outputs go to `samples`."""
    rows, training_rows = splits[score.split], splits.get("train")
    if score.outputs:
        outputs, metrics = score_given(task, Path(score.outputs), rows, training_rows)
        if accelerator.is_main_process:
            task.write_outputs(outputs, rows, samples)
        return metrics
    decoder = opened.decoder(task).to(accelerator.device)
    with prepared_once(opened.folder) as shared:
        packed = pack(task, rows, opened.model, score.split, training=False, seed=score.seed, shared=shared)
    return evaluate(
        with_ensemble(decoder, task, score.ensemble or [], TASKS, score.load_in_8bit),
        task,
        rows,
        packed,
        generation,
        training_rows=training_rows,
        batch_size=score.per_device_eval_batch_size,
        max_length=opened.model.max_length,
        seed=score.seed,
        accelerator=accelerator,
        samples=samples,
    )


def print_comparison(task: Task, rows: Dataset, folder: Path, other: Path, samples: str) -> dict[str, Any]:
    """Which of two runs has written better, as a table; returns its numbers.

    Raises:
        UserError: if they have not written for the same rows, or the task has no scores to compare.
    """
    if folder.resolve() == other.resolve():
        raise UserError(f"--compare_to {other} is the run itself: name another")
    found = compare_saved(task, rows, folder / samples, other / samples)
    lines = [
        {
            "score": name,
            str(folder): f"{each['score']:.2f}",
            str(other): f"{each['other']:.2f}",
            "difference": f"{each['score'] - each['other']:+.2f}",
            "p": f"{each['p_value']:.3f}",
        }
        for name, each in found.items()
    ]
    print(table([*lines[0]], lines))
    return found


def check_given(score: ScoreArguments, changed: Sequence[str]) -> None:
    """Refuse what would be passed over where outputs are given: no decoder writes then.

    Raises:
        UserError: that names the first of the flags.
    """
    idle = [*changed, *(name for name in ("load_in_8bit", "ensemble", "compare_to") if getattr(score, name))]
    if idle:
        raise UserError(f"--outputs {score.outputs}: nothing is written then: leave out --{idle[0]}")


def name_of(score: ScoreArguments, own: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What to call the scores of settings that are `wanted`, where the run's `own` have the split's name.

    Raises:
        UserError: for a name that has another meaning in the run's folder.
    """
    usual = "train_split" if score.split == "train" else score.split
    others = {key: value for key, value in wanted.items() if value != own.get(key) and key not in SPEED}
    if score.name is None:
        changes = [f"{key}_{word_of(value)}" for key, value in others.items() if value is not None]
        return "_".join([usual, *(changes or ["other_data"])]) if others else usual
    if score.name in OF_TRAINING:
        raise UserError(f"--name {score.name}: metrics.json has the training's own figures there; give another name")
    if score.name in (SAMPLES, "validation", "test") and (score.name != usual or others):
        raise UserError(
            f"--name {score.name}: that is the training's own, with other settings ({', '.join(others) or 'split'}); "
            "give another name"
        )
    if not names_outputs(score.name):
        raise UserError(f"--name {score.name} names a folder of the run, too: use letters, digits, '-' and '_'")
    return score.name


def word_of(value: Any) -> str:
    """A setting's value as a part of a name: of a path its last two parts and, for more, a number; a number's sign."""
    parts = value if isinstance(value, list) else [value]
    words = [_path_word(part) if isinstance(part, str) else str(part).replace("-", "minus_") for part in parts]
    return re.sub(r"\W+", "_", "_".join(words)).strip("_")


def _path_word(path: str) -> str:
    *before, folder, name = ("", *Path(path).parts)
    number = hashlib.sha256(path.encode()).hexdigest()[:4] if any(before) else ""  # tells a/x/y from b/x/y
    return "_".join(filter(None, (folder, name, number)))


if __name__ == "__main__":
    run(main)
