"""A training from its flags to what it leaves."""

import json

import pytest
import yaml

from shared.errors import UserError
from shared.runs.pipeline import train
from tests.conftest import Copying
from tests.faults.harness import SETTINGS
from tests.shared.training.test_hub import hub  # noqa: F401 (a fixture)


@pytest.fixture
def trained(tmp_path):
    """Trains the toy task into a folder, with the flags given."""
    (tmp_path / "config.yaml").write_text("{}")
    settings = {**SETTINGS, "output_dir": tmp_path / "run", "max_steps": 2}

    def trained(*flags):
        train(Copying, [f"--config={tmp_path / 'config.yaml'}", *(f"--{n}={v}" for n, v in settings.items()), *flags])
        return tmp_path / "run"

    return trained


def test_only_the_finished_run_is_pushed_with_its_scores_and_card(trained, hub):  # noqa: F811
    folder = trained("--push_to_hub=true", "--hub_model_id=copying")
    ((repository, files),) = hub.uploads
    assert repository == "me/copying"
    assert {"model.safetensors", "config.json", "tokenizer.json", "run.yaml", "metrics.json", "README.md"} <= files
    assert not any(name.startswith(("checkpoint", ".")) for name in files)
    assert "validation" in json.loads((folder / "metrics.json").read_text())


def test_a_run_that_replaces_another_has_nothing_of_it(trained):
    folder = trained()
    (folder / "README.md").write_text("the old card")
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "back": {"exact": 1.0}}))
    (folder / "back").mkdir()
    (folder / "back" / "outputs.jsonl").write_text("old")
    with pytest.raises(UserError, match="holds a run already"):
        trained()
    assert (folder / "README.md").read_text() == "the old card"
    trained("--overwrite_output_dir")
    assert "the old card" not in (folder / "README.md").read_text()
    assert json.loads((folder / "metrics.json").read_text()).keys() == metrics.keys()
    assert not (folder / "back").exists()


def test_a_run_says_which_versions_trained_it(trained):
    versions = yaml.safe_load((trained() / "run.yaml").read_text())["versions"]
    assert versions.keys() == {"onedecoder", "torch", "transformers"}
