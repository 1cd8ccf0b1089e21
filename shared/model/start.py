"""The decoder that a training starts from, as its flags say, and the vocabulary that goes with it."""

import sys

from accelerate import PartialState
from datasets import Dataset

from shared.data.arguments import DataArguments
from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.model.arguments import ModelArguments
from shared.model.build import change_vocabulary, load_decoder, new_decoder
from shared.model.decoder import Decoder
from shared.model.positions import extend_positions
from shared.task import Task


def build_decoder(
    kind: type[Task],
    arguments: DataArguments,
    rows: Dataset | None,
    model: ModelArguments,
    seed: int,
    vocabulary: Vocabulary | None = None,
) -> tuple[Decoder, Vocabulary]:
    """The decoder to train, new or pre-trained, and its vocabulary; `rows` are those of training.

    A training that is resumed gives the `vocabulary` of its run, whatever rows it goes on with.

    Raises:
        UserError: if the flags do not fit what is loaded.
    """
    if model.model_name_or_path:
        decoder, vocabulary = _pretrained(model.model_name_or_path, kind, arguments, rows, model, vocabulary)
    else:
        vocabulary = vocabulary or start_vocabulary(kind, arguments, rows, model)
        decoder = new_decoder(
            model.size,
            vocabulary,
            model.max_length,
            dropout=model.dropout,
            attention_dropout=model.attention_dropout,
            mask=model.mask,
            relative_attention=model.relative_attention,
            seed=seed,
            overrides=model.config_overrides,
            position_period=model.position_period,
            copy_attention=model.copy_attention,
        )
    name = ("the shape of " if model.from_scratch else "") + (model.model_name_or_path or model.size)
    tokens = len(vocabulary.tokens)
    PartialState().print(f"{name}: {decoder.num_parameters():,} parameters, {tokens:,} tokens", file=sys.stderr)
    return decoder, vocabulary


def start_vocabulary(
    kind: type[Task], arguments: DataArguments, rows: Dataset | None, model: ModelArguments
) -> Vocabulary:
    """The vocabulary that a training starts from, new or grown from a pre-trained one.

    Raises:
        UserError: if it is to be new and there are no `rows` of training to learn it from.
    """
    name = model.model_name_or_path
    if not name and rows is None:
        raise UserError("a new decoder needs training data: give --train_file or --model_name_or_path")
    old = kind.load_vocabulary(name) if name else None
    return kind.build_vocabulary(arguments, old, rows, model.vocab_size)


def _pretrained(
    name: str,
    kind: type[Task],
    arguments: DataArguments,
    rows: Dataset | None,
    model: ModelArguments,
    vocabulary: Vocabulary | None,
) -> tuple[Decoder, Vocabulary]:
    decoder = load_decoder(name, model.dropout, model.attention_dropout)
    if model.from_scratch:
        decoder = Decoder(decoder.config)
    distances = decoder.config.relative_attention
    if model.relative_attention and not distances:
        decoder.add_relative_attention(model.relative_attention)
    elif model.relative_attention not in {0, distances}:
        raise UserError(f"--relative_attention {model.relative_attention}: {name} has {distances} distances")
    width = decoder.config.copy_attention
    if model.copy_attention and not width:
        decoder.add_copy_attention(model.copy_attention)
    elif model.copy_attention not in {0, width}:
        raise UserError(f"--copy_attention {model.copy_attention}: that of {name} has the width {width}")
    if model.position_period not in {0, decoder.config.position_period}:
        raise UserError(
            f"--position_period {model.position_period}: the positions of {name} "
            + (f"repeat after {period}" if (period := decoder.config.position_period) else "do not repeat")
        )
    if decoder.config.mask != model.mask:
        said = f"{name} has learned with --mask {decoder.config.mask}; from here on it is --mask {model.mask}"
        PartialState().print(said, file=sys.stderr)
    decoder.config.mask = model.mask
    old = kind.load_vocabulary(name)
    vocabulary = vocabulary or start_vocabulary(kind, arguments, rows, model)
    change_vocabulary(decoder, old, vocabulary)
    if model.max_length > decoder.context:
        if not model.extend_positions:
            raise UserError(
                f"--max_length {model.max_length}: {name} has positions for {decoder.context} only; give "
                "--extend_positions tile (or interpolate) to add some"
            )
        extend_positions(decoder, model.max_length, model.extend_positions)
    return decoder, vocabulary
