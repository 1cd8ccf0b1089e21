"""A decoder as one HTML file: weights, forward pass and pictures, opened by a double click."""

import json
from pathlib import Path

from onedecoder import page
from onedecoder.about import data
from onedecoder.core import UserError, atomic_directory
from onedecoder.decoder import LoadedDecoder
from onedecoder.recording import record
from onedecoder.tensors import kinds, pack, weights

MOST_PARAMETERS = 12_500_000  # 17 MB of page
INPUTS = 8  # that a page of recordings holds, at most


def export(decoders: list[LoadedDecoder], path: str | Path, inputs: list[str] | None = None) -> Path:
    """Write a page with one decoder, or with two side by side; `inputs` are offered as examples.

    Weights are kept in 8 bits, with a scale for each row.

    Raises:
        UserError: a decoder is too large, or does what the page cannot; the file cannot be written.
    """
    return _write(Path(path), [exported(decoder, inputs) for decoder in decoders], "decoder")


def exported(decoder: LoadedDecoder, inputs: list[str] | None = None) -> str:
    """What of a decoder stands in its page, as JSON.

    Raises:
        UserError: if a page cannot carry it.
    """
    count = decoder.model.num_parameters()
    if count > MOST_PARAMETERS:
        raise UserError(
            f"{decoder.name} has {count / 1e6:.1f} M parameters, and a page carries {MOST_PARAMETERS / 1e6:.1f} M: "
            "open the local page (leave out --export), or give inputs to record with --recorded"
        )
    if decoder.model.lm_head.weight is not decoder.model.transformer.wte.weight:
        raise UserError(
            f"{decoder.name}: its head is not its token embeddings: open the local page (leave out --export)"
        )
    packed = pack(kinds(weights(decoder.model)))
    return _json({**data(decoder, "int8", inputs), "tensors": packed.tensors, "weights": packed.base64})


def export_recorded(decoders: list[LoadedDecoder], path: str | Path, inputs: list[str]) -> Path:
    """Write a page of what decoders of any size write for `inputs`, and of all that can be seen while they do.

    Raises:
        UserError: there are no inputs or too many; the file cannot be written.
    """
    if not 1 <= len(inputs) <= INPUTS:
        raise UserError(f"--recorded with {len(inputs)} inputs: give 1 to {INPUTS} after the run")
    recorded = [
        _json({**data(decoder, "float32", inputs), "recordings": [record(decoder, text) for text in inputs]})
        for decoder in decoders
    ]
    return _write(Path(path), recorded, "recording")


def _json(content: dict) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _write(path: Path, decoders: list[str], kind: str) -> Path:
    if path.suffix.lower() not in {".html", ".htm"}:
        raise UserError(f"--export {path}: a page's name ends in .html")
    with atomic_directory(path.parent) as staging:
        (staging / path.name).write_text(page.whole(decoders, kind), encoding="utf-8")
    return path
