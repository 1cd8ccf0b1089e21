"""Play along with a decoder: it answers each phrase that you play, note by note, or accompanies it.

    python recipes/play.py outputs/music                                  # the first MIDI ports, in and out
    python recipes/play.py outputs/music --input Keystation --output FLUID --silence 0.5
    python recipes/play.py outputs/music --file phrases.mid --output_dir session
    python recipes/play.py outputs/pop909 --job accompany --load_in_8bit true

A phrase ends when no key is down for --silence seconds. The answer is about as long. To strike a key ends it. What was
played and answered before is remembered, as far as half of the run's --max_length reaches. Ctrl+C ends the session, all
notes, and prints how long what was waited for took; --output_dir keeps that as latencies.json, and the session as
session.mid. Ports take `pip install -e .[live]`; --file plays a MIDI file in their place, in real time.
"""

import gc
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import UserError
from shared.files import atomic_directory, check_writable
from shared.generation.arguments import GenerationArguments
from shared.runs.cli import Parser, names_of, run

if TYPE_CHECKING:
    from onedecoder.decoder import LoadedDecoder
    from shared.generation.stream import Stream
    from tasks.music.playing import Manner, Player
    from tasks.music.task import Music

WITHOUT_EFFECT = {
    **dict.fromkeys(
        ("num_beams", "length_penalty", "early_stopping", "rerank_reverse", "num_candidates"),
        "a token sounds before the next is written",
    ),
    "generation_batch_size": "there is one line",
    "min_new_tokens": "an answer is as long as its phrase",
}
JOBS = ("continue", "compose", "accompany")  # what a run that has learned several plays along by
SESSION = "session.mid"


@dataclass
class PlayArguments:
    """Whom to listen to, and how to answer."""

    input: str | None = field(
        default=None, metadata={"help": "Listen to the MIDI port with this in its name (default: the first)."}
    )
    output: str | None = field(
        default=None,
        metadata={"help": "Play on the port with this in its name (default: the first; with --file none)."},
    )
    file: str | None = field(default=None, metadata={"help": "Listen to this MIDI file, played in real time."})
    silence: float = field(default=0.7, metadata={"help": "Seconds without a key down that end a phrase."})
    job: str | None = field(
        default=None,
        metadata={"help": f"One of {', '.join(JOBS)} (default: the first of these that the run has learned)."},
    )
    all_keys: bool = field(default=False, metadata={"help": "Strike any of MIDI's 128 keys, not a piano's 88 alone."})
    output_dir: str | None = field(
        default=None, metadata={"help": "Keep the session (session.mid) and its latencies (latencies.json) here."}
    )
    load_in_8bit: bool = field(
        default=False, metadata={"help": "Round the decoder's matrices to 8 bits: it answers faster, a little worse."}
    )
    compile: bool = field(
        default=False,
        metadata={"help": "Compile the decoding step by the machine's C++ compiler: it answers faster."},
    )
    seed: int = field(default=0, metadata={"help": "Where the random numbers start."})

    def __post_init__(self) -> None:
        if not 0.1 <= self.silence <= 9:
            raise ValueError(f"--silence is {self.silence}: give 0.1 to 9 seconds")
        if self.file and self.input:
            raise ValueError(f"--file {self.file} and --input {self.input} exclude each other: choose one")


def main(arguments: list[str]) -> None:
    first = new_parser(add_help=len(arguments) == 1)
    name = first.run_of(arguments)
    from shared.runs.folder import Run  # noqa: PLC0415 (--help does without PyTorch)

    known = Run.open(name).settings["generation"]
    known = {setting: value for setting, value in known.items() if setting not in WITHOUT_EFFECT}
    generation, wanted, _ = new_parser().parse(arguments, known)
    generation.check(names_of(arguments))
    if wanted.output_dir:
        check_writable(Path(wanted.output_dir))
        if (kept := Path(wanted.output_dir, SESSION)).exists():  # what was played is not played again
            raise UserError(f"--output_dir {wanted.output_dir}: {kept} is there already; give another folder")
    import torch  # noqa: PLC0415

    from onedecoder.decoder import load  # noqa: PLC0415
    from tasks.midi.latency import latency_table  # noqa: PLC0415
    from tasks.midi.ports import FileSource, PortOutput, PortSource, Seconds, Silence  # noqa: PLC0415
    from tasks.music.playing import Player  # noqa: PLC0415

    torch.set_num_threads(1)  # a second makes no step faster, and is waited for where other programs compute
    decoder = load(name, device="cpu", load_in_8bit=wanted.load_in_8bit, compile=wanted.compile)
    task = music_of(decoder)
    manner = manner_of(decoder, task, wanted, generation)
    source = FileSource(wanted.file) if wanted.file else PortSource(wanted.input)
    output = Silence() if wanted.file and not wanted.output else PortOutput(wanted.output)
    player = Player(ready(decoder, task, generation), task.vocabulary, manner, output, Seconds())
    print(f"{name} listens, to {manner.job}; Ctrl+C ends the session", flush=True)
    try:
        player.play(source)
    except KeyboardInterrupt:
        print()
    finally:
        source.close()
        output.close()
    histograms = player.latencies.histograms()
    print(f"answers: {player.answers}\n{latency_table(histograms)}" if histograms else "nothing was played")
    if wanted.output_dir:
        keep(player, Path(wanted.output_dir), histograms)
        print(f"written to {wanted.output_dir}")


def new_parser(add_help: bool = True) -> Parser:
    """The flags of this recipe."""
    parser = Parser(GenerationArguments, PlayArguments, without_effect=WITHOUT_EFFECT, add_help=add_help)
    parser.add_argument("run", help="A run's folder, such as outputs/music.")
    return parser


def music_of(decoder: "LoadedDecoder") -> "Music":
    """The task of a decoder of music.

    Raises:
        UserError: if it has learned another, or writes its events otherwise.
    """
    from tasks.music.task import Music  # noqa: PLC0415

    if not isinstance(decoder.task, Music):
        raise UserError(f"{decoder.name} is a {decoder.task.name} decoder: play along with a run of the task music")
    if (velocity := decoder.task.arguments.velocity) != "note":
        raise UserError(f"{decoder.name} was trained with --velocity {velocity}: play along with a run without it")
    return decoder.task


def manner_of(
    decoder: "LoadedDecoder", task: "Music", wanted: PlayArguments, generation: GenerationArguments
) -> "Manner":
    """How a run plays along.

    Raises:
        UserError: if it has not learned to.
    """
    from tasks.music.playing import Manner  # noqa: PLC0415

    learned = [job for job in JOBS if job in task.arguments.job]
    job = wanted.job or next(iter(learned), "")
    if job not in learned:
        able = f"give --job {learned[0]}" if learned else f"take one that has learned one of {', '.join(JOBS)}"
        raise UserError(f"{decoder.name} has learned to {' and '.join(task.arguments.job)}: {able}")
    return Manner(
        job=job,
        silence=wanted.silence,
        most_tokens=generation.max_new_tokens,
        context=decoder.max_length,
        segment=task.arguments.segment_seconds,
        all_keys=wanted.all_keys,
        pitch_top_p=task.arguments.pitch_top_p,
        seed=wanted.seed,
    )


def ready(decoder: "LoadedDecoder", task: "Music", generation: GenerationArguments) -> "Stream":
    """The decoder's stream, after what only the first tokens take long for."""
    from shared.generation.stream import Stream  # noqa: PLC0415
    from tasks.music.playing import grammar  # noqa: PLC0415

    stream = Stream(decoder.model, generation, task.vocabulary)
    prompt = [task.vocabulary.end] * 40
    for length in (*range(1, 20), len(prompt)):  # one by one, then several at once
        stream.read(prompt[:length])
    stream.begin(prompt, 8, grammar(task.vocabulary))
    for _ in range(8):
        stream.write()
    gc.collect()
    gc.freeze()  # to look through all that the imports have made would take longer than a note may
    return stream


def keep(player: "Player", folder: Path, histograms: dict[str, dict[str, float]]) -> None:
    """Write the session as a MIDI file of two tracks, and its latencies.

    Raises:
        UserError: if they cannot be written.
    """
    from tasks.midi.sequencer import arranged  # noqa: PLC0415

    with atomic_directory(folder) as staging:
        arranged(player.heard.tracks()).save(staging / SESSION)
        latencies = {"answers": player.answers, "milliseconds": histograms}
        (staging / "latencies.json").write_text(
            json.dumps(latencies, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    run(main)
