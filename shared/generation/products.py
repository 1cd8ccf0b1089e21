"""A decoding step's matrix products on a CPU: with the weights as they are, or with their whole numbers in 8 bits.

One row's product takes the time to read its matrix from memory, and in 8 bits that is a quarter.
"""

from typing import Any

import torch
from torch import Tensor

from shared.model.quantized import MOST, Rounded, rounded_matrix

BASE = 2 * MOST  # half of it, which is left of a digit, is a digit again
STEP = 32  # PyTorch's product in bfloat16 reads so many inputs at once, and does not look where they end


class Product:
    """`inputs @ matrix + bias`; `matrix` is [inputs, outputs]."""

    def __init__(self, matrix: Tensor, bias: Tensor):
        inputs, outputs = matrix.shape
        # The longer side contiguous: one row's product reads it nearly twice as fast.
        self.matrix = matrix.contiguous() if outputs >= inputs else matrix.T.contiguous().T
        self.bias = bias

    def __call__(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        """For `inputs` [N, inputs], as [N, outputs]; to `out`, where that is given."""
        return torch.addmm(self.bias, inputs, self.matrix, out=out)


class PackedProduct(Product):
    """A product of one row in bfloat16 with a matrix in 8 bits, as a block's; its sums are in 32 bits.

    Several rows share the reading of their matrix, and are multiplied as floats.
    """

    def __init__(self, matrix: Tensor, bias: Tensor, kept: Rounded):
        super().__init__(matrix, bias)
        self.whole, self.scale = kept.whole, kept.scale.bfloat16()

    def __call__(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        if len(inputs) > 1:
            return super().__call__(inputs, out)
        return torch.add(self.bias, torch._weight_int8pack_mm(inputs.bfloat16(), self.whole, self.scale), out=out)


class WholeProduct(Product):
    """A product of one row with a matrix in 8 bits, as exact as floats: for logits, which bfloat16 would round.

    The row is rounded to two digits of 8 bits by its largest number, so to 15 bits. That takes a dozen operations,
    which only a large matrix is worth.
    """

    def __init__(self, matrix: Tensor, bias: Tensor, kept: Rounded):
        super().__init__(matrix, bias)
        self.whole, self.scale = kept.whole.T, kept.scale
        inputs, outputs = matrix.shape
        self.digits = torch.empty(2, inputs, dtype=torch.int8)
        self.sums = torch.empty(2, outputs, dtype=torch.int32)
        # As tensors: an operation takes longer for a number.
        self.most, self.base = torch.tensor(float(MOST)), torch.tensor(float(BASE))
        self.values = torch.tensor([[1 / MOST, 1 / MOST / BASE]])  # of the digits
        self.least = torch.tensor(torch.finfo(torch.float32).tiny)

    def __call__(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        if len(inputs) > 1:
            return super().__call__(inputs, out)
        largest = torch.maximum(inputs.abs().amax(), self.least)
        high, low = self.digits[:1], self.digits[1:]
        rest = inputs * (self.most / largest)
        high.copy_(first := rest.round())
        low.copy_(rest.sub_(first).mul_(self.base).round_())
        # One by one: for several rows, the library would first copy the matrix to another order.
        torch._int_mm(high, self.whole, out=self.sums[:1])
        torch._int_mm(low, self.whole, out=self.sums[1:])
        return torch.addmm(self.bias, self.values * largest, self.sums * self.scale, out=out)


def block_product(module: Any) -> Product:
    """The product of one of a block's modules, in 8 bits where its weights are and this processor can."""
    matrix, kept = module.weight, rounded_matrix(module)
    if kept is None or why_not_packed(matrix):
        return Product(matrix, module.bias)
    return PackedProduct(matrix, module.bias, kept)


def head_product(head: Any) -> Product:
    """The product that gives the logits, in 8 bits where its weights are and this processor can."""
    matrix, kept = head.weight.T, rounded_matrix(head)
    bias = matrix.new_zeros(matrix.shape[1])
    return Product(matrix, bias) if kept is None or why_not_whole(matrix) else WholeProduct(matrix, bias, kept)


def why_not_packed(matrix: Tensor) -> str | None:
    """What keeps a matrix [inputs, outputs] from `PackedProduct`, or None."""
    if matrix.dtype != torch.float32:
        return "bfloat16 has fewer digits"
    if len(matrix) % STEP:
        return f"a row is no multiple of {STEP}"
    known = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return None if known else "the processor has no fast product in 8 bits"


def why_not_whole(matrix: Tensor) -> str | None:
    """What keeps a matrix [inputs, outputs] from `WholeProduct`, or None."""
    if matrix.dtype != torch.float32:
        return "two digits are fewer than its numbers have"
    return None if torch.cpu._is_vnni_supported() else "the processor multiplies no whole numbers of 8 bits"
