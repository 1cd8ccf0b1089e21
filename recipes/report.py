"""One table of several runs' test scores, each beside what it must beat.

python recipes/report.py outputs/translation outputs/summarization outputs/music
"""

import json
from collections.abc import Iterator

import pandas as pd

from shared.cli import Parser, run
from shared.runs import METRICS, Run

# Score, what to call it, and the score of a baseline, where one is measured beside it.
SHOWN = [
    ("bleu", "BLEU", None),
    ("chrf", "chrF", None),
    ("rouge1", "ROUGE-1", "lead_rouge1"),
    ("rouge2", "ROUGE-2", "lead_rouge2"),
    ("rougeL", "ROUGE-L", "lead_rougeL"),
    ("nll_per_note", "nats per note", None),
    ("nll_per_token", "nats per token", "unigram_nll_per_token"),
    ("valid_midi", "valid MIDI files, %", None),
    ("perplexity", "perplexity", None),
]
BASELINES = {"lead": "the article's beginning", "unigram": "frequencies of events"}


def main(arguments: list[str]) -> None:
    parser = Parser()
    parser.add_argument("runs", nargs="+", help="Folders of runs.")
    (given,) = parser.parse(arguments)
    print(pd.DataFrame([row for folder in given.runs for row in rows(folder)]).fillna("").to_string(index=False))


def rows(folder: str) -> Iterator[dict[str, str]]:
    """A row for each score of a run; the run itself is named in the first."""
    metrics = json.loads((Run.open(folder).folder / METRICS).read_text())
    minutes = metrics.get("train", {}).get("train_runtime", 0) / 60
    run_cells = {"run": folder, "parameters": f"{metrics['parameters']:,}", "minutes": f"{minutes:.1f}"}
    test = metrics.get("test", {})
    for name, label, baseline in SHOWN:
        if name in test:
            cells = {"score": label, "test": f"{test[name]:.2f}"}
            if baseline in test:
                cells |= {"baseline": f"{test[baseline]:.2f}", "which is": BASELINES[baseline.partition("_")[0]]}
            yield run_cells | cells
            run_cells = {}


if __name__ == "__main__":
    run(main)
