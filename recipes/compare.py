"""Train one recipe with different settings, and make a table of the scores.

    python recipes/compare.py --variants recipes/configs/comparisons/masks.yaml --task translation \
        --scores bleu chrf loss --config recipes/configs/translation/multi30k.yaml --train_file train.jsonl.xz \
        --validation_file validation.jsonl.xz --test_file test_2016_flickr.jsonl.xz --processes 4

The file names the variants and their settings. Every variant is trained once for each seed; all else is the same. Flags
that are not listed here are the recipe's. The table is comparison.md in the output folder. If the settings of a variant
exclude each other, the table gives the reason. After a stop, the same command continues.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import ExclusiveSettingsError, UserError
from shared.files import atomic_directory
from shared.runs.cli import as_flags, read_yaml, run
from shared.runs.experiments import (
    Cell,
    ExperimentArguments,
    check_varied,
    parse_experiment,
    run_cells,
    summaries,
)
from shared.runs.flags import REPOSITORY, parse
from shared.tables import table
from tasks import TASKS


@dataclass
class CompareArguments(ExperimentArguments):
    """What to compare."""

    variants: str = field(default="", metadata={"help": "A YAML file of lines of the form 'name: {flag: value}'."})


def main(arguments: list[str]) -> None:
    wanted, flags = parse_experiment(CompareArguments, TASKS, arguments)
    variants = read_variants(wanted.variants)
    folder = Path(wanted.output_dir or f"outputs/{Path(wanted.variants).stem}")
    cells: dict[str, list[Cell]] = {}
    notes = [f"Mean ± standard deviation of {len(wanted.seeds)} seeds."] if len(wanted.seeds) > 1 else []
    for name, settings in variants.items():
        own = [*flags, *as_flags(settings)]
        try:
            parse(TASKS[wanted.task], own)  # a mistake ends here, not in every run
        except ExclusiveSettingsError as error:
            notes.append(f"{name} is not defined: {error}.")
        except UserError as error:
            raise UserError(f"--variants {wanted.variants}, '{name}': {error}") from error
        else:
            cells[name] = [Cell(f"{name}-{seed}", [*own, f"--seed={seed}"]) for seed in wanted.seeds]
    every = [cell for row in cells.values() for cell in row]
    metrics = run_cells(REPOSITORY / "recipes" / f"{wanted.task}.py", every, folder, wanted.processes, wanted.scores)
    rows = [
        {"variant": name}
        | (
            summaries([metrics[cell.name] for cell in cells[name]], wanted.scores)
            if name in cells
            else dict.fromkeys(wanted.scores, "not defined")
        )
        for name in variants
    ]
    report = table(["variant", *wanted.scores], rows, markdown=True) + "\n" + "".join(f"\n{note}" for note in notes)
    with atomic_directory(folder) as staging:
        (staging / "comparison.md").write_text(report + "\n", encoding="utf-8")
    print(report)


def read_variants(path: str) -> dict[str, dict[str, Any]]:
    """The settings of each variant, by its name.

    Raises:
        UserError: if there is no such file, or a variant has no settings or no name for a folder.
    """
    if not path:
        raise UserError("--variants is missing: give a YAML file, such as recipes/configs/comparisons/masks.yaml")
    variants = {str(name): settings for name, settings in read_yaml(Path(path), "--variants").items()}
    for name, settings in variants.items():
        if not isinstance(settings, dict) or not settings:
            raise UserError(f"--variants {path}: '{name}' needs settings of the form {{flag: value}}")
        if empty := [flag for flag, value in settings.items() if value is None]:
            raise UserError(f"--variants {path}: '{name}' has no value for {empty[0]}: give one, or leave it out")
        check_varied(settings, f"--variants {path}, '{name}': ")
        if not all(letter.isalnum() or letter in "-_." for letter in name):
            raise UserError(f"--variants {path}: '{name}' names a folder, too: use letters, digits, '-', '_' and '.'")
    if not variants:
        raise UserError(f"--variants {path}: is empty; give lines of the form 'name: {{flag: value}}'")
    return variants


if __name__ == "__main__":
    run(main)
