"""Print one table of the test scores of several runs, with those of the references and the baselines.

python recipes/report.py outputs/translation outputs/summarization outputs/music
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.errors import UserError
from shared.runs.cli import Parser, run
from shared.runs.folder import Run, read_metrics
from shared.tables import table

# Score, and what to call it.
SHOWN = {
    "bleu": "BLEU",
    "bleu_lowercase_tokenized": "BLEU, lower case",
    "chrf": "chrF",
    "exact": "exact, %",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "subject_named": "subjects named, %",
    "names_in_source": "names from the source, %",
    "words": "words",
    "repeated_3grams": "repeated 3-grams, %",
    "novel_1grams": "novel 1-grams, %",
    "novel_2grams": "novel 2-grams, %",
    "novel_3grams": "novel 3-grams, %",
    "novel_4grams": "novel 4-grams, %",
    "coverage": "copied words, %",
    "density": "density, words",
    "longest_copy": "longest copy, words",
    "nll_per_note": "nats per note",
    "nll_per_token": "nats per token",
    "valid_midi": "valid MIDI files, %",
    "polyphony": "notes at once",
    "duration": "seconds a note lasts",
    "perplexity": "perplexity",
}
# What stands beside a score where it is measured, too: the first part of its name, and its column.
BESIDE = {
    "reference": "references",
    "real": "test pieces",
    "lead": "article's beginning",
    "openings": "sections' first sentences",
    "unigram": "event frequencies",
}


def main(arguments: list[str]) -> None:
    parser = Parser()
    parser.add_argument("runs", nargs="+", help="Folders of runs.")
    (given,) = parser.parse(arguments)
    columns = ["run", "parameters", "minutes", "score", "test", *BESIDE.values()]
    print(table(columns, [row for folder in given.runs for row in rows(folder)]))


def rows(folder: str) -> Iterator[dict[str, str]]:
    """A row for each score of a run; the run itself is named in the first.

    Raises:
        UserError: if the folder holds no finished training, or scores of another form.
    """
    metrics = read_metrics(Run.open(folder).folder)
    if "parameters" not in metrics:
        raise UserError(f"{folder} has no scores of a finished training; train it to its end, or name its run")
    try:
        minutes = metrics.get("train", {}).get("train_runtime", 0) / 60
        run_cells = {"run": folder, "parameters": f"{metrics['parameters']:,}", "minutes": f"{minutes:.1f}"}
        yield from score_rows(run_cells, metrics, SHOWN, BESIDE)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: its metrics.json is not what a training writes: score the run again") from error


def score_rows(
    run_cells: dict[str, str], metrics: Mapping[str, Any], names: Iterable[str], beside: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """A row for each of the scores `names` that the test split, or what was generated for it, has.

    `run_cells` stand in the first. `beside` maps the first part of another score's name to the column where it stands.
    """
    test = metrics.get("test", {})
    for name in names:
        score = test.get(name, test.get(f"generated_{name}"))
        if score is not None:
            cells = {
                column: f"{test[key]:.2f}"
                for prefix, column in beside.items()
                if test.get(key := f"{prefix}_{name}") is not None and key != "lead_words"  # which is a limit
            }
            yield run_cells | {"score": SHOWN[name], "test": f"{score:.2f}"} | cells
            run_cells = {}


if __name__ == "__main__":
    run(main)
