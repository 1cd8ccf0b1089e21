"""A decoder with copy attention in training: what is resumed, what is accumulated, what is refused."""

import pytest
import torch

from shared.errors import UserError
from tests.shared.training.test_trainer import weights

WIDTH = 8


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "muon"])
def test_a_resumed_training_ends_where_an_unbroken_one_does(new_trainer, tmp_path, optim):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "dropout": 0.2, "optim": optim}
    unbroken = new_trainer("unbroken", copy_attention=WIDTH, **options)
    unbroken.train()
    broken = new_trainer("broken", copy_attention=WIDTH, **options)
    broken.train(resume_from_checkpoint=str(tmp_path / "unbroken" / "checkpoint-2"))
    after = weights(unbroken)
    assert any("copying" in name for name in after)
    for name, weight in weights(broken).items():
        torch.testing.assert_close(weight, after[name], atol=1e-6, rtol=0)


def test_it_learns_what_accumulated_rows_learn(new_trainer):
    options = {"max_steps": 2, "optim": "sgd", "learning_rate": 1.0, "copy_attention": WIDTH}
    whole = new_trainer("whole", **options)
    parts = new_trainer("parts", **options, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    for trainer in (whole, parts):
        trainer.train()
    for weight, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("changes", [{"label_smoothing_factor": 0.1}, {"rdrop_alpha": 1.0}], ids=str)
def test_losses_that_it_does_not_know_are_refused(new_trainer, changes):
    with pytest.raises(UserError, match="leave out --label_smoothing_factor and --rdrop_alpha") as caught:
        new_trainer(copy_attention=WIDTH, **changes)
    assert "\n" not in str(caught.value)
