"""What the hardware can do, measured. What a decoder asks of it is counted in `shared.model.flops`.

Training is bound by arithmetic: model FLOPs utilization (MFU; Chowdhery et al. 2022, "PaLM", appendix B) is its share
of the matrix products that the device was seen to do. Writing a token at a time is bound by memory: each step reads all
weights and the cache of keys and values, which cannot take less time than copying as many bytes.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter

import torch

GPU = torch.cuda.is_available()
BF16 = GPU and torch.cuda.is_bf16_supported(including_emulation=False)
TRIALS = 5
DATA_SHEETS = {"H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}
"""By a part of the GPU's name; the first that fits counts."""
CPUINFO = Path("/proc/cpuinfo")


def synchronize(device: torch.device) -> None:
    """Wait for what a GPU was asked to do, so that a clock read next counts it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@cache
def multiplies_bfloat16(device: torch.device, cpuinfo: Path = CPUINFO) -> bool:
    """Whether products of bfloat16 matrices are faster than float32's: on a GPU, and a CPU with instructions for them.

    Others emulate them, slowly.
    """
    if device.type != "cpu":
        return True
    try:
        flags = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16"})


@cache
def matmul_peak(device: torch.device) -> float:
    """The most floating-point operations per second seen in square matrix products: bfloat16 on a GPU, else float32."""
    gpu = device.type == "cuda"
    size, dtype = (8192, torch.bfloat16) if gpu else (1024, torch.float32)
    generator = torch.Generator(device).manual_seed(0)  # a training's random numbers stay as they are
    a, b, product = (torch.randn(size, size, generator=generator, dtype=dtype, device=device) for _ in range(3))
    return 2 * size**3 / _shortest(lambda: torch.mm(a, b, out=product), device, calls=10 if gpu else 1)


def data_sheet_peak(device: torch.device) -> float | None:
    """The dense bfloat16 products per second that a GPU's data sheet names, where this program knows it."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for model, peak in DATA_SHEETS.items() if model in name), None)


@cache
def bandwidth(device: torch.device) -> float:
    """The most bytes per second seen in copies within the device's memory, those read and those written counted."""
    gpu = device.type == "cuda"
    source = torch.ones(2**30 if gpu else 2**27, dtype=torch.uint8, device=device)  # more than most caches hold
    target = torch.zeros_like(source)
    return 2 * len(source) / _shortest(lambda: target.copy_(source), device, calls=10 if gpu else 1)


@torch.no_grad()
def _shortest(work: Callable, device: torch.device, calls: int) -> float:
    """Seconds of one call of `work` in the best of some trials."""
    seconds = []
    for _ in range(TRIALS + 1):  # the first warms up
        synchronize(device)
        start = perf_counter()
        for _ in range(calls):
            work()
        synchronize(device)
        seconds.append((perf_counter() - start) / calls)
    return min(seconds[1:])
