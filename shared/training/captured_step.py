"""A whole training step as one CUDA graph: recorded once, then replayed by a single launch.

A small decoder's step is a thousand kernels of a few microseconds each, and Python launches them more slowly than the
GPU runs them. What is recorded here is the Trainer's own step, from the batch to the averaged weights: forward and
backward pass, clipping, optimizer, average. A replay runs the same kernels on the same memory; what differs from step
to step (the batch, how many tokens count, learning rates, the average's decay) lies in tensors that are filled before,
and dropout draws anew, as PyTorch counts a replay's random numbers on.

The Trainer's loop stays as it is: after each step it finds no gradients, and nothing to clip, to step or to zero.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

import torch
from accelerate.utils import DistributedType
from torch import Tensor, nn

from shared.errors import UserError, first_line
from shared.kernels.support import warn_once
from shared.training.ema import ExponentialMovingAverage

if TYPE_CHECKING:  # it imports this file
    from shared.training.trainer import Trainer

WARM_UPS = 2  # steps that load, compile and allocate what the graph will hold
Batch = dict[str, Tensor]
ON = "cuda"  # the kind of device that records


class Graph(Protocol):
    """What records work and repeats it."""

    def warm_up(self, work: Callable[[], None]) -> None:
        """Do the work as it will be recorded."""

    def record(self, work: Callable[[], None]) -> None:
        """Keep the work without doing it."""

    def replay(self) -> None:
        """Do what was recorded."""


class CudaGraph:
    """A `Graph` of CUDA kernels; those of one training share their memory, as they never run at once."""

    def __init__(self, stream: torch.cuda.Stream, pool: Any):
        self.graph, self.stream, self.pool = torch.cuda.CUDAGraph(), stream, pool

    def warm_up(self, work: Callable[[], None]) -> None:
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            work()
        current.wait_stream(self.stream)

    def record(self, work: Callable[[], None]) -> None:
        # Only this thread is watched: others pin the next batches' memory meanwhile.
        with torch.cuda.graph(self.graph, self.pool, self.stream, capture_error_mode="thread_local"):
            work()

    def replay(self) -> None:
        self.graph.replay()


def cuda_graphs() -> Callable[[], CudaGraph]:
    """Makes the graphs of one training."""
    stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
    return lambda: CudaGraph(stream, pool)


def why_launched(trainer: "Trainer") -> str | None:
    """As `why_not`, and the reason is said once."""
    reason = why_not(trainer)
    if reason:
        warn_once(f"a training step is launched kernel by kernel, not as a CUDA graph: {reason}")
    return reason


def why_not(trainer: "Trainer") -> str | None:
    """Why the steps of a `shared.training.trainer.Trainer` cannot be recorded, or None if they can."""
    arguments, accelerator = trainer.args, trainer.accelerator
    optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    reasons = {
        "a CPU": accelerator.device.type != ON,
        "several processes": accelerator.num_processes > 1,
        "FSDP or DeepSpeed": accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_GPU),
        "float16, whose overflows are looked for in every step": accelerator.scaler is not None,
        f"--optim {arguments.optim}": not (isinstance(optimizer, torch.optim.AdamW) and optimizer.defaults["fused"]),
        "gradient checkpointing": trainer.model.is_gradient_checkpointing,
        "--torch_empty_cache_steps": arguments.torch_empty_cache_steps is not None,
        "--auto_find_batch_size": arguments.auto_find_batch_size,
    }
    return next((reason for reason, met in reasons.items() if met), None)


@contextmanager
def silenced(owner: Any, name: str) -> Iterator[None]:
    """A method that does nothing for a while."""
    own, method = vars(owner).get(name), getattr(owner, name)

    @wraps(method)  # schedulers mark the method that they want to see called
    def nothing(*_: Any, **__: Any) -> None:
        pass

    setattr(owner, name, nothing)
    try:
        yield
    finally:
        delattr(owner, name)
        if own:
            setattr(owner, name, own)


class CapturedStep:
    """Replays the steps of one training.

    `forward_backward` takes a batch and the number of learned tokens in the step, leaves gradients in `parameters` and
    returns the loss; `clip` scales the gradients and returns their norm. With `accumulates` a step may be of several
    batches.
    """

    def __init__(
        self,
        forward_backward: Callable[[Batch, Tensor], Tensor],
        clip: Callable[[], Tensor],
        optimizer: torch.optim.Optimizer,
        average: ExponentialMovingAverage | None,
        parameters: list[nn.Parameter],
        accumulates: bool,
        new_graph: Callable[[], Graph],
    ):
        self.forward_backward, self.clip, self.new_graph = forward_backward, clip, new_graph
        self.optimizer, self.average, self.parameters = optimizer, average, parameters
        device = parameters[0].device
        self.loss, self.norm, self.decay, self.items = (torch.zeros((), device=device) for _ in range(4))
        self.rates = torch.zeros(len(optimizer.param_groups), device=device)
        # Where only one batch is a step's, its gradients are new, and adding them to zeros would be waste.
        self.gradients = [torch.zeros_like(weight) for weight in parameters] if accumulates else None
        self.recordings: dict[tuple, _Recording] = {}

    def __call__(self, batch: Batch, items: Tensor, last: bool, decay: float) -> Tensor:
        """The loss of a batch, of which gradients are kept; the `last` of a step is followed by the optimizer's.

        `decay` is that of the average. The loss stands in the same tensor for every batch.
        """
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if len(set(rates)) == 1:  # as nearly always: one launch
            self.rates.fill_(rates[0])
        else:
            for own, rate in zip(self.rates.unbind(), rates, strict=True):
                own.fill_(rate)
        self.decay.fill_(decay)
        self.items.copy_(items, non_blocking=True)
        shapes = (last, *((name, tensor.shape) for name, tensor in batch.items()))
        if shapes not in self.recordings:
            self.recordings[shapes] = _Recording(self._step if last else self._gather, batch, self)
        self.recordings[shapes](batch)
        return self.loss

    def _gather(self, batch: Batch) -> None:
        with self._own_gradients():
            self.loss.copy_(self.forward_backward(batch, self.items))

    def _step(self, batch: Batch) -> None:
        with self._own_gradients():
            self.loss.copy_(self.forward_backward(batch, self.items))
            self.norm.copy_(self.clip())
            with self._rates_in_tensors():
                self.optimizer.step()
            if self.average:
                self.average.update(self.decay)
            if self.gradients:
                torch._foreach_zero_(self.gradients)

    @contextmanager
    def _own_gradients(self) -> Iterator[None]:
        """Gradients that nobody else sees."""
        for index, weight in enumerate(self.parameters):
            weight.grad = self.gradients[index] if self.gradients else None
        yield
        for weight in self.parameters:
            weight.grad = None

    @contextmanager
    def _rates_in_tensors(self) -> Iterator[None]:
        """Learning rates as a graph can read them; for all others they stay the numbers that a scheduler sets."""
        groups = self.optimizer.param_groups
        kept = [{"lr": group["lr"], "capturable": group["capturable"]} for group in groups]
        for group, rate in zip(groups, self.rates.unbind(), strict=True):
            group.update(lr=rate, capturable=True)
        yield
        for group, values in zip(groups, kept, strict=True):
            group.update(values)


class _Recording:
    """The work on batches of one shape."""

    def __init__(self, work: Callable[[Batch], None], batch: Batch, step: CapturedStep):
        device = step.loss.device
        self.inputs = {name: torch.empty_like(tensor, device=device) for name, tensor in batch.items()}
        self.work, self.graph, self.calls = (lambda: work(self.inputs)), step.new_graph(), 0

    def __call__(self, batch: Batch) -> None:
        for name, tensor in self.inputs.items():
            tensor.copy_(batch[name], non_blocking=True)
        self.calls += 1
        if self.calls <= WARM_UPS:
            self.graph.warm_up(self.work)
            return
        if self.calls == WARM_UPS + 1:
            try:
                self.graph.record(self.work)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # which leaves PyTorch's random numbers in a state of recording
                cause = error.__context__ or error  # the end of a recording that has failed is an error, too
                raise UserError(
                    f"this training's steps cannot be recorded as a CUDA graph ({first_line(cause)}); give "
                    "--cuda_graph false"
                ) from error
        self.graph.replay()
