"""Programmatic dependent launch: a kernel begins while the one before it still runs.

A decoding step for one row is some sixty kernels of two microseconds, each of which needs what the one before it has
computed. Launched early, a kernel has read its weights, or what an earlier step has left in the cache, by the time the
one before it ends. (CUDA's programming guide; Hopper and later.) What this step computes may be read after `begin`
only. What earlier steps have written may be read before it, as a step's first kernel waits for them in `begin_step`.
"""

from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit
def begin(EARLY: tl.constexpr) -> None:
    """Let the next kernel be launched, and wait for all that the kernels before have written."""
    if EARLY:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
def begin_step(EARLY: tl.constexpr) -> None:
    """As `begin`, for the first kernel of a step: no other one is launched before the last step has ended."""
    if EARLY:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


def early(rows: int, device: torch.device) -> dict[str, Any]:
    """How a kernel of a step over so many rows is launched. For several rows it was not faster (see LOG.md)."""
    fits = rows == 1 and device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
    return {"EARLY": True, "launch_pdl": True} if fits else {"EARLY": False}
