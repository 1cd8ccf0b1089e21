"""Compile every kernel for a GPU that need not be there: python compiling.py CAPABILITY, such as 90.

The interpreter runs kernels as Python, which forgives what Triton's compiler does not, such as a variable whose type
changes in a loop. Here each launch ends with its machine code. Run in a process of its own, without the interpreter.
"""

import sys
from types import SimpleNamespace

import torch
from torch import nn
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from shared.generation.arguments import GenerationArguments
from shared.generation.slots import Slots
from shared.kernels import average, cross_entropy, decode, decode_attention, relative_attention, sampling
from shared.model.masks import sequence_bounds

HALF = torch.bfloat16
CPU = torch.device("cpu")


class NoDevice:
    """What Triton asks of a driver before it compiles."""

    def __init__(self, capability: int):
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int = 0) -> int:
        return 0


def decoding(early: bool) -> None:
    """The kernels of a step in GPT-2's shapes."""
    options = {"EARLY": True, "launch_pdl": True} if early else {"EARLY": False}
    for module in (decode, decode_attention, sampling):
        module.early = lambda rows, device: options if rows == 1 else {"EARLY": False}
    for rows in (1, 64):
        positions, states = torch.zeros(rows, dtype=torch.long), torch.zeros(rows, 768)
        decode.embed(positions, positions, torch.zeros(9, 768, dtype=HALF), torch.zeros(9, 768, dtype=HALF))
        for columns, width, dtype in (
            (2304, 768, HALF),
            (768, 3072, HALF),
            (9000, 768, HALF),
            (768, 768, torch.float32),
        ):
            weight, bias = torch.zeros(columns, width, dtype=dtype), torch.zeros(columns, dtype=dtype)
            decode.linear(torch.zeros(rows, width), weight, bias, nn.LayerNorm(width), nn.GELU(), dtype=torch.float32)
            decode.linear(states.new_zeros(rows, width).to(dtype), weight, residual=torch.zeros(rows, columns))
        cache = torch.zeros(2, rows, 12, 576, 64, dtype=HALF)
        origin = torch.zeros(rows, 576, dtype=torch.int32)
        for relative, beams in ((None, None), (torch.zeros(12, 99, 64, dtype=HALF), origin if rows > 1 else None)):
            decode.attend(torch.zeros(rows, 2304, dtype=HALF), *cache, positions, 0.1, beams, relative)
    top_k = {"do_sample": True, "top_k": 40, "top_p": 0.9}
    for vocabulary, settings in (
        (50257, {}),
        (50257, top_k),
        (2000, top_k),
        (393, top_k),
        (50257, {**top_k, "top_k": 0}),
    ):
        sampling.advance(torch.zeros(1, vocabulary), Slots(1, 5, CPU), GenerationArguments(**settings), 0)


def training() -> None:
    """The kernels of a training step."""
    for alpha in (0.0, 1.0):
        cross_entropy.chunk_loss(torch.zeros(4, 1024, dtype=HALF), torch.zeros(4, dtype=torch.long), 1000, 0.1, alpha)
    weights = [torch.zeros(5)]
    average.MovingAverage(weights, weights)(torch.zeros(()))
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    for length in (256, 300):
        inputs = [torch.zeros(1, 2, length, 64, dtype=HALF, requires_grad=True) for _ in range(3)]
        relative = torch.zeros(2, 70, 64, dtype=HALF, requires_grad=True)
        bounds = sequence_bounds(torch.arange(length)[None])
        relative_attention.relative_attention(*inputs, relative, *bounds, 0.1).sum().backward()


def main() -> None:
    capability, launched, run = int(sys.argv[1]), SimpleNamespace(kernels=set()), JITFunction.run

    def compile_only(self, *given, grid, warmup, **named):
        launched.kernels.add(self.__name__)
        return run(self, *given, grid=grid, warmup=True, **named)

    driver.set_active(NoDevice(capability))
    JITFunction.run = compile_only
    decoding(early=capability >= 90)
    training()
    print(*sorted(launched.kernels))


if __name__ == "__main__":
    main()
