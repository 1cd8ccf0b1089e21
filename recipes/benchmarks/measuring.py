"""What both kinds of cases need: a model to compare with, and a device left as it was found."""

import copy
import gc
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import torch
from transformers import GPT2LMHeadModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import UserError
from shared.hardware import synchronize
from shared.model.build import SIZES
from shared.model.decoder import Decoder
from shared.model.modeling_onedecoder import OneDecoderForCausalLM

OURS, THEIRS, COMPILED, CONTINUOUS = "ours", "transformers", "transformers, compiled", "transformers, continuous"
EIGHT_BITS, CTRANSLATE2 = "ours, 8 bits", "CTranslate2"
COMPILED_STEP, COMPILED_8_BITS = "ours, compiled", "ours, 8 bits, compiled"
EVENT_VOCABULARY, MUSIC_CONTEXT = 393, 2048
Result = dict[str, Any]  # one line of the table


def numbered(size: int, end: int = 0) -> SimpleNamespace:
    """A vocabulary of `size` ids without any text behind them. With an `end` of -1, nothing that is written ends."""
    return SimpleNamespace(tokens={str(index): index for index in range(size)}, end=end, padding=0)


def random_rows(rows: int, length: int, size: int) -> list[list[int]]:
    """Random ids of a `numbered` vocabulary but its padding, the same in every call."""
    return torch.randint(1, size, (rows, length), generator=torch.Generator().manual_seed(0)).tolist()


def plain_gpt2(decoder: Decoder) -> GPT2LMHeadModel:
    """transformers' own model of the decoder's very weights, without its relative attention and copy attention."""
    return _sharing(decoder, GPT2LMHeadModel)


def as_loaded(decoder: Decoder) -> GPT2LMHeadModel:
    """What transformers makes of the decoder's run, on its very weights.

    That is its own model or, with `trust_remote_code=True`, that of the modelling file which the run carries.
    """
    return _sharing(decoder, GPT2LMHeadModel if decoder.is_plain_gpt2 else OneDecoderForCausalLM)


def _sharing(decoder: Decoder, kind: type[GPT2LMHeadModel]) -> GPT2LMHeadModel:
    model = kind(copy.deepcopy(decoder.config))
    known = model.state_dict()
    model.load_state_dict({name: weight for name, weight in decoder.state_dict().items() if name in known}, assign=True)
    model.tie_weights()
    return model.to(decoder.device)  # type: ignore[arg-type]  # transformers' decorator hides whose method it is


def check_counts(cases: Any, names: Iterable[str]) -> None:
    """Refuse a number of which there must be one at least.

    Raises:
        UserError: that names the flag.
    """
    for name in names:
        if getattr(cases, name) < 1:
            raise UserError(f"--{name} is {getattr(cases, name)}: give 1 or more")


def check_sizes(cases: Any, names: Iterable[str]) -> None:
    """Refuse a decoder's size that there is not; None is no case at all.

    Raises:
        UserError: that names the flag.
    """
    for name in names:
        size = getattr(cases, name)
        if size is not None and size not in SIZES:
            raise UserError(f"--{name} {size}: choose one of {', '.join(SIZES)}")


def clean(device: torch.device) -> None:
    """Forget what the last measurement compiled and held in memory."""
    gc.collect()
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew


def peak_memory(device: torch.device) -> Result:
    """The most gigabytes held since `clean`: of tensors on a GPU, by the whole program on a CPU."""
    if device.type == "cuda":
        return {"peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9}
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {"peak_memory_gb": int(kibibytes) * 1024 / 1e9}


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """How many seconds some work took, and what came of it."""
    synchronize(device)
    start = perf_counter()
    outcome = work()
    synchronize(device)
    return perf_counter() - start, outcome


class Stopwatch(TrainerCallback):
    """Seconds of a training's first step, and of all steps after the warm-up."""

    def __init__(self, warmup_steps: int, device: torch.device):
        self.warmup_steps, self.device = warmup_steps, device

    def _now(self) -> float:
        synchronize(self.device)
        return perf_counter()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begin = self._now()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step == 1:
            self.first = self._now() - self.begin
        if state.global_step == self.warmup_steps:
            self.start = self._now()
        if state.global_step == state.max_steps:
            self.seconds = self._now() - self.start


def compared(results: Iterator[Result]) -> Iterator[Result]:
    """Each line with its `ratio`: how many times as fast ours, the first, is as this one, where it was measured."""
    ours = None
    for result in results:
        speed = result.get("tokens_per_second")
        ours = ours or speed
        yield {**result, "ratio": ours / speed} if ours and speed else result
