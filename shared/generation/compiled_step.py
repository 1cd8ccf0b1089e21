"""A decoding step of one row as one call of C++, which is compiled for the machine's processor.

A step of a small decoder is some sixty calls of PyTorch, and takes longer for them than for its sums. Here all of it is
`compiled_step.cpp`, over weights in the order in which it reads them: floats, or their whole numbers in 8 bits.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep
from shared.kernels.cpp import NUMBER, POINTER, WIDEST, NotCompiledError, library
from shared.kernels.support import warn_once
from shared.model.block import block_matrices, distance_embeddings
from shared.model.decoder import Decoder
from shared.model.quantized import Rounded, rounded_matrix

SOURCE = Path(__file__).with_suffix(".cpp")
PARTS = 4  # vectors in a panel, as there
WIDE = 256  # of a narrower decoder, a product does not take as long as a second thread may be waited for


def _pointers(names: str) -> list[tuple[str, Any]]:
    return [(name, POINTER) for name in names.split()]


def _numbers(names: str) -> list[tuple[str, Any]]:
    return [(name, NUMBER) for name in names.split()]


class _Matrix(ctypes.Structure):
    _fields_ = [*_pointers("weights scale bias"), *_numbers("inputs outputs")]


class _Norm(ctypes.Structure):
    _fields_ = [*_pointers("weight bias"), ("epsilon", ctypes.c_float)]


class _Layer(ctypes.Structure):
    _fields_ = [
        *(("norm_1", _Norm), ("projection", _Matrix), ("output", _Matrix)),
        *(("norm_2", _Norm), ("up", _Matrix), ("down", _Matrix)),
        *(("relative", POINTER), ("scaling", ctypes.c_float)),
    ]


class _Decoder(ctypes.Structure):
    _fields_ = [
        *_pointers("words places layers"),
        *(("last", _Norm), ("head", _Matrix)),
        *_numbers("depth heads distances period"),
    ]


class _Room(ctypes.Structure):
    _fields_ = [
        *_pointers("pairs"),
        *_numbers("length threads"),
        *_pointers("states normed projected raised scores"),
    ]


class _Compiled:
    """The step's function, and a decoder's weights as it takes them; `kept` is what it has the addresses of."""

    def __init__(self, decoder: Decoder):
        config, gpt2 = decoder.config, decoder.transformer
        made = library(SOURCE, HEAD_WIDTH=config.n_embd // config.n_head)
        self.run, self.lanes = made.step, made.lanes()
        self.run.argtypes, self.run.restype = (POINTER, POINTER, NUMBER, NUMBER, POINTER), None
        self.kept: list[Any] = []
        layers = (_Layer * config.n_layer)(*map(self._layer, decoder.blocks))
        self.kept.append(layers)
        self.decoder = _Decoder(
            words=self._keep(gpt2.wte.weight),
            places=self._keep(gpt2.wpe.weight),
            layers=ctypes.addressof(layers),
            last=self._norm(gpt2.ln_f),
            head=self._matrix(decoder.lm_head.weight, None, rounded_matrix(decoder.lm_head)),
            depth=config.n_layer,
            heads=config.n_head,
            distances=config.relative_attention,
            period=len(gpt2.wpe.weight),
        )

    def _keep(self, tensor: Tensor) -> int:
        tensor = tensor.detach().contiguous()
        self.kept.append(tensor)
        return tensor.data_ptr()

    def _norm(self, norm: nn.LayerNorm) -> _Norm:
        return _Norm(self._keep(norm.weight), self._keep(norm.bias), norm.eps)

    def _matrix(self, matrix: Tensor, bias: Tensor | None, rounded: Rounded | None) -> _Matrix:
        """A matrix [outputs, inputs] in panels."""
        outputs, inputs = matrix.shape
        padding = -outputs % (self.lanes * PARTS)
        weights = matrix if rounded is None else rounded.whole
        panels = F.pad(weights.detach(), (0, 0, 0, padding)).reshape(-1, PARTS, self.lanes, inputs)
        order, scale = (0, 3, 1, 2), None
        if rounded is not None:
            order, scale = (0, 3, 2, 1), self._keep(F.pad(rounded.scale / 2**24, (0, padding)))
        bias = matrix.new_zeros(outputs) if bias is None else bias
        return _Matrix(self._keep(panels.permute(order)), scale, self._keep(F.pad(bias, (0, padding))), inputs, outputs)

    def _layer(self, block: Any) -> _Layer:
        relative = distance_embeddings(block.attn)
        return _Layer(
            norm_1=self._norm(block.ln_1),
            norm_2=self._norm(block.ln_2),
            relative=None if relative is None else self._keep(relative),
            scaling=block.attn.scaling,
            **{
                name: self._matrix(module.weight.T, module.bias, rounded_matrix(module))
                for name, module in block_matrices(block).items()
            },
        )


_COMPILED: WeakKeyDictionary[Decoder, _Compiled] = WeakKeyDictionary()


def compile_step(decoder: Decoder) -> Decoder:
    """Let the decoder write single rows with a step in C++, from now on; where that cannot be, a warning says why.

    The step has the weights once more, as they are now: they are not to be trained. Of a decoder in 8 bits it takes the
    whole numbers.
    """
    reason = why_not_compiled(decoder)
    try:
        if reason is None:
            _COMPILED[decoder] = _Compiled(decoder.requires_grad_(False))
    except NotCompiledError as error:
        reason = str(error)
    if reason:
        warn_once(f"the decoding step is not compiled: {reason}")
    return decoder


def why_not_compiled(decoder: Decoder) -> str | None:
    """What keeps a decoder from being compiled, or None."""
    config = decoder.config
    if decoder.device.type != "cpu":
        return f"the decoder is on a device of the kind {decoder.device.type}, not on a CPU"
    if decoder.dtype != torch.float32:
        return f"its weights are {decoder.dtype}, not torch.float32"
    if config.activation_function not in ("gelu_new", "gelu_pytorch_tanh"):
        return f"its activation is {config.activation_function}, not gelu_new"
    widths = config.n_embd // config.n_head, decoder.blocks[0].mlp.c_fc.weight.shape[1]
    if any(width % WIDEST for width in widths):
        return f"its heads and its MLP are {widths[0]} and {widths[1]} wide, not both multiples of {WIDEST}"
    return None


def why_not(decoder: Decoder, cache: KeyValueCache) -> str | None:
    """What keeps a compiled decoder from this step over a cache, or None."""
    if reason := why_not_compiled(decoder):  # it may have been moved
        return reason
    if cache.beam_origin is not None:
        return "beams share their cache"
    if cache.keys[0].dtype != torch.float32:
        return f"the cache is {cache.keys[0].dtype}, not torch.float32"
    return None if cache.slots == 1 else "several rows are written at once (--generation_batch_size 1 writes one)"


def compiled_step(decoder: Decoder, cache: KeyValueCache) -> "CompiledStep | None":
    """The step in C++, where the decoder was compiled and can take it; where it cannot, a warning says why."""
    if decoder not in _COMPILED:
        return None
    if reason := why_not(decoder, cache):
        warn_once(f"the decoding step runs uncompiled: {reason}")
        return None
    return CompiledStep(decoder, cache, _COMPILED[decoder])


class CompiledStep(DecodeStep):
    """A `DecodeStep` over one slot, in one call."""

    def __init__(self, decoder: Decoder, cache: KeyValueCache, compiled: _Compiled):
        super().__init__(decoder, cache)
        self.compiled, config = compiled, decoder.config
        empty = functools.partial(torch.empty, dtype=torch.float32)
        self.tokens, self.length = config.vocab_size, cache.length
        self.normed = empty(1, config.n_embd)
        self.room = {
            "states": empty(config.n_embd),
            "normed": self.normed,
            "projected": empty(3 * config.n_embd),
            "raised": empty(decoder.blocks[0].mlp.c_fc.weight.shape[1]),
            "scores": empty(config.n_head, cache.length),
        }
        self.pairs = (POINTER * config.n_layer)(*(pair.data_ptr() for pair in cache.pairs))
        room = _Room(
            pairs=ctypes.addressof(self.pairs),
            length=cache.length,
            threads=torch.get_num_threads() if config.n_embd >= WIDE else 1,
            **{name: tensor.data_ptr() for name, tensor in self.room.items()},
        )
        self.given = ctypes.byref(compiled.decoder), ctypes.byref(room)

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        token, position = int(tokens), int(positions)
        if not (0 <= token < self.tokens and 0 <= position < self.length):  # which nothing there looks at
            raise IndexError(f"token {token} at position {position}: there are {self.tokens} and {self.length}")
        logits = torch.empty(1, self.tokens)
        self.compiled.run(*self.given, token, position, logits.data_ptr())
        if self.copy is None:
            return logits
        projected = F.linear(self.normed, self.copy.weight, self.copy.bias)
        return self.copy(logits, projected, tokens, positions, (position, position))
