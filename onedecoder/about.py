"""What the page knows of a decoder beside its weights."""

import json
from pathlib import Path
from typing import Any

from onedecoder.core import MASKS, Constraint, TextTask, UserError
from onedecoder.core_music import COMPOSE, JOBS, REST, STEP, VELOCITIES, ChoraleVocabulary, MusicVocabulary
from onedecoder.decoder import LoadedDecoder
from onedecoder.melody import offered

KINDS = {"NoteOn": 1, "NoteOff": 2, "Velocity": 3, "TimeShift": 4, "Duration": 5, "Time": 6}
OF_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "max_new_tokens", *MASKS)


def about(decoder: LoadedDecoder, weights: str, inputs: list[str] | None = None) -> dict[str, Any]:
    """The page's `about`: name, task, shape, how to write, matrices; `inputs` are offered as examples."""
    task, config = decoder.task, decoder.model.config
    examples = inputs or decoder.examples() or ([""] if isinstance(task, TextTask) and not task.needs_input else [])
    return {
        "name": Path(decoder.name).name,
        "task": task.name,
        "line": task.line,
        "parameters": decoder.model.num_parameters(),
        "weights": weights,
        "config": {
            "layers": config.n_layer,
            "heads": config.n_head,
            "width": config.n_embd,
            "context": decoder.model.context,
            "vocabulary": config.vocab_size,
            "mask": config.mask,
            "relative": config.relative_attention,
            "copy": config.copy_attention,
        },
        "generation": {name: getattr(decoder.generation, name) for name in OF_SAMPLING},
        "input": "text" if isinstance(task, TextTask) else "midi",
        "needsInput": task.needs_input,
        "sliding": task.sliding,
        "jobs": [] if isinstance(task, TextTask) else jobs(decoder),
        "separators": list(task.separators(task.arguments)) if isinstance(task, TextTask) else [],
        "end": task.vocabulary.end,
        "moves": moves(task.constraint()),
        "matrices": matrices(decoder),
        "examples": [{"text": text} for text in examples],
        "melody": offered(decoder),
    }


def jobs(decoder: LoadedDecoder) -> list[str]:
    """What a decoder of music can be asked for on the page, which has no place to say where a hole is.

    What needs nothing to be given comes first: the page begins with it.

    Raises:
        UserError: if that is nothing.
    """
    arguments: Any = decoder.task.arguments  # of music or chorales, both of which have jobs
    found = [job for job in arguments.job if job != "infill"]
    if not found:
        raise UserError(
            f"{decoder.name} has learned to infill alone, which the page does not: give generate.py --from and --to"
        )
    return sorted(found, key=lambda job: job != "compose")


def moves(constraint: Constraint | None) -> dict[str, Any] | None:
    """Where the probability of what a grammar forbids goes: the id that each `standsFor`, and each id's `kind`.

    Of the kind that is `narrowed`, if there is one, [its number, the share], only a nucleus is drawn from.
    """
    if constraint is None:
        return None
    kinds = constraint.kinds.int().argmax(0).tolist()
    return {"standsFor": constraint.stands_for.tolist(), "kind": kinds, "narrowed": constraint.narrowed}


def matrices(decoder: LoadedDecoder) -> list[dict[str, Any]]:
    """Every weight by name and shape, as the article's last table lists them; the head shares the first."""
    return [
        {"name": name.removeprefix("transformer."), "shape": list(parameter.shape), "count": parameter.numel()}
        for name, parameter in decoder.model.named_parameters()
    ]


def data(decoder: LoadedDecoder, weights: str, inputs: list[str] | None = None) -> dict[str, Any]:
    """What an engine in JavaScript needs beside weights: `about`, names, shape, how a line begins, tokenizer, music.

    Raises:
        UserError: the page cannot do what this decoder does.
    """
    task, config = decoder.task, decoder.model.config
    known = about(decoder, weights, inputs)
    if config.activation_function not in {"gelu_new", "gelu_pytorch_tanh"}:
        raise UserError(
            f"{decoder.name}: the page knows gelu_new, not {config.activation_function}: open the local page"
        )
    if config.n_inner not in (None, 4 * config.n_embd):
        raise UserError(f"{decoder.name}: the page knows an MLP of four times the width: open the local page")
    if getattr(task.arguments, "truncation", "head") != "head":
        raise UserError(f"{decoder.name} ranks paragraphs, which the page cannot: open the local page")
    return {
        "about": known,
        "names": decoder.names,
        "config": known["config"]
        | {
            "epsilon": config.layer_norm_epsilon,
            "scaling": [block.attn.scaling for block in decoder.model.blocks],
        },
        "maxLength": decoder.max_length,
        "text": _text(task) if isinstance(task, TextTask) else None,
        "tokenizer": tokenizer(decoder.name, task) if isinstance(task, TextTask) else None,
        "music": None if isinstance(task, TextTask) else music(decoder),
    }


def _text(task: TextTask) -> dict[str, Any]:
    """How a line of text begins: with the end token, or with the source, stripped, before one of the separators."""
    if not task.needs_input:
        return {"begin": task.vocabulary.end, "strip": False, "separators": []}
    separators = [{"name": token, "ids": [task.vocabulary.tokens[token]]} for token in task.separators(task.arguments)]
    separators = separators or [{"name": "", "ids": task.separator_ids({})}]
    return {"begin": None, "strip": True, "separators": separators}


def tokenizer(name: str, task: TextTask) -> dict[str, Any]:
    """The vocabulary and merges of a byte-level BPE, and the ids that are no text.

    Raises:
        UserError: if the page cannot cut texts as this tokenizer does.
    """
    fast: Any = task.vocabulary.tokenizer  # a fast one, whose type says only that it is a tokenizer
    state = json.loads(fast.backend_tokenizer.to_str())
    model, before = state["model"], state["pre_tokenizer"] or {}
    plain = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    if (
        model["type"] != "BPE"
        or state["normalizer"]
        or any(before.get(name, value) != value for name, value in plain.items())
        or any(model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"))
    ):
        raise UserError(f"{name}: the page knows GPT-2's byte-level BPE only: open the local page")
    special = [token["id"] for token in state["added_tokens"] if token["special"]]
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    return {"vocab": model["vocab"], "merges": merges, "special": special}


def music(decoder: LoadedDecoder) -> dict[str, Any]:
    """The notation: what each event means, or how the grid of chorales is read.

    Raises:
        UserError: if it is none that the page knows.
    """
    vocabulary = decoder.task.vocabulary
    arguments: Any = decoder.task.arguments  # of music
    if isinstance(vocabulary, ChoraleVocabulary):
        special = {"compose": vocabulary.tokens[COMPOSE], "end": vocabulary.end}
        return {"kind": "grid", "step": STEP, "velocities": [*VELOCITIES.values()], "rest": REST, "special": special}
    if not isinstance(vocabulary, MusicVocabulary):
        raise UserError(f"{decoder.name}: the page does not know this task's music: open the local page")
    size = decoder.model.config.vocab_size
    meaning = [vocabulary.meaning.get(index, ("", 0)) for index in range(size)]
    special = {job: vocabulary.tokens[token] for job, token in JOBS.items()} | {"end": vocabulary.end}
    return {
        "kind": "events",
        "notation": arguments.lengths if arguments.velocity == "note" else arguments.velocity,
        "meaning": [[KINDS.get(kind, 0), value] for kind, value in meaning],
        "special": special,
        "segmentSeconds": arguments.segment_seconds,
    }
