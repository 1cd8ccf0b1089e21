"""What users get wrong ends in one line that says what, where and how to mend it."""

import json

import pytest

from shared.errors import UserError
from shared.runs.pipeline import train
from tasks import TASKS
from tests.recipes.conftest import QUICK


@pytest.fixture
def refused(tmp_path):
    """The error's text that a recipe's flags end in; nothing may have been written."""

    def refused(task, *flags):
        folder = tmp_path / "run"
        with pytest.raises(UserError) as caught:
            train(TASKS[task], [f"--output_dir={folder}", *QUICK, *map(str, flags)])
        message = str(caught.value)
        assert "\n" not in message
        assert not folder.exists()
        return message

    return refused


@pytest.fixture
def rows(tmp_path):
    def write(lines, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    return write


GOOD = {"en": "a dog", "de": "ein Hund"}


def test_a_language_that_is_not_there(refused, rows):
    message = refused("translation", "--train_file", rows([GOOD]), "--source_lang=fr")
    assert "--source_lang 'fr'" in message and "en, de" in message


def test_a_broken_line(refused, rows):
    assert "rows.jsonl, line 2" in refused("translation", "--train_file", rows([GOOD, '{"en": "a do']))


def test_an_empty_file(refused, rows):
    assert "rows.jsonl: is empty" in refused("translation", "--train_file", rows([]))


def test_bytes_that_are_no_text(refused, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"en,de\na dog,ein Hund\n\xff\xfe,x\n")
    assert "rows.csv, line 3" in refused("translation", "--train_file", path)


def test_only_empty_targets(refused, rows):
    assert "empty" in refused("translation", "--train_file", rows([{"en": "a dog", "de": " "}]))


def test_missing_columns(refused, rows):
    assert "found: en, de" in refused("summarization", "--train_file", rows([GOOD]))
    assert "--text_column 'text'" in refused("language_modeling", "--train_file", rows([GOOD]))


def test_targets_that_fit_no_line(refused, rows):
    long = rows([{"en": "a dog", "de": "Hund " * 100}] * 3)
    message = refused("translation", "--train_file", long, "--validation_file", long, "--max_length=8")
    assert "--max_length 8" in message


def test_missing_files_and_folders(refused, tmp_path):
    assert "nothing.jsonl: no such file" in refused("translation", "--train_file=nothing.jsonl")
    assert "no such folder" in refused("music", "--midi_dir", tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert str(empty) in refused("music", "--midi_dir", empty)


def test_flags_and_keys_that_do_not_exist(refused, tmp_path):
    assert "did you mean 'learning_rate'" in refused("translation", "--learning_rat=1")
    config = tmp_path / "config.yaml"
    config.write_text("learning_rat: 1\n")
    message = refused("translation", "--config", config)
    assert "learning_rat" in message and "config.yaml" in message


def test_settings_that_cannot_be(refused):
    assert "--size huge" in refused("translation", "--size=huge")
    assert "--num_beams" in refused("translation", "--num_beams=0")
    assert "new weights" in refused("translation", "--config_overrides=n_layer=1", "--model_name_or_path=gpt2")
    assert "--bpe_dropout is 1.0" in refused("translation", "--bpe_dropout=1")
    assert "leave out --preprocessing" in refused("translation", "--bpe_dropout=0.1", "--preprocessing_num_workers=2")
    assert "--bpe_samples is 0" in refused("translation", "--bpe_dropout=0.1", "--bpe_samples=0")
    assert "--stride 0: give 1 to 255" in refused("language_modeling", "--stride=0", "--max_length=256")
    for flag in ("--max_sentences=0", "--lead_words=0", "--train_share=5", "--train_share=-1"):
        assert f"{flag.split('=')[0]} is" in refused("summarization", flag)
    assert "--stride 300" in refused("language_modeling", "--stride=300", "--max_length=256")


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "max_length": "0 -1 99999999999",
        "pack_length": "0 99999999999",
        "vocab_size": "-5 99999999999999999999",
        "relative_attention": "-3 99999999999",
        "copy_attention": "-1 99999999999",
        "dropout": "-1 1 nan",
        "attention_dropout": "2 nan",
        "learning_rate": "-1 nan inf",
        "weight_decay": "-1 nan",
        "max_grad_norm": "-1 nan",
        "warmup_steps": "-1 nan",
        "num_train_epochs": "-1 nan inf",
        "per_device_train_batch_size": "0 -1",
        "per_device_eval_batch_size": "0",
        "gradient_accumulation_steps": "0",
        "label_smoothing_factor": "-1 1 nan",
        "adam_beta2": "1 nan",
        "rdrop_alpha": "-1 nan inf",
        "seed": "-1 99999999999",
        "adam_epsilon": "-1 nan",
        "dataloader_num_workers": "-1",
        "lr_scheduler_kwargs": "foo",
        "preprocessing_num_workers": "-1",
        "config_overrides": "n_layer=0 n_layer=-1 n_embd=0 n_head=0 mask=foo mask=prefix relative_attention=8",
        "max_steps": "0 -2",
        "lr_scheduler_type": "cosine_with_min_lr warmup_stable_decay",
        "accelerator_config": '{"dispatch_batches":true} {"foo":true}',
    }.items(),
    ids=lambda value: value if value.islower() and "_" in value else "",
)
def test_numbers_that_cannot_be(refused, name, values):
    for value in values.split():
        assert refused("translation", f"--{name}={value}").startswith(f"--{name} ")


def test_a_run_without_a_folder_or_with_one_that_cannot_be(tmp_path):
    for folder, said in {"": "--output_dir is empty: give a folder", "x" * 300: "could not write to xxx"}.items():
        with pytest.raises(UserError) as caught:
            train(TASKS["translation"], [f"--output_dir={folder}", *QUICK])
        assert str(caught.value).startswith(said)


def test_splits_that_are_missing_or_empty(refused, rows, tmp_path):
    assert "nothing to learn from" in refused("translation", "--test_file", rows([GOOD]))
    assert "give --max_…_samples 1 or more" in refused("translation", "--max_train_samples=0")


@pytest.mark.parametrize("flag", ["--resume_from_checkpoint=true", "--overwrite_output_dir=true"])
def test_what_is_for_a_training_is_refused_without_one(refused, flag):
    assert refused("translation", "--do_train=false", flag).startswith(f"{flag.split('=')[0]} is for a training")


def test_a_training_without_a_batch(tmp_path):
    flags = [f"--output_dir={tmp_path / 'run'}", *QUICK, "--dataloader_drop_last=true"]
    with pytest.raises(UserError, match="--dataloader_drop_last leaves no batch to learn from"):
        train(TASKS["translation"], [*flags, "--per_device_train_batch_size=500"])
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_ways_to_write_that_a_task_does_not_know_are_refused_before_it_is_trained(refused):
    assert "has not learned to write a source" in refused("translation", "--rerank_reverse=0.5", "--num_beams=3")
    assert "window after window" in refused("music", "--num_beams=2", "--do_sample=false")


def test_batches_whose_size_cannot_be_found(refused):
    assert "--auto_find_batch_size" in refused("translation", "--auto_find_batch_size", "--torch_compile=true")


def test_scores_that_will_not_be_measured(refused):
    best = ["--load_best_model_at_end", "--eval_strategy=epoch", "--save_strategy=epoch"]
    message = refused("translation", *best, "--metric_for_best_model=belu", "--predict_with_generate")
    assert "--metric_for_best_model belu: choose one of loss, perplexity, bleu" in message
    message = refused("translation", *best, "--metric_for_best_model=bleu")
    assert "--predict_with_generate true" in message
    assert "needs a validation split" in refused("translation", "--early_stopping_patience=2", "--eval_strategy=no")


def test_agreement_of_passes_that_cannot_differ(refused):
    assert "--dropout more than 0" in refused("translation", "--rdrop_alpha=1", "--dropout=0")


@pytest.mark.parametrize("flag", ["--label_smoothing_factor=0.1", "--rdrop_alpha=1"])
def test_losses_that_copying_does_not_know_are_refused_before_data_are_read(refused, flag):
    message = refused("translation", "--copy_attention=8", "--dropout=0.1", "--train_file=nowhere.jsonl", flag)
    assert "--copy_attention has a loss of its own: leave out --label_smoothing_factor and --rdrop_alpha" in message


def test_decoders_that_are_not_there(refused, tmp_path):
    assert "no GPT-2 could be loaded" in refused("translation", "--model_name_or_path", tmp_path / "nowhere")


def test_lines_longer_than_a_decoder_has_positions_for(refused, vocabulary, decoder, tmp_path):
    decoder.save_pretrained(tmp_path / "short")
    vocabulary.save(tmp_path / "short")
    message = refused("translation", "--model_name_or_path", tmp_path / "short", "--max_length=64")
    assert "--max_length 64" in message and "positions for 48 only; give --extend_positions tile" in message


@pytest.mark.parametrize("name", ["evaluate", "generate"])
def test_runs_that_are_not_there(python, name):
    finished = python(name, "outputs/nowhere")
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[-1].startswith("error: there is no run in outputs/nowhere")
    assert "Traceback" not in finished.stderr


def test_packages_that_are_missing(refused, monkeypatch):
    monkeypatch.setattr("transformers.integrations.integration_utils.is_tensorboard_available", lambda: False)
    assert "pip install tensorboard" in refused("translation", "--report_to=tensorboard")
    assert "--report_to tensorbord: give none" in refused("translation", "--report_to=tensorbord")
    monkeypatch.setattr("transformers.trainer_optimizer.is_galore_torch_available", lambda: False)
    message = refused("translation", "--optim=galore_adamw", "--optim_target_modules=all-linear")
    assert "--optim galore_adamw" in message and "galore" in message
    assert "does nothing here" in refused("translation", "--use_liger_kernel=true")
