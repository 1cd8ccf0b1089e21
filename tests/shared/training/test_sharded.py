"""What cannot be done with weights that processes divide is refused in one line; two processes: test_two_processes."""

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin

from shared.errors import UserError
from shared.training.arguments import TrainingArguments
from shared.training.sharded import check_shards, load_whole, whole


@pytest.mark.parametrize(
    ("flags", "version", "refused"),
    [
        ({}, 2, None),
        ({"optim": "muon"}, 2, "--optim muon needs whole weights.*give --optim adamw_torch_fused"),
        ({"ema_decay": 0.9}, None, "--ema_decay needs whole weights.*give --ema_decay 0"),
        ({}, 1, "fsdp_version: 2"),
    ],
    ids=str,
)
def test_what_needs_whole_weights_is_refused(tmp_path, flags, version, refused):
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, **flags)
    fsdp = FullyShardedDataParallelPlugin(fsdp_version=version) if version else None
    if not refused:
        check_shards(arguments, fsdp)
        return
    with pytest.raises(UserError, match=refused):
        check_shards(arguments, fsdp)


def test_whole_weights_stay_and_load(new_decoder, tmp_path):
    saved, other = new_decoder(seed=1), new_decoder(seed=2)
    assert whole(saved) is saved
    saved.save_pretrained(tmp_path)
    load_whole(other, tmp_path)
    assert all(torch.equal(one, two) for one, two in zip(saved.parameters(), other.parameters(), strict=True))
