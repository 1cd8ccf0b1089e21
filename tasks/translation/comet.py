"""COMET (Rei et al. 2020, https://aclanthology.org/2020.emnlp-main.213), where `unbabel-comet` is installed."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

import torch

from shared.errors import UserError, first_line


def check_installed(model: str) -> None:
    """Refuse COMET where it is asked for and not there.

    Raises:
        UserError: if the package is missing.
    """
    if "comet" not in sys.modules and find_spec("comet") is None:
        raise UserError(f"--comet {model} needs the package unbabel-comet: pip install unbabel-comet")


def comet(outputs: Sequence[str], sources: Sequence[str], references: Sequence[str], model: str) -> float:
    """The mean over the outputs, times 100, of a COMET model: a name on the hub, or a checkpoint's file.

    Raises:
        UserError: if the package or the model is missing.
    """
    check_installed(model)
    from comet import download_model, load_from_checkpoint  # noqa: PLC0415  an optional package

    try:
        path = model if model.endswith(".ckpt") else download_model(model)
        scorer = load_from_checkpoint(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"--comet {model}: no such model ({first_line(error)})") from error
    columns = zip(sources, outputs, references, strict=True)
    rows = [{"src": source, "mt": output, "ref": reference} for source, output, reference in columns]
    return 100 * float(scorer.predict(rows, batch_size=32, gpus=int(torch.cuda.is_available())).system_score)
