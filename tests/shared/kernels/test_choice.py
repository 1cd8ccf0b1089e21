"""The fused choice of the next token against the plain one."""

from itertools import product

import pytest
import torch

from shared.generation import sampling
from shared.generation.arguments import GenerationArguments
from shared.generation.slots import Slots
from tests.shared.kernels.running import DEVICE, cases

pytest.importorskip("triton", reason="Triton is not installed: pip install -e '.[dev]'")
from shared.kernels import sampling as sampling_kernel

pytestmark = [
    pytest.mark.usefixtures("kernels_run_here"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # of the interpreter's infinities
]
SETTINGS = [
    {},
    {"do_sample": True},
    {"do_sample": True, "top_k": 7},
    {"do_sample": True, "top_p": 0.8, "temperature": 0.7},
    {"do_sample": True, "top_k": 40, "top_p": 0.6},
]


@pytest.mark.parametrize(
    ("vocabulary", "settings"),
    cases(
        list(product([50, 393, 9000, 50257], SETTINGS)),
        [*product([50], SETTINGS), (9000, SETTINGS[0]), (9000, SETTINGS[-1])],
    ),
    ids=str,
)
def test_what_is_written_is_chosen_as_without_the_kernel(vocabulary, settings):
    torch.manual_seed(0)
    rows, ended, ending, steps = cases((200, 5, 9, 3), (4, 1, 2, 2 if vocabulary < 100 else 1))
    settings, numbers = GenerationArguments(**settings), torch.rand(rows, 5)
    plain, fused = (Slots(rows, 5, DEVICE) for _ in range(2))
    for slots in (plain, fused):
        slots.uniform.copy_(numbers)
        slots.finished[ended:] = False
        slots.limit.fill_(4)
        slots.count[2] = 3
    for _ in range(steps):
        logits = torch.randn(rows, vocabulary, device=DEVICE) * 3
        logits[:ending, 3] += 9
        sampling.advance(logits, plain, settings, 3)
        sampling_kernel.advance(logits, fused, settings, 3)
    # Sums of probabilities are rounded: a number that falls between two tokens may choose the other one.
    for name in ("drawn", "tokens", "ids"):
        assert (getattr(plain, name) != getattr(fused, name)).float().mean() < 0.01
    if not settings.do_sample:
        for name in ("drawn", "tokens", "positions", "count", "finished", "ids"):
            assert torch.equal(getattr(plain, name), getattr(fused, name))


@pytest.mark.parametrize(
    "settings", [SETTINGS[0], SETTINGS[2], SETTINGS[-1], {"do_sample": True, "top_k": 100}], ids=str
)
def test_one_row_draws_what_is_drawn_without_the_kernel(settings):
    """As it is launched on Hopper: before what it reads has been written."""
    torch.manual_seed(0)
    vocabulary, steps = cases((50257, 200), (2000, 3))
    settings = GenerationArguments(**settings)
    plain, fused = (Slots(1, steps, DEVICE) for _ in range(2))
    for slots in (plain, fused):
        slots.finished.fill_(False)
        slots.limit.fill_(steps)
        slots.uniform.copy_(torch.linspace(0, 0.999, steps, device=DEVICE))
    for _ in range(steps):
        logits = torch.randn(1, vocabulary, device=DEVICE) * 3
        sampling.advance(logits, plain, settings, -1)
        sampling_kernel.advance(logits, fused, settings, -1)
    assert (plain.ids != fused.ids).float().mean() < 0.01
    assert plain.ids.unique().numel() > steps * 0.9
