"""Weights that FSDP 2 divides among processes (DTensors), put together where a decoder scores and writes.

Generation reads the weights in ways of its own (a cache, kernels, graphs) and each process at its own pace, while what
is divided can only be read by all processes at once.
"""

from pathlib import Path

import torch
from accelerate import FullyShardedDataParallelPlugin
from safetensors.torch import load_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from shared.errors import UserError
from shared.model.decoder import Decoder
from shared.training.arguments import TrainingArguments
from shared.training.muon import MUON


def check_shards(arguments: TrainingArguments, fsdp: FullyShardedDataParallelPlugin | None) -> None:
    """Refuse what needs whole weights, where FSDP (by its settings) or DeepSpeed (None) divides them.

    Raises:
        UserError: for FSDP 1, Muon, or an average of the weights.
    """
    if fsdp is not None and fsdp.fsdp_version != 2:
        raise UserError("FSDP 1 is not supported: give fsdp_version: 2, as recipes/accelerate/sharded.yaml does")
    for flag, wanted, instead in (
        ("--ema_decay", arguments.ema_decay > 0, "--ema_decay 0"),
        ("--optim muon", arguments.optim == MUON, "--optim adamw_torch_fused"),
    ):
        if wanted:
            raise UserError(f"{flag} needs whole weights, which FSDP and DeepSpeed divide: give {instead}")


def is_sharded(decoder: Decoder) -> bool:
    return any(isinstance(weight, DTensor) for weight in decoder.parameters())


def whole(decoder: Decoder) -> Decoder:
    """The decoder itself or, where its weights are divided, a copy with all of them; called by all processes at once.

    The copy takes the memory of all weights on every device, until it is let go.
    """
    if not is_sharded(decoder):
        return decoder
    # The weights that a decoder begins with are drawn: the training's own random numbers must not move on.
    with torch.random.fork_rng(devices=[]):
        copy = Decoder(decoder.config)
    state = {
        name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        for name, tensor in decoder.state_dict().items()
    }
    copy.load_state_dict(state)
    copy.generation_config = decoder.generation_config
    return copy.to(decoder.device).eval()


def save_whole(decoder: Decoder, folder: str, writes: bool) -> None:
    """Save a decoder whose weights are divided as one whose are not; called by all processes, of which one `writes`."""
    together = whole(decoder)
    if writes:
        together.save_pretrained(folder)


@torch.no_grad()
def load_whole(decoder: nn.Module, folder: Path) -> None:
    """Give `decoder`, whose weights may be divided, those that are saved in `folder`; each process reads for itself.

    Raises:
        KeyError: if weights are missing.
        RuntimeError: if one is of another shape.
    """
    saved = load_file(folder / "model.safetensors")
    for name, weight in decoder.named_parameters():  # tied ones once
        tensor = saved[name].to(weight.device, weight.dtype)
        if isinstance(weight, DTensor):
            tensor = distribute_tensor(tensor, weight.device_mesh, weight.placements, src_data_rank=None)
        weight.copy_(tensor)
