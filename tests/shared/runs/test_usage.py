"""Help: short by default, everything on request, and no flag that does nothing."""

from dataclasses import fields

import pytest

from shared.errors import UserError
from shared.runs.flags import COMMON, parse
from shared.training.arguments import WITHOUT_EFFECT, TrainingArguments
from tasks import TASKS


@pytest.fixture
def shown(capsys):
    """What a recipe prints for a help flag."""

    def shown(task, flag):
        with pytest.raises(SystemExit) as caught:
            parse(TASKS[task], [flag])
        assert not caught.value.code
        return capsys.readouterr().out

    return shown


@pytest.mark.parametrize("task", TASKS)
def test_help_is_short(task, shown):
    lines = shown(task, "--help").splitlines()
    assert len(lines) <= 80 and max(map(len, lines)) <= 100
    assert [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")] == [
        *("data", "model", "generation", "training", "run")
    ]
    assert "--help_all" in lines[-1]


def test_help_shows_what_people_use_and_the_tasks_own_flags(shown):
    short = shown("translation", "-h")
    flags = {line.split()[0].lstrip("-") for line in short.splitlines() if line.startswith("  --")}
    assert {*COMMON, "source_lang", "target_lang", "both_directions", "help", "help_all"} <= flags
    assert not flags & {"trackio_space_id", "adam_beta1", "bpe_samples", "train_share"}


def test_help_all_shows_every_flag_once(shown):
    lines = shown("translation", "--help_all").splitlines()
    flags = [line.split()[0].lstrip("-") for line in lines if line.startswith("  --")]
    assert len(flags) == len(set(flags))
    names = {field.name for field in fields(TrainingArguments) if field.init}
    assert names - {*flags} == {*WITHOUT_EFFECT} and not {*WITHOUT_EFFECT} & {*flags}
    assert not any(name.startswith("no_") and name != "no_repeat_ngram_size" for name in flags)


@pytest.mark.parametrize("name", ["use_liger_kernel", "label_names", "remove_unused_columns", "use-cache"])
def test_what_does_nothing_is_refused_with_the_reason(name, tmp_path):
    plain = name.replace("-", "_")
    with pytest.raises(UserError, match=f"--{plain} does nothing here, since {WITHOUT_EFFECT[plain]}: leave it out"):
        parse(TASKS["translation"], [f"--{name}=true"])
    config = tmp_path / "config.yaml"
    config.write_text(f"{plain}: true\n")
    with pytest.raises(UserError, match=f"--{plain} does nothing here"):
        parse(TASKS["translation"], [f"--config={config}"])
