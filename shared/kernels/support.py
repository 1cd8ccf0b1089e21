"""Which operations have a fast form here: the one place where it is chosen.

Every module of `shared.kernels` holds operations under the names and signatures of their plain forms, and says by
`supports(...)` what keeps it from a case, or None. What a fast form does not know runs in the plain one.
"""

import functools
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch.utils._triton import has_triton

DEVICES = {"cuda"}  # what the kernels run on

# What the plain form means for the user, where it is worth a warning.
WITHOUT = {
    "decode": "decoding runs without fused kernels",
    "flex_attention": "packed rows use a dense attention mask instead of FlexAttention",
    "relative_attention": "relative attention computes all scores without its kernel",
    "sampling": "tokens are sampled without the fused kernel",
}


def fast(name: str, device: torch.device, **case: Any) -> ModuleType | None:
    """The module `shared.kernels.NAME` if it can take this `case` on `device`, else None.

    Where a GPU has to do without it, the reason is said once.
    """
    if device.type not in DEVICES:
        return None
    module, reason = None, "Triton is not installed"
    if has_triton():
        module = import_module(f"shared.kernels.{name}")
        reason = module.supports(**case)
    if reason is None:
        return module
    if name in WITHOUT:
        warn_once(f"{WITHOUT[name]}: {reason}")
    return None


@functools.cache
def warn_once(message: str) -> None:
    """A warning that is given once in a program, however often its cause is met."""
    warnings.warn(message, stacklevel=3)
