"""Which operations run as a GPU's kernels: `fast` gives the module that holds them, or None for the plain form.

Such a module of `shared.kernels` holds operations, most under the names and signatures of their plain forms, and says
by `why_not(...)` what keeps it from a case, or None. What a fast form does not know runs in the plain one.

A CPU's fast forms have such functions as well, which are asked where a form is chosen: in `shared.model.masks` and, of
`shared.generation`, in `steps`, `products` and `sampling`. A task's constraint may have a fast form of its own.
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
        reason = module.why_not(**case)
    if reason is None:
        return module
    if name in WITHOUT:
        warn_once(f"{WITHOUT[name]}: {reason}")
    return None


@functools.cache
def warn_once(message: str) -> None:
    """A warning that is given once in a program, however often its cause is met."""
    warnings.warn(message, stacklevel=3)
