"""Every shipped configuration is understood by its recipe, and says how it is launched."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate.commands.config import load_config_from_file

from recipes.compare import read_variants
from shared.generation.arguments import GenerationArguments
from shared.model.arguments import ModelArguments
from shared.model.build import SIZES, new_decoder
from shared.runs.cli import Parser, as_flags
from shared.runs.flags import parse
from tasks import TASKS
from tests.recipes.conftest import REPOSITORY

FOLDER = REPOSITORY / "recipes" / "configs"
COMPARISONS = sorted((FOLDER / "comparisons").glob("*.yaml"))
CONFIGS = sorted(set(FOLDER.rglob("*.yaml")) - set(COMPARISONS))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_configuration_is_understood(path: Path, tmp_path):
    kind = TASKS[path.parent.name]
    _, model, _, training = parse(kind, [f"--config={path}", f"--output_dir={tmp_path}"])
    assert model.model_name_or_path or model.size in SIZES
    assert training.max_steps > 0 or not training.do_train
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(launched_by(kind.name) in line for line in head)


def launched_by(task):
    """The command that a configuration's head names: the task's recipe, where it has one of its own."""
    recipe = f"recipes/{task}.py"
    return f"python {recipe}" if (REPOSITORY / recipe).is_file() else f"onedecoder train {task}"


def test_the_decoder_of_10_million_parameters_has_no_more():
    path = REPOSITORY / "recipes" / "configs" / "translation" / "multi30k_10m.yaml"
    _, model, _, _ = parse(TASKS["translation"], [f"--config={path}", "--train_file=rows.jsonl"])
    tokens = {str(number): number for number in range(model.vocab_size)}
    vocabulary = SimpleNamespace(tokens=tokens, end=0, padding=1)
    with torch.device("meta"):
        decoder = new_decoder(
            model.size,
            vocabulary,
            model.max_length,
            relative_attention=model.relative_attention,
            overrides=model.config_overrides,
        )
    assert 9.5e6 < decoder.num_parameters() <= 10e6


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.name)
def test_a_comparison_is_understood(path: Path):
    first = path.read_text().splitlines()[0]
    assert f"python recipes/compare.py --variants {path.relative_to(REPOSITORY)}" in first
    kind = TASKS[first.partition("--task ")[2].split()[0]]
    for settings in read_variants(str(path)).values():
        Parser(kind.Arguments, ModelArguments, GenerationArguments).parse(as_flags(settings))


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "recipes" / "accelerate").glob("*.yaml")), ids=lambda path: path.name
)
def test_a_launch_configuration_is_accelerates(path: Path):
    assert load_config_from_file(str(path)).num_processes == yaml.safe_load(path.read_text())["num_processes"]


def test_every_task_has_a_sample_and_every_shipped_one_a_recipe():
    for name in TASKS:
        assert (REPOSITORY / "recipes" / "configs" / name / "sample.yaml").is_file()
    for name in ("translation", "summarization", "music", "chorales", "language_modeling"):
        assert (REPOSITORY / "recipes" / f"{name}.py").is_file()
