"""Measure what pre-training is worth for a task, by the number of its training examples.

    python recipes/transfer.py --pretrained outputs/language_modeling --output_dir outputs/transfer \
        --config recipes/configs/summarization/transfer.yaml --train_file train.jsonl.xz \
        --validation_file validation.jsonl.xz --test_file test.jsonl.xz --processes 4

For each share of the training rows and each seed, a recipe trains the pre-trained decoder, and a decoder of the same
shape and vocabulary with new weights, as in Khandelwal et al. 2019, "Sample Efficient Text Summarization Using a Single
Pre-Trained Transformer" (https://arxiv.org/abs/1905.08836). Everything else is the same in all runs, also the number of
steps. --load_best_model_at_end keeps the step with the lowest validation loss, so that overfitting few rows does no
harm. Flags not listed here are the recipe's. The output folder gets transfer.md and transfer.png. After a stop,
the same command continues.
"""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from shared.errors import UserError
from shared.files import atomic_directory
from shared.model.build import load_config
from shared.runs.cli import run
from shared.runs.experiments import (
    Cell,
    ExperimentArguments,
    parse_experiment,
    run_cells,
    score_of,
    summaries,
)
from shared.runs.flags import REPOSITORY, parse
from shared.tables import table
from tasks import TASKS

VARIANTS = {"pre-trained": "false", "from scratch": "true"}  # the values of --from_scratch
COLORS = {"pre-trained": "tab:blue", "from scratch": "tab:orange"}

# One line of a curve: by share, the metrics of every seed's run.
Curve = dict[float, list[dict[str, Any]]]


@dataclass
class TransferArguments(ExperimentArguments):
    """From which decoder, and from how many rows."""

    pretrained: str = field(default="", metadata={"help": "The decoder to start from: an earlier run or a hub name."})
    shares: list[float] = field(
        default_factory=lambda: [1.0, 5.0, 10.0, 100.0],
        metadata={"help": "Per cent of the training rows; of one seed, a smaller share is part of a larger one."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        once = len({*self.shares}) == len(self.shares)
        if not self.shares or not once or not all(0 < share <= 100 for share in self.shares):
            shares = " ".join(f"{share:g}" for share in self.shares)
            raise ValueError(f"--shares {shares}: give per cent above 0 and up to 100, each once")


def main(arguments: list[str]) -> None:
    varied = ("model_name_or_path", "from_scratch", "train_share")
    wanted, flags = parse_experiment(TransferArguments, TASKS, arguments, varied)
    if not wanted.pretrained:
        raise UserError("--pretrained is missing: give an earlier run, such as outputs/language_modeling")
    folder = Path(wanted.output_dir or "outputs/transfer")
    cells = {
        (variant, share, seed): Cell(
            f"{variant.replace(' ', '-')}-{share:g}-{seed}",
            [
                *flags,
                f"--model_name_or_path={wanted.pretrained}",
                f"--from_scratch={from_scratch}",
                f"--train_share={share / 100:g}",
                f"--seed={seed}",
            ],
        )
        for variant, from_scratch in VARIANTS.items()
        for share in sorted(wanted.shares, reverse=True)  # the longest runs first: none is waited for at the end
        for seed in wanted.seeds
    }
    for cell in {share: cell for (_, share, _), cell in cells.items()}.values():
        parse(TASKS[wanted.task], cell.flags)  # a mistake ends here, not in every run
    load_config(wanted.pretrained)  # and so does this one
    metrics = run_cells(
        REPOSITORY / "recipes" / f"{wanted.task}.py", list(cells.values()), folder, wanted.processes, wanted.scores
    )
    curves: dict[str, Curve] = {variant: {} for variant in VARIANTS}
    for (variant, share, _), cell in cells.items():
        curves[variant].setdefault(share, []).append(metrics[cell.name])
    report = (
        table(["decoder", "share", "rows", *wanted.scores], table_rows(curves, wanted.scores), markdown=True) + "\n"
    )
    with atomic_directory(folder) as staging:
        (staging / "transfer.md").write_text(report, encoding="utf-8")
        draw(curves, wanted.scores).savefig(staging / "transfer.png", dpi=150)
    print(report + f"\nmean ± standard deviation of {len(wanted.seeds)} seeds; {folder}/transfer.png shows the same")


def table_rows(curves: dict[str, Curve], scores: list[str]) -> list[dict[str, str]]:
    """Decoder, share, rows and each score, the smallest share first."""
    return [
        {"decoder": variant, "share": f"{share:g} %", "rows": f"{runs[0]['train']['rows']:,}"} | summaries(runs, scores)
        for variant, curve in curves.items()
        for share, runs in sorted(curve.items())
    ]


def draw(curves: dict[str, Curve], scores: list[str]) -> Figure:
    """A panel for each score: the mean over the number of rows, in a band from the worst to the best seed."""
    figure = Figure(figsize=(4 * len(scores), 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores, strict=True):
        for variant, curve in curves.items():
            shares = sorted(curve)
            rows = [curve[share][0]["train"]["rows"] for share in shares]
            values = [[score_of(metrics, name) for metrics in curve[share]] for share in shares]
            color = COLORS[variant]
            axes.fill_between(rows, list(map(min, values)), list(map(max, values)), color=color, alpha=0.2, linewidth=0)
            axes.plot(rows, list(map(statistics.mean, values)), color=color, marker="o", markersize=4, label=variant)
        axes.set_xscale("log")
        axes.set_xticks(rows, [f"{count:,}\n{share:g} %" for count, share in zip(rows, shares, strict=True)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(name)
        axes.set_xlabel("training rows")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    run(main)
