"""Turn texts of one language into pairs (back-translation) with a decoder that translates in both directions.

    python recipes/back_translate.py outputs/both captions.de.txt --language de --output_file captions.pairs.jsonl
    python recipes/back_translate.py outputs/seed_1 captions.en.txt --language en --output_file taught.pairs.jsonl \
        --ensemble outputs/seed_2 outputs/seed_3 --num_beams 5

The decoder translates each line of the files into the run's other language. A training can use the pairs together with
real ones: `--train_file train.jsonl captions.pairs.jsonl`. People wrote the lines of the files. As targets, they teach
the decoder more of their language (Sennrich et al. 2016, "Improving Neural Machine Translation Models with Monolingual
Data"); a --tag keeps their translated sources apart from those that people wrote (Caswell et al. 2019, "Tagged
Back-Translation"). As sources, they let the decoder learn from its own translations (Zhang & Zong 2016), or one
decoder from those of an ensemble (Kim & Rush 2016, "Sequence-Level Knowledge Distillation").
"""

from dataclasses import dataclass, field

from onedecoder.decoder import LoadedDecoder, load
from shared.errors import UserError
from shared.generation.arguments import DecoderArguments, GenerationArguments
from shared.runs.cli import Parser, names_of, run
from shared.runs.folder import Run
from tasks.translation import Translation
from tasks.translation.task import TranslationRequestArguments
from tasks.translation.texts import load_texts, pairs_file, write_pairs

LONGEST_RATIO = 2  # of the characters of both sides; beyond it one of them says more than the other


@dataclass
class BackTranslationArguments(DecoderArguments):
    """Which language the texts are in, and where the pairs go."""

    language: str = field(default="", metadata={"help": "The language of the texts."})
    output_file: str | None = field(default=None, metadata={"help": "Where to write the pairs, as JSON lines."})
    tag: str = field(
        default="", metadata={"help": "Put this before each translation, to mark it as a decoder's: such as '<bt>'."}
    )
    seed: int = field(default=0, metadata={"help": "Where the random numbers of sampling start."})


def main(arguments: list[str]) -> None:
    parser = Parser(GenerationArguments, BackTranslationArguments)
    parser.add_argument("run", help="The folder of a run that was trained with --both_directions true.")
    parser.add_argument("files", nargs="+", help="Texts of one language: one a line, or rows with a field of its name.")
    first = parser.parse_known_args([*arguments])[0]
    opened = Run.open(first.run)
    generation, asked, given = parser.parse(arguments, opened.settings["generation"])
    generation.check(names_of(arguments))
    path = pairs_file(asked.output_file, given.files)
    decoder = load(given.run, ensemble=asked.ensemble or (), load_in_8bit=asked.load_in_8bit)
    other = other_language(decoder, asked.language)

    task = decoder.task_for(TranslationRequestArguments(target_lang=other))
    texts = load_texts(given.files, asked.language)
    rows = [task.request(text) for text in texts]
    written = decoder.write(task, rows, generation, seed=asked.seed, progress="translating")
    pairs = [
        {asked.language: text, other: f"{asked.tag} {output}".strip()}
        for text, output, cut in zip(texts, written.outputs, written.cut, strict=True)
        if not cut and usable(text, output)
    ]
    write_pairs(pairs, path)
    left_out = len(texts) - len(pairs)
    print(f"{path}: {len(pairs)} pairs; {left_out} left out (a side empty or twice as long, or read in part only)")


def other_language(decoder: LoadedDecoder, language: str) -> str:
    """The language that texts in `language` are translated into.

    Raises:
        UserError: the run does not translate from that language.
    """
    if not isinstance(decoder.task, Translation):
        raise UserError(f"{decoder.name} is a {decoder.task.name} run: give one of translation")
    data = decoder.task.arguments
    pair = [data.source_lang, data.target_lang]
    known = pair if data.both_directions else pair[:1]
    if language not in known:
        raise UserError(
            f"--language {language}: {decoder.name} translates from {' and '.join(known)}"
            + ("" if data.both_directions else " only; train with --both_directions true")
        )
    return pair[1 - pair.index(language)]


def usable(text: str, translation: str) -> bool:
    """Whether both sides say something, and about as much."""
    shorter, longer = sorted((len(text), len(translation)))
    return shorter > 0 and longer <= LONGEST_RATIO * shorter


if __name__ == "__main__":
    run(main)
