"""A decoding step's matrix products on a CPU: with the weights as they are, or with their whole numbers in 8 bits.

What a product takes is the time to read its matrix from memory. In 8 bits that is a quarter, and one processor core
multiplies whole numbers of 8 bits (VNNI) several times as fast as floats.
"""

import torch
from torch import Tensor, nn

from shared.model.quantized import MOST, rounded_matrix

BASE = 2 * MOST  # half of it, which is left of a digit, is a digit again


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


class WholeProduct(Product):
    """A product of one row with a matrix in 8 bits; several rows, which share its reading, are multiplied as floats.

    The row is rounded to two digits of 8 bits, by its largest number: to 15 bits, so that what is lost is the rounding
    of the weights alone.
    """

    def __init__(self, matrix: Tensor, bias: Tensor, whole: Tensor, scale: Tensor):
        super().__init__(matrix, bias)
        self.whole, self.scale = whole.T, scale
        self.digits = torch.empty(2, whole.shape[1], dtype=torch.int8)
        self.sums = torch.empty(2, len(whole), dtype=torch.int32)
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


def product(module: nn.Module, matrix: Tensor) -> Product:
    """The product with a module's `matrix` [inputs, outputs], in 8 bits where it is rounded and this processor can."""
    bias = getattr(module, "bias", None)
    bias = matrix.new_zeros(matrix.shape[1]) if bias is None else bias
    kept = rounded_matrix(module)
    if kept is None or supports(matrix):
        return Product(matrix, bias)
    return WholeProduct(matrix, bias, *kept)


def supports(matrix: Tensor) -> str | None:
    """What keeps a matrix in 8 bits from its product in whole numbers, or None."""
    if matrix.dtype != torch.float32:
        return "two digits are fewer than its numbers have"
    return None if torch.cpu._is_vnni_supported() else "the processor multiplies no whole numbers of 8 bits"
