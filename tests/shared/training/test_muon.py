import pytest
import torch
from torch import nn

from shared.errors import UserError
from shared.training.arguments import TrainingArguments
from shared.training.muon import Muon, muon, muon_settings, orthogonalised

SHAPES = [(16, 48), (16, 16), (16, 64), (64, 16), (16, 16)]
SETTINGS = {"lr": 1e-2, "weight_decay": 0.1}


@pytest.mark.parametrize("shape", [(5, 16, 16), (2, 16, 64)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.shape == shape[:2]
    assert values.median() == pytest.approx(1, abs=0.25)
    assert values.max() < 1.3
    aligned = (orthogonalised(matrices) * matrices).sum((1, 2))
    assert (aligned > 0.9 * torch.linalg.svdvals(matrices).sum(-1) * 0.7).all()  # it points where the matrix does


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_wide_matrices_go_by_their_gram_matrices_to_the_same_steps(rank):
    """float64 takes no such way."""
    torch.manual_seed(0)
    matrices = torch.randn(3, 16, rank) @ torch.randn(3, rank, 48) + 1e-3 * torch.randn(3, 16, 48)
    expected = orthogonalised(matrices.double()).float()
    torch.testing.assert_close(orthogonalised(matrices), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("native", "apart"), [(False, 0.02), (True, 0.05)])
def test_matrices_take_the_steps_of_pytorchs_own(native, apart, monkeypatch):
    """Which computes in bfloat16; ours as the device multiplies fastest."""
    monkeypatch.setattr("shared.training.muon.multiplies_bfloat16", lambda device: native)
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    optimizers = [
        Muon([{"params": ours, "parts": 1}], fused=True, **SETTINGS),
        torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **SETTINGS),
    ]
    for _ in range(4):
        before = [weight.detach().clone() for weight in ours]
        for weight, other in zip(ours, theirs, strict=True):
            weight.grad = torch.randn_like(weight)
            other.grad = weight.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        for weight, other, old in zip(ours, theirs, before, strict=True):
            assert (weight - other).norm() < apart * (weight - old).norm()
            other.data.copy_(weight)


def test_queries_keys_and_values_are_matrices_of_their_own():
    torch.manual_seed(0)
    whole = nn.Parameter(torch.randn(16, 48))
    thirds = [nn.Parameter(part.clone()) for part in whole.detach().chunk(3, 1)]
    whole.grad = torch.randn_like(whole)
    for weight, gradient in zip(thirds, whole.grad.chunk(3, 1), strict=True):
        weight.grad = gradient.clone()
    Muon([{"params": [whole], "parts": 3}], fused=True, **SETTINGS).step()
    Muon([{"params": thirds, "parts": 1}], fused=True, **SETTINGS).step()
    torch.testing.assert_close(whole, torch.cat(thirds, 1))


def test_of_a_decoder_the_blocks_matrices_and_nothing_else(new_decoder):
    decoder = new_decoder(relative_attention=4)
    decayed = {name for name, weight in decoder.named_parameters() if weight.ndim > 1}
    optimizer = muon(decoder, decayed, weight_decay=0.1, lr=1e-2)
    names = {weight: name for name, weight in decoder.named_parameters()}
    grouped = {names[weight]: group for group in optimizer.param_groups for weight in group["params"]}
    assert grouped.keys() == {*names.values()}
    for name, group in grouped.items():
        matrix = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        assert (group["parts"] > 0) == matrix, name
        assert (group["parts"] == 3) == name.endswith("c_attn.weight"), name
        assert (group["weight_decay"] > 0) == (name in decayed), name


def test_all_other_weights_take_adamws_steps(new_decoder):
    decoders = [new_decoder(seed=0), new_decoder(seed=0)]
    ours = muon(decoders[0], [], weight_decay=0.1, lr=1e-2)
    theirs = torch.optim.AdamW(decoders[1].parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    for decoder, optimizer in zip(decoders, (ours, theirs), strict=True):
        torch.manual_seed(1)
        for weight in decoder.parameters():
            weight.grad = torch.randn_like(weight)
        optimizer.step()
    for (name, weight), other in zip(decoders[0].named_parameters(), decoders[1].parameters(), strict=True):
        is_matrix = ".h." in name and weight.ndim == 2
        assert torch.equal(weight, other) is not is_matrix, name


def test_its_settings_come_by_optim_args(new_decoder, new_trainer):
    assert muon_settings(None) == {} and muon_settings("momentum=0.9, adamw_rate=2") == {
        "momentum": 0.9,
        "adamw_rate": 2,
    }
    for wrong in ("momentum", "momentum=1", "beta=0.9", "momentum=much"):
        with pytest.raises(UserError, match="--optim_args"):
            muon_settings(wrong)
    with pytest.raises(UserError, match="--optim_args"):
        new_trainer(optim="muon", optim_args="beta=1")
    optimizer = muon(new_decoder(), [], weight_decay=0.1, lr=1e-2, momentum=0.5, adamw_rate=3.0)
    assert all(group["lr"] == pytest.approx(1e-2 if group["parts"] else 3e-2) for group in optimizer.param_groups)
    weight = nn.Parameter(torch.zeros(1, 2))
    optimizer = Muon([{"params": [weight], "parts": 1}], 0.5, fused=True, lr=1.0, weight_decay=0.0)
    for gradient in ([1.0, 0.0], [0.0, 0.0]):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    assert optimizer.state[weight]["momentum"].tolist() == [[0.25, 0.0]]


def test_a_closure_is_called_before_the_step():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 8))
    optimizer = Muon([{"params": [weight], "parts": 1}], fused=True, **SETTINGS)

    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss

    before = weight.square().sum().item()
    assert optimizer.step(closure).item() == before > weight.square().sum().item()


def test_it_is_one_of_the_optimizers(new_trainer):
    assert TrainingArguments(output_dir="unused", optim="muon").optim == "muon"
    with pytest.raises(UserError, match="--bf16 or no --fp16"):
        TrainingArguments(output_dir="unused", optim="muon", fp16=True)
    trainer = new_trainer(max_steps=10, optim="muon", logging_steps=5)
    trainer.train()
    first, last = (entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    assert last < first
