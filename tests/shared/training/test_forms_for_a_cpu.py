"""A training in the forms that a CPU is fastest with, beside the plain ones."""

import pytest

from shared.kernels import relative_blocks


@pytest.mark.parametrize("distances", [0, 5])
def test_the_losses_are_those_of_the_plain_forms(new_trainer, monkeypatch, distances):
    losses = []
    for name in ("fast", "plain"):
        trainer = new_trainer(name, max_steps=6, logging_steps=1, optim="muon")
        decoder = trainer.model
        if distances:
            decoder.add_relative_attention(distances)
        if name == "plain":
            monkeypatch.setattr(relative_blocks, "why_not", lambda *case: "the plain form is wanted")
            decoder.compiled_body = decoder.body  # all places of the last layer
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert len(losses[0]) == 6 and losses[0][-1] < losses[0][0]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
