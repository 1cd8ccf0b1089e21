import signal
import sys
from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch

from shared.errors import UserError
from shared.runs.cli import Parser, run


@dataclass
class Settings:
    learning_rate: float = field(default=0.1, metadata={"help": "How fast."})
    num_beams: int = field(default=1, metadata={"help": "How many."})
    do_sample: bool = field(default=False, metadata={"help": "Whether to draw."})
    do_train: bool = field(default=True, metadata={"help": "Whether to train."})
    train_file: list[str] | None = field(default=None, metadata={"help": "What to read."})
    name: str | None = field(default=None, metadata={"help": "What to call it."})
    limit: int | None = field(default=2, metadata={"help": "How many to keep (default: 2, none for all)."})
    mask: Literal["causal", "prefix"] = field(default="causal", metadata={"help": "What is seen."})

    def __post_init__(self):
        if self.name == "beams" and self.num_beams == 1:
            raise ValueError("beams need --num_beams\nand more of this")


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return str(path)

    return write


def parse(*arguments, **kwargs):
    return Parser(Settings).parse(list(arguments), **kwargs)[0]


def refusal(*arguments, **kwargs):
    with pytest.raises(UserError) as caught:
        parse(*arguments, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_arguments_the_defaults_stand():
    assert parse() == Settings()


def test_the_config_beats_the_defaults_and_the_command_line_beats_the_config(config):
    path = config("learning_rate: 0.2\nnum_beams: 2\n")
    assert parse("--config", path, "--num_beams", "3") == Settings(learning_rate=0.2, num_beams=3)
    assert parse("--num_beams", "3", "--config", path) == Settings(learning_rate=0.2, num_beams=3)


def test_the_config_beats_the_base_and_the_base_beats_the_defaults(config):
    path = config("num_beams: 2")
    base = {"num_beams": 5, "learning_rate": 0.5, "name": None}
    assert parse("--config", path, base=base) == Settings(num_beams=2, learning_rate=0.5)
    assert parse("--learning_rate=0.7", base=base) == Settings(num_beams=5, learning_rate=0.7)


def test_a_default_config_is_read_unless_another_is_named(config, tmp_path):
    (tmp_path / "default.yaml").write_text("num_beams: 7")
    seen = []

    def default(parsed):
        seen.append(parsed[0])
        return tmp_path / "default.yaml"

    assert parse("--learning_rate", "0.3", default_config=default) == Settings(num_beams=7, learning_rate=0.3)
    assert seen == [Settings(learning_rate=0.3)]
    assert parse("--config", config("num_beams: 2"), default_config=default) == Settings(num_beams=2)
    assert parse(default_config=lambda parsed: None) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("do_sample: true\ndo_train: false", {"do_sample": True, "do_train": False}),
        ("do_sample: yes\ndo_train: off", {"do_sample": True, "do_train": False}),
        ("train_file: [a.txt, b.txt]", {"train_file": ["a.txt", "b.txt"]}),
        ("train_file:\n- a.txt\n- 2020\nnum_beams: 2", {"train_file": ["a.txt", "2020"], "num_beams": 2}),
        ("train_file: a.txt", {"train_file": ["a.txt"]}),
        ("name: two words and a = sign", {"name": "two words and a = sign"}),
        ("name: --dashes", {"name": "--dashes"}),
        ("name: ''", {"name": ""}),
        ("name:", {"name": None}),
        ("limit: null", {"limit": None}),
        ("learning_rate: 3.0e-4", {"learning_rate": 3e-4}),
        ("learning_rate: 3e-4", {"learning_rate": 3e-4}),
        ("learning_rate: -1.5", {"learning_rate": -1.5}),
        ("mask: prefix", {"mask": "prefix"}),
        ("# nothing but a comment", {}),
        ("", {}),
    ],
)
def test_yaml_holds_lists_booleans_numbers_and_texts(config, text, expected):
    assert parse("--config", config(text)) == Settings(**expected)


def test_nothing_is_a_value_where_it_can_be_one(config):
    path = config("limit: null")
    assert parse("--config", path, base={"limit": 5}).limit is None
    assert parse("--config", path, "--limit=7").limit == 7
    assert parse("--config", config("config: null")) == Settings()
    path = config("num_beams:")
    assert refusal("--config", path) == f"'num_beams' in {path} has no value: give one, or leave it out"


def test_settings_of_a_caller_beat_the_config_as_flags_do_and_know_none(config):
    path = config("limit: 3\nnum_beams: 2")
    said = {"limit": None, "train_file": ("a.txt", "b.txt"), "config": path}
    assert parse(settings=said, base={"limit": 5}) == Settings(limit=None, num_beams=2, train_file=["a.txt", "b.txt"])
    assert parse(settings={"limit": None}, default_config=lambda parsed: path) == Settings(limit=None, num_beams=2)
    assert refusal(settings={"num_beams": None}).startswith("'num_beams' in the settings has no value: give one,")
    assert "holds (1, 2): give one value" in refusal(settings={"num_beams": (1, 2)})
    assert "did you mean 'num_beams'?" in refusal(settings={"num_beans": 2})


def test_a_list_where_one_value_belongs_is_named_with_its_file(config):
    path = config("num_beams: [1, 2]")
    assert refusal("--config", path) == f"'num_beams' in {path} holds [1, 2]: give one value, not a list"


def test_flags_take_lists_and_booleans():
    parsed = parse("--train_file", "a.txt", "b.txt", "--do_sample", "--do_train", "false")
    assert parsed == Settings(train_file=["a.txt", "b.txt"], do_sample=True, do_train=False)


def test_a_positional_argument_may_follow_a_list_in_the_config(config):
    parser = Parser(Settings)
    parser.add_argument("run")
    path = config("num_beams: 2\ntrain_file: [a.txt]")
    settings, rest = parser.parse(["outputs/run", "--config", path])
    assert (settings.train_file, rest.run) == (["a.txt"], "outputs/run")


def test_settings_that_fit_together_only_with_the_config_are_accepted(config):
    assert parse("--config", config("num_beams: 2"), "--name", "beams") == Settings(num_beams=2, name="beams")


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("--num_beam", "num_beams"), ("--learning-rates", "learning_rate"), ("--trian_file", "train_file")],
)
def test_an_unknown_flag_is_refused_with_what_may_be_meant(flag, meant):
    assert refusal(flag, "1") == f"unknown flag '{flag}': did you mean '{meant}'?"
    assert refusal(f"{flag}=1") == f"unknown flag '{flag}': did you mean '{meant}'?"


def test_a_flag_like_no_other_points_to_the_list_of_flags():
    assert refusal("--xyzzy") == "unknown flag '--xyzzy' (see --help)"


def test_a_word_that_no_flag_takes_is_named():
    assert refusal("--learning_rate", "1", "a text").startswith("'a text' is no flag and no flag's value")


def test_flags_cannot_be_abbreviated():
    assert "unknown flag '--learning'" in refusal("--learning", "1")


def test_an_unknown_key_is_refused_with_its_file_and_what_may_be_meant(config):
    path = config("num_beans: 2")
    assert refusal("--config", path) == f"unknown key in {path} 'num_beans': did you mean 'num_beams'?"
    assert "unknown key in the settings 'num_beans'" in refusal(base={"num_beans": 2})


@pytest.mark.parametrize(
    ("text", "flag"), [("num_beams: many", "--num_beams"), ("do_sample: maybe", "--do_sample"), ("mask: no", "--mask")]
)
def test_a_wrong_type_is_refused_in_the_config_as_on_the_command_line(config, text, flag):
    value = text.split()[1]
    assert flag in refusal(flag, value) or value in refusal(flag, value)
    assert flag in refusal("--config", config(text)) or value in refusal("--config", config(text))


def test_settings_that_exclude_each_other_are_refused_in_one_line():
    assert refusal("--name", "beams") == "beams need --num_beams"


@pytest.mark.parametrize("text", ["num_beams: [1", "a: b: c", "\tx: 1", "just words", "- num_beams"])
def test_broken_yaml_is_refused_with_its_file(config, text):
    path = config(text)
    assert refusal("--config", path).startswith(f"--config {path}: ")


def test_a_config_that_is_missing_or_no_text_is_refused(tmp_path):
    missing, binary = tmp_path / "missing.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    for path in (missing, tmp_path, binary):
        assert refusal("--config", str(path)).startswith(f"--config {path}: ")


@pytest.fixture
def call(monkeypatch):
    """Runs a main function as a recipe does."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the test runner keeps its own

    def call(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["recipe.py", *arguments])
        run(main)

    return call


def test_run_hands_over_the_command_line(call):
    got = []
    call(got.append, "--num_beams", "2")
    assert got == [["--num_beams", "2"]]


def test_a_mistake_ends_in_one_line_and_exit_code_2(call, capsys):
    with pytest.raises(SystemExit) as caught:
        call(parse_as_main, "--num_beam", "2")
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.err == "error: unknown flag '--num_beam': did you mean 'num_beams'?\n"
    assert printed.out == ""


def parse_as_main(arguments):
    parse(*arguments)


def test_an_interruption_is_no_error_of_the_program(call, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        call(interrupted)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_the_program_keeps_its_traceback(call):
    def broken(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(broken)


@pytest.mark.parametrize("asked", [lambda: torch.empty(2**60), lambda: bytearray(2**62)], ids=["torch", "python"])
def test_what_no_memory_holds_ends_in_one_line(call, capsys, asked):
    with pytest.raises(SystemExit) as caught:
        call(lambda arguments: asked())
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory (") and line.endswith("or a smaller decoder")


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--learning_rate" in text
    assert "How fast. (default: 0.1)" in text
    assert "--config" in text
