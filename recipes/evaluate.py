"""Score a run: the likelihood of a split, and what the decoder writes for it.

    python recipes/evaluate.py outputs/translation
    python recipes/evaluate.py outputs/en-de --num_beams 5 --test_file test_2017.jsonl --name test_2017
    accelerate launch recipes/evaluate.py outputs/en-de        # on all GPUs

Data and ways to write are those the run was trained with, unless flags say otherwise. The scores go to RUN/metrics.json
under --name, the outputs to RUN/NAME.
"""

from dataclasses import dataclass, field

from accelerate import Accelerator

from shared.data.encoding import first_rows
from shared.errors import UserError
from shared.evaluation import evaluate
from shared.generation.arguments import GenerationArguments
from shared.generation.mbr import check_candidates
from shared.hardware import BF16
from shared.model.arguments import ModelArguments
from shared.model.build import load_decoder
from shared.runs.cli import Parser, run
from shared.runs.folder import SAMPLES, Run, add_metrics
from shared.runs.pipeline import pack, print_metrics
from tasks import TASKS

OF_TRAINING = ("train", "parameters")


@dataclass
class ScoreArguments:
    """Which split to score, under which name."""

    split: str = field(default="test", metadata={"help": "train, validation or test."})
    name: str | None = field(default=None, metadata={"help": "What to call the scores (default: the split)."})
    eval_batch_size: int = field(default=16, metadata={"help": "Packed rows at once."})
    seed: int = field(default=42, metadata={"help": "Where the random numbers of sampling start."})


def main(arguments: list[str]) -> None:
    # With a run, its task's flags are listed as well.
    first = Parser(GenerationArguments, ScoreArguments, add_help=len(arguments) == 1)
    first.add_argument("run", help="A run's folder, such as outputs/translation.")
    opened = Run.open(first.parse_known_args(arguments)[0].run)
    kind = TASKS[opened.settings["task"]]
    parser = Parser(kind.Arguments, GenerationArguments, ScoreArguments)
    parser.add_argument("run", help="A run's folder, such as outputs/translation.")
    known = {**opened.settings["task_arguments"], **opened.settings["generation"]}
    sources = [name for name in ("train_file", "validation_file", "test_file", "dataset_name") if name in known]
    if any(argument.startswith(tuple(f"--{name}" for name in sources)) for argument in arguments):
        # The data named here instead of those of the training, not beside them.
        known |= dict.fromkeys([*sources, "dataset_config_name"])
    data, generation, score, _ = parser.parse(arguments, known)
    generation.check()
    if score.name in OF_TRAINING:
        raise UserError(f"--name {score.name}: metrics.json has the training's own figures there; give another name")
    check_candidates(kind, generation)

    task = opened.task(TASKS, data)
    splits = kind.load_rows(data)
    if score.split not in splits:
        raise UserError(f"--split {score.split}: the data have {', '.join(splits)}; give --{score.split}_file")
    rows = first_rows(splits[score.split], data.max_predict_samples)

    accelerator = Accelerator(mixed_precision="bf16" if BF16 else "no")
    decoder = load_decoder(str(opened.folder)).to(accelerator.device)
    model = ModelArguments(**opened.settings["model"])
    name = score.name or ("train_split" if score.split == "train" else score.split)
    metrics = evaluate(
        decoder,
        task,
        rows,
        pack(task, rows, model, score.split, training=False, seed=score.seed),
        generation,
        training_rows=splits.get("train"),
        batch_size=score.eval_batch_size,
        max_length=model.max_length,
        seed=score.seed,
        accelerator=accelerator,
        samples=opened.folder / (SAMPLES if name == "test" else name),
    )
    if accelerator.is_main_process:
        add_metrics(opened.folder, {name: metrics})
        print_metrics(opened.folder, {name: metrics})


if __name__ == "__main__":
    run(main)
