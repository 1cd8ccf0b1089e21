"""What a decoder asks of the hardware, counted: operations of a training, bytes of a decoding step."""

import numpy as np

from shared.model.decoder import Decoder


def mean_context(lengths: np.ndarray) -> float:
    """The mean, over tokens, of the length of the sequence that a token stands in; `lengths` [N] are the sequences'."""
    lengths = lengths.astype(np.float64)
    return float((lengths**2).sum() / lengths.sum())


def training_flops_per_token(decoder: Decoder, context: float) -> float:
    """Floating-point operations of one token's forward and backward pass, in sequences of `context` tokens.

    As PaLM's appendix B and nanoGPT count: 6 for each parameter but the positions', and 12 * layers * width * context
    for attention, as if every token saw its whole sequence. For sequences of several lengths give `mean_context`.
    Copy attention is one head more: scores of its own width, but one number where others have values, whether a token
    is the one that is learned.
    """
    config = decoder.config
    per_key = 12 * config.n_layer * config.n_embd + (6 * (config.copy_attention + 1) if config.copy_attention else 0)
    return 6 * decoder.parameters_without_positions + per_key * context


def decoding_bytes_per_step(decoder: Decoder, rows: int, mean_length: float, bytes_per_value: int) -> float:
    """Bytes read to write one token in each row: all weights once, and each row's keys and values of `mean_length`."""
    config = decoder.config
    cached = 2 * config.n_layer * config.n_embd * mean_length * rows
    return bytes_per_value * (decoder.parameters_without_positions + cached)
