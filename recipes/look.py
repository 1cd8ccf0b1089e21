"""Look into a trained decoder while it writes: what it attends to, and what else it might have written.

    python recipes/look.py outputs/translation "Today the waiter should eat a delicious pizza."
    python recipes/look.py outputs/translation "Today the waiter should eat a delicious pizza." --layer 2
    python recipes/look.py outputs/music --max_new_tokens 24

For each token that is written it prints the likeliest ones with their probabilities, before sampling and before a
grammar has its say. The picture, RUN/attention.png by default, has a panel for each layer, the mean of its heads, or
with --layer one for each head of that layer: every row is a token, and shows how much it takes from which tokens. What
the mask hides is grey; lines mark where the source ends.
"""

from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.files import atomic_directory
from shared.generation.arguments import GenerationArguments
from shared.generation.mbr import check_candidates, generate_best
from shared.model.build import load_decoder
from shared.model.decoder import Decoder
from shared.model.inspection import inspect
from shared.runs.cli import Parser, run
from shared.runs.folder import Run
from shared.task import Task
from tasks import TASKS

NEW_TOKENS = 32  # by default, at most: more are hard to see
LABELLED = 80  # tokens beyond which a picture has no room for their names
COLUMNS = 4


@dataclass
class LookArguments:
    """What to show, and where."""

    layer: int | None = field(default=None, metadata={"help": "Draw the heads of this layer, from 1 on."})
    candidates: int = field(default=5, metadata={"help": "How many of the likeliest tokens to print."})
    output_file: str | None = field(default=None, metadata={"help": "The picture (default: RUN/attention.png)."})
    seed: int = field(default=0, metadata={"help": "Where the random numbers of sampling start."})


def main(arguments: list[str]) -> None:
    opened = Run.open(new_parser().parse_known_args(arguments)[0].run)
    known = opened.settings["generation"]
    known["max_new_tokens"] = min(known["max_new_tokens"], NEW_TOKENS)
    generation, shown, given = new_parser().parse(arguments, known)
    task = opened.task(TASKS)
    generation.check()
    check_candidates(type(task), generation)
    if task.needs_input and not given.input:
        raise UserError(f"nothing to write for: give the {task.name} run its input as an argument")
    decoder = load_decoder(str(opened.folder))
    layers = decoder.config.n_layer
    if shown.layer is not None and not 1 <= shown.layer <= layers:
        raise UserError(f"--layer {shown.layer}: the decoder has {layers}; give 1 to {layers}")
    if shown.candidates < 1:
        raise UserError(f"--candidates is {shown.candidates}: give 1 or more")

    max_length = opened.settings["model"]["max_length"]
    line, given_length = written_line(decoder, task, given.input, max_length, generation, shown.seed)
    seen = inspect(decoder, line, given_length)
    names = token_names(task.vocabulary)
    for place in range(given_length, len(line)):
        print(step(seen.next[place - 1], line[place], names, shown.candidates))
    weights = seen.weights.mean(1) if shown.layer is None else seen.weights[shown.layer - 1]
    titles = [f"{'layer' if shown.layer is None else 'head'} {number}" for number in range(1, len(weights) + 1)]
    path = Path(shown.output_file or opened.folder / "attention.png")
    with atomic_directory(path.parent) as staging:
        draw(weights.numpy(), titles, [names[index] for index in line], given_length).savefig(
            staging / path.name, dpi=110
        )
    print(f"attention: {path}")


def written_line(
    decoder: Decoder, task: Task, given: str, max_length: int, generation: GenerationArguments, seed: int
) -> tuple[list[int], int]:
    """What is given and what the decoder writes for it, as one line; and how many tokens are given."""
    new_tokens = min(generation.max_new_tokens, max_length // 2)  # so that the line fits, even where writing slides on
    settings = replace(generation, max_new_tokens=new_tokens)
    prompt = task.prompt(task.request(given), max_length, new_tokens).context
    constraint = task.constraint()
    (written,) = generate_best(decoder, task, [prompt], settings, seed=seed, constraint=constraint)
    ended = len(prompt) + len(written) < decoder.context and len(written) < new_tokens
    return [*prompt, *written, *([task.vocabulary.end] if ended else [])], len(prompt)


def step(probabilities: Tensor, chosen: int, names: dict[int, str], candidates: int) -> str:
    """A line of text: what was chosen with which of the `probabilities` [V], and what was likeliest."""
    likeliest = probabilities.topk(min(candidates, len(probabilities)))
    pairs = zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
    others = "  ".join(f"{names[index]} {share:.3f}" for share, index in pairs)
    return f"{names[chosen]:<20} {probabilities[chosen]:.3f}   of {others}"


def new_parser() -> Parser:
    parser = Parser(GenerationArguments, LookArguments)
    parser.add_argument("run", help="A run's folder, such as outputs/translation.")
    parser.add_argument("input", nargs="?", default="", help="The text (or MIDI file) to write for.")
    return parser


def token_names(vocabulary: Vocabulary) -> dict[int, str]:
    """What to call each id: special ones by themselves, events in words, pieces of text with a first space marked."""
    names = {}
    for token, index in vocabulary.tokens.items():
        special = token.startswith("<|") and "|>" in token
        name = token[: token.index("|>") + 2] if special else vocabulary.words(token).replace("\n", "⏎")
        names[index] = "·" + name[1:] if name.startswith(" ") else name
    return names


def draw(weights: np.ndarray, titles: list[str], names: list[str], context_length: int) -> Figure:
    """Panels of `weights` [N, T, T], rows are queries; `names` are those of the T tokens."""
    columns = min(COLUMNS, len(weights))
    labelled = len(names) <= LABELLED
    side = 1.5 + 0.16 * len(names) if labelled else 6
    figure = Figure(figsize=(columns * side, ceil(len(weights) / columns) * side), layout="constrained")
    panels = figure.subplots(ceil(len(weights) / columns), columns, squeeze=False).flatten()
    for axes in panels[len(weights) :]:
        axes.set_visible(False)
    for axes, panel, title in zip(panels, weights, titles, strict=False):
        axes.set_facecolor("0.88")
        # Small shares are to be seen, too.
        image = axes.imshow(np.ma.masked_equal(panel, 0), cmap="magma_r", norm=PowerNorm(0.5, 0, 1))
        for mark in (axes.axhline, axes.axvline):
            mark(context_length - 0.5, color="0.4", linewidth=0.8)
        axes.set_title(title)
        axes.tick_params(length=0, labelsize=7)
        axes.set_xticks(range(len(names)) if labelled else [], names if labelled else [], rotation=90)
        axes.set_yticks(range(len(names)) if labelled else [], names if labelled else [])
    figure.colorbar(image, ax=panels.tolist(), label="share", shrink=0.6)
    return figure


if __name__ == "__main__":
    run(main)
