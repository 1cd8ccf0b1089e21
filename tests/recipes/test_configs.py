"""Every shipped configuration is understood by its recipe, and says how it is launched."""

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config import load_config_from_file

from recipes.compare import read_variants
from shared.cli import Parser
from shared.decoder import SIZES
from shared.generation import GenerationArguments
from shared.recipe import ModelArguments
from shared.training import TrainingArguments
from tasks import TASKS
from tests.recipes.conftest import REPOSITORY

FOLDER = REPOSITORY / "recipes" / "configs"
COMPARISONS = sorted((FOLDER / "comparisons").glob("*.yaml"))
CONFIGS = sorted(set(FOLDER.rglob("*.yaml")) - set(COMPARISONS))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_configuration_is_understood(path: Path, tmp_path):
    kind = TASKS[path.parent.name]
    _, model, generation, training, _ = Parser(
        kind.Arguments, ModelArguments, GenerationArguments, TrainingArguments
    ).parse([f"--config={path}", f"--output_dir={tmp_path}"])
    generation.check()
    assert model.model_name_or_path or model.size in SIZES
    assert training.max_steps > 0 or not training.do_train
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"accelerate launch recipes/{kind.name}.py" in line for line in head)


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.name)
def test_a_comparison_is_understood(path: Path):
    first = path.read_text().splitlines()[0]
    assert f"python recipes/compare.py --variants {path.relative_to(REPOSITORY)}" in first
    kind = TASKS[first.partition("--task ")[2].split()[0]]
    for settings in read_variants(str(path)).values():
        flags = [f"--{name}={value}" for name, value in settings.items()]
        Parser(kind.Arguments, ModelArguments, GenerationArguments).parse(flags)


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "recipes" / "accelerate").glob("*.yaml")), ids=lambda path: path.name
)
def test_a_launch_configuration_is_accelerates(path: Path):
    assert load_config_from_file(str(path)).num_processes == yaml.safe_load(path.read_text())["num_processes"]


def test_every_task_has_a_recipe_and_a_sample():
    for name in TASKS:
        assert (REPOSITORY / "recipes" / f"{name}.py").is_file()
        assert (REPOSITORY / "recipes" / "configs" / name / "sample.yaml").is_file()
