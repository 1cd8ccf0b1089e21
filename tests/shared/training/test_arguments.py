"""The defaults of a training, and what is left as the user gave it."""

import re

import pytest
import torch
from transformers import HfArgumentParser

from shared.errors import UserError
from shared.training.arguments import OF_GPU, TrainingArguments


def test_training_without_a_gpu_is_in_full_precision():
    assert TrainingArguments(output_dir="unused").bf16 is torch.cuda.is_available()


def test_what_is_asked_for_is_not_changed_behind_ones_back(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), do_eval=False, eval_strategy="epoch")
    assert arguments.do_eval is False
    best = TrainingArguments(output_dir=str(tmp_path), save_strategy="best", eval_strategy="epoch")
    assert best.metric_for_best_model == "loss"


def test_the_defaults_keep_a_gpu_from_waiting_and_leave_a_cpu_its_cores(tmp_path):
    (arguments,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses([f"--output_dir={tmp_path}"])
    gpu = torch.cuda.is_available()
    assert arguments.logging_nan_inf_filter is False
    assert arguments.accelerator_config.non_blocking is arguments.dataloader_pin_memory is gpu
    assert (arguments.dataloader_num_workers > 0) is arguments.dataloader_persistent_workers is gpu


def test_a_gpus_defaults_are_its_own_and_what_is_given_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(OF_GPU, "dataloader_num_workers", 4)
    monkeypatch.setitem(OF_GPU, "cuda_graph", True)
    for given, workers, recorded in (
        ({}, 4, True),
        ({"use_cpu": True}, 0, False),
        ({"dataloader_num_workers": 2, "cuda_graph": False}, 2, False),
        ({"use_cpu": True, "dataloader_num_workers": 2}, 2, False),
    ):
        arguments = TrainingArguments(output_dir=str(tmp_path), **given)
        assert arguments.dataloader_num_workers == workers and arguments.cuda_graph is recorded


def test_a_compiler_that_there_is_not_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--torch_compile_backend indctor: give one of .*inductor"):
        TrainingArguments(str(tmp_path), torch_compile_backend="indctor")


@pytest.mark.parametrize(("given", "near"), [("muom", "muon"), ("adamw", "adamw_"), ("?", "muon")])
def test_an_optimizer_that_there_is_not_is_named(tmp_path, given, near):
    with pytest.raises(UserError, match=rf"--optim {re.escape(given)}: there is none .* did you mean {near}\w*\?$"):
        TrainingArguments(str(tmp_path), optim=given)
