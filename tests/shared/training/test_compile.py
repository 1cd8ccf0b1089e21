import pytest
import torch
from torch._dynamo.utils import counters


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_body_has_the_same_losses(new_trainer, backend):
    torch.compiler.reset()
    counters.clear()
    options = {"max_steps": 4, "logging_steps": 1, "dropout": 0.0}
    losses = []
    for name, settings in {"plain": {}, "compiled": {"torch_compile": True, "torch_compile_backend": backend}}.items():
        trainer = new_trainer(name, **options, **settings)
        assert (trainer.model.compiled_body is not None) == (name == "compiled")
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        assert (counters["stats"]["unique_graphs"] > 0) == (name == "compiled")
    assert len(losses[0]) == 4 and losses[0][0] != losses[0][-1]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
