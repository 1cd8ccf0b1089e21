"""Only what is finished is pushed to the hub; the hub here is a folder."""

import fnmatch
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from shared.errors import UserError
from shared.training.arguments import TrainingArguments
from shared.training.hub import new_repository, push


class Hub:
    """What was made and uploaded, as a repository's name and the uploaded files' names."""

    def __init__(self):
        self.repositories, self.uploads = [], []

    def create_repo(self, repo_id, **_):
        self.repositories.append(repo_id)
        return type("Url", (), {"repo_id": f"me/{repo_id}"})

    def upload_folder(self, *, repo_id, folder_path, ignore_patterns, **_):
        names = [str(path.relative_to(folder_path)) for path in Path(folder_path).rglob("*") if path.is_file()]
        kept = {name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in ignore_patterns)}
        self.uploads.append((repo_id, kept))


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    monkeypatch.setattr(HfApi, "create_repo", hub.create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", hub.upload_folder)
    return hub


def test_training_pushes_nothing_that_is_not_finished(new_trainer, hub):
    trainer = new_trainer("run", max_steps=4, save_strategy="steps", save_steps=2, push_to_hub=True)
    trainer.train()
    assert trainer.hub_model_id == "me/run"
    assert (hub.repositories, hub.uploads) == (["run"], [])


def test_a_finished_run_is_pushed_without_its_checkpoints(tmp_path, hub):
    kept = {"model.safetensors", "config.json", "tokenizer.json", "run.yaml", "README.md", "metrics.json"}
    for name in (*kept, "samples/outputs.jsonl", "checkpoint-4/model.safetensors", ".lock", "page.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    push(tmp_path, "me/run", TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    assert hub.uploads == [("me/run", kept | {"samples/outputs.jsonl"})]


@pytest.mark.parametrize("error", [ConnectionError("no route"), ValueError("bad name")])
def test_a_hub_that_refuses_is_named_in_one_line(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    monkeypatch.setattr(HfApi, "upload_folder", refuse)
    arguments = TrainingArguments(output_dir=str(tmp_path / "run"), use_cpu=True)
    with pytest.raises(UserError, match=rf"--push_to_hub: no repository run could be made \({error}\)"):
        new_repository(arguments)
    with pytest.raises(UserError, match=rf"could not be pushed \({error}\); it is whole, .* hf upload me/run"):
        push(tmp_path, "me/run", arguments)


def test_no_checkpoint_is_to_be_pushed():
    with pytest.raises(UserError, match="--hub_strategy every_save: only a finished run is pushed"):
        TrainingArguments(output_dir="run", hub_strategy="every_save", use_cpu=True)
