"""Where the kernels' tests run: on a GPU, or in small shapes under Triton's interpreter."""

from types import SimpleNamespace

import torch

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
HALF = torch.bfloat16 if ON_GPU else torch.float16  # the interpreter takes bfloat16 in products for integers
NEVER_ENDS = SimpleNamespace(end=-1)


def cases(on_gpu, interpreted):
    """The values of a parameter: the interpreter takes a program of a kernel after the other, in Python."""
    return on_gpu if ON_GPU else interpreted


def far(result, expected):
    return ((result.double() - expected.double()).norm() / expected.double().norm()).item()
