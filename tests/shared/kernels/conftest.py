"""Kernels that run here."""

import pytest
import torch

from shared.kernels import support
from tests.shared.kernels.running import ON_GPU


@pytest.fixture
def kernels_run_here(monkeypatch):
    """On a CPU, too, the kernels are chosen wherever they support the case."""
    if not ON_GPU:
        import triton  # noqa: PLC0415 (which need not be installed)

        from shared.kernels import decode, decode_attention, sampling  # noqa: PLC0415

        for module in (decode, decode_attention, sampling):  # one row as on Hopper; there is nothing to wait for
            monkeypatch.setattr(module, "early", lambda rows, device: {"EARLY": rows == 1})
        for name in ("gdc_wait", "gdc_launch_dependents"):
            monkeypatch.setattr(triton.language.extra.cuda, name, lambda: None)
        monkeypatch.setattr(support, "DEVICES", {"cpu"})
        monkeypatch.setattr(support, "has_triton", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
