"""Look into a trained decoder while it writes: the pictures of `recipes/explore.py` as files, and their numbers.

    python recipes/look.py outputs/translation "Today the waiter should eat a delicious pizza." --out pictures
    python recipes/look.py outputs/translation "Today the waiter should eat a delicious pizza." --layer 2
    python recipes/look.py outputs/music --max_new_tokens 24 --format png
    python recipes/look.py outputs/asap_infill piece.mid --from 10 --to 15

For each token that is written, it prints the likeliest tokens with their probabilities, before sampling and before a
grammar rules any out. It writes these pictures, by default to RUN/look:

    write      the likeliest tokens at each step
    attention  who attends to whom: the mean of each layer's heads or, with --layer, each head of that layer
    heads      all heads of all layers, small
    way        the vectors of the last token that was given, step by step through every block
    lens       what each block's output would say next
    kept       multiplications with kept keys and values, and without
    copied     (with copy attention) from where, and how much of, each token that follows is copied
    arcs       (music) the last note's arcs to the notes that it attends to, in --layer or the first one

What is asked of an output, such as --target_lang or --prime_seconds, is asked for as with generate.py. In a picture of
attention, each row is a token and shows how much it attends to the others. What the mask hides is grey. Lines mark the
end of the source. `numbers.json` holds the numbers of the pictures.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from onedecoder.decoder import load
from onedecoder.looking import look, steps
from shared.data.arguments import RequestArguments
from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.runs.cli import Parser, run
from shared.tables import table

NEW_TOKENS = 32  # by default, at most: more are hard to see
WITHOUT_EFFECT = dict.fromkeys(("musicxml", "tempo", "pedal", "write_prime"), "no piece is written")


@dataclass
class LookArguments:
    """What to show, and where."""

    out: str | None = field(default=None, metadata={"help": "The folder of the pictures (default: RUN/look)."})
    format: Literal["svg", "png"] = field(default="svg", metadata={"help": "How the pictures are written."})
    layer: int | None = field(default=None, metadata={"help": "Draw the heads of this layer, from 1 on."})
    candidates: int = field(default=5, metadata={"help": "How many of the likeliest tokens to name."})
    seed: int = field(default=0, metadata={"help": "Where the random numbers of sampling start."})


def main(arguments: list[str]) -> None:
    first = new_parser(RequestArguments, add_help=len(arguments) == 1)  # with a run, its task's flags are listed
    first.epilog = "More flags, those of a run's task: look.py RUN --help"
    decoder = load(first.run_of(arguments), device="cpu")
    known = asdict(decoder.generation)
    known["max_new_tokens"] = min(known["max_new_tokens"], NEW_TOKENS)
    asked, generation, wanted, given = new_parser(decoder.task.RequestArguments).parse(arguments, known)
    layers = decoder.model.config.n_layer
    if wanted.layer is not None and not 1 <= wanted.layer <= layers:
        raise UserError(f"--layer {wanted.layer}: the decoder has {layers}; give 1 to {layers}")
    if wanted.candidates < 1:
        raise UserError(f"--candidates is {wanted.candidates}: give 1 or more")
    folder = wanted.out or (Path(given.run) / "look" if Path(given.run).is_dir() else "look")

    trace = decoder.trace(given.input, seed=wanted.seed, **asdict(asked), **asdict(generation))
    written = [
        {
            "written": step["token"],
            "probability": f"{step['p']:.3f}",
            "likeliest": "  ".join(f"{one['token']} {one['p']:.3f}" for one in step["likeliest"]),
        }
        for step in steps(trace, decoder.names, wanted.candidates)
    ]
    print(table(["written", "probability", "likeliest"], written))
    layer = None if wanted.layer is None else wanted.layer - 1
    for path in look(decoder, trace, folder, layer, wanted.candidates, wanted.format):
        print(path)


def new_parser(request: type[RequestArguments], **options: Any) -> Parser:
    """The flags of this recipe, and those of one task's requests."""
    parser = Parser(request, GenerationArguments, LookArguments, without_effect=WITHOUT_EFFECT, **options)
    parser.add_argument("run", help="A run's folder, such as outputs/translation, or a name on the hub.")
    parser.add_argument("input", nargs="?", default="", help="The text (or MIDI file) to write for.")
    return parser


if __name__ == "__main__":
    run(main)
