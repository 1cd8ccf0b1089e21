"""Flags and YAML files of the recipes: transformers' names, one-line errors."""

import json
import os
import signal
import sys
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

import yaml
from transformers import HfArgumentParser
from transformers.utils import logging

from shared.errors import Interrupted, UserError, first_line
from shared.runs.launch import follow_launcher, leave_group, missing_processes
from shared.runs.typed import meant
from shared.runs.usage import EVERY_FLAG, HELP, Usage, describe
from shared.threads import settle_threads


class Parser(HfArgumentParser):
    """HfArgumentParser with one-line mistakes, which reads `--config file.yaml` like flags given first."""

    def __init__(
        self,
        *dataclasses: Any,
        usage: Usage = EVERY_FLAG,
        without_effect: Mapping[str, str] | None = None,
        add_help: bool = True,
    ) -> None:
        """`without_effect` names flags of the dataclasses that are refused, and says why."""
        super().__init__(dataclasses, allow_abbrev=False, add_help=False)
        self.shown, self.without_effect = usage, without_effect or {}
        for group in self._action_groups:  # one that a dataclass opened holds none of its flags in itself
            for action in [action for action in group._group_actions if action.dest in self.without_effect]:
                group._group_actions.remove(action)
                self._remove(action)
                self.set_defaults(**{action.dest: action.default})
        if add_help:
            self.add_argument("-h", "--help", action=Help, nargs=0, help="Show this and end.")
            if usage.common is not None:
                self.add_argument("--help_all", "--help-all", action=Help, nargs=0, help="Show every flag and end.")
        self.add_argument("--config", help="A YAML file of the same names; the command line beats it.")

    def _remove(self, action: Action) -> None:
        """Take a flag back, as if its dataclass had none: it keeps the dataclass's default."""
        if action in self._actions:
            self._actions.remove(action)
        for option in action.option_strings:
            self._option_string_actions.pop(option, None)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the flags)")

    def parse(
        self,
        arguments: list[str],
        base: Mapping[str, Any] | None = None,
        default_config: Callable[[Any], Path | None] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> tuple:
        """One instance of each dataclass, then a namespace of what was added beside them.

        `base` holds settings that stand where neither the config nor the command line says otherwise, `settings` what
        a caller in Python says in the command line's place: None is no value there, as null is in a config. Where no
        --config is given, `default_config` is asked for one, with what is known so far.

        Raises:
            UserError: for a flag or a key that is unknown, or has no such value.
        """
        settings = dict(settings or {})
        arguments = [*arguments, *as_flags({"config": settings.pop("config", None)})]
        below, above = (base or {}, "the settings"), (settings, "the settings")
        flags = self._flags(below, above)
        # Found before anything is checked: the settings may fit together only with those of the config.
        config = self.parse_known_args([*flags, *arguments])[0].config
        if not config and default_config:
            config = default_config(self._into_dataclasses([*flags, *arguments]))
        if config:
            flags = self._flags(below, (read_yaml(Path(config), "--config"), str(config)), above)
        return self._into_dataclasses([*flags, *arguments])

    def run_of(self, arguments: list[str]) -> str:
        """The `run` that a command line begins with, whose task says which other flags there are.

        Raises:
            UserError: if a flag stands before it, whose value could be taken for it.
        """
        if arguments and arguments[0].startswith("-") and arguments[0] not in self._option_string_actions.keys() & HELP:
            raise UserError(f"{arguments[0]} stands before the run: name the run first, then its flags")
        return self.parse_known_args(arguments)[0].run

    def _into_dataclasses(self, arguments: list[str]) -> tuple:
        try:
            *parsed, unknown = self.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
        except (ValueError, ImportError, OSError) as error:
            raise UserError(first_line(error)) from error
        if unknown and not unknown[0].startswith("-"):
            raise UserError(f"'{unknown[0]}' is no flag and no flag's value; inputs stand before the flags")
        if unknown:
            self._refuse(unknown[0].split("=")[0], "flag")
        return tuple(parsed)

    def _flags(self, *layers: tuple[Mapping[str, Any], str]) -> list[str]:
        """Settings, each with its origin, as flags: the later ones beat the earlier ones, also by no value."""
        types = {name: kind for each in self.dataclass_types for name, kind in get_type_hints(each).items()}
        joined: dict[str, Any] = {}
        for settings, origin in layers:
            for name, value in settings.items():
                action = self._option_string_actions.get(f"--{name}")
                if action is None:
                    self._refuse(str(name), f"key in {origin}")
                if isinstance(value, list | tuple) and action.nargs not in ("+", "*"):
                    raise UserError(f"'{name}' in {origin} holds {value}: give one value, not a list")
                kind = types.get(name, Any)
                if value is None and kind is not Any and type(None) not in get_args(kind):
                    raise UserError(f"'{name}' in {origin} has no value: give one, or leave it out")
            joined |= settings
        self.set_defaults(**joined)  # no flag says None, and --help is to show what is so without a flag
        return [*as_flags(joined), "--config="]  # ends a list, which would take in the word that follows

    def _refuse(self, name: str, kind: str) -> NoReturn:
        plain = name.lstrip("-").replace("-", "_")
        if reason := self.without_effect.get(plain):
            raise UserError(f"--{plain} does nothing here, since {reason}: leave it out")
        names = [option.lstrip("-") for option in self._option_string_actions]
        raise UserError(f"unknown {kind} '{name}'{meant(plain, names) or ' (see --help)'}")


class Help(Action):
    """--help and --help_all."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        assert isinstance(parser, Parser)
        print(describe(parser, parser.shown, everything=option_string not in {"-h", "--help"}), end="")
        parser.exit()


def names_of(arguments: Iterable[str]) -> list[str]:
    """The names of the flags on a command line, however they are written."""
    return [each.partition("=")[0].lstrip("-").replace("-", "_") for each in arguments if each.startswith("--")]


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as they stand on a command line, which has no words for None."""
    flags = []
    for name, value in settings.items():
        if isinstance(value, list | tuple):
            flags += [f"--{name}", *map(str, value)]
        elif value is not None:
            flags.append(f"--{name}={json.dumps(value) if isinstance(value, dict) else value}")
    return flags


def read_yaml(path: Path, flag: str) -> dict[str, Any]:
    """The lines `name: value` of the file that `flag` names.

    Raises:
        UserError: if it cannot be read, or holds anything else.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise UserError(f"{flag} {path}: there is no such file; check the path") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{flag} {path}: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise UserError(f"{flag} {path}: expected lines of the form 'name: value'")
    return settings


def run(main: Callable[[list[str]], object]) -> None:
    """Call `main` with the command line; what the user can mend ends in one line and exit code 2."""
    logging.disable_progress_bar()  # loading takes a split second
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # no warning when data workers fork
    settle_threads()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` ends quietly
    on_term = signal.signal(signal.SIGTERM, _terminate)  # what is half written is removed on the way out
    follow_launcher()
    if warning := missing_processes():
        print(f"warning: {warning}", file=sys.stderr)
    try:
        main(sys.argv[1:])
        leave_group()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        print(
            f"error: out of memory ({first_line(error)}): give smaller batches, shorter lines or a smaller decoder",
            file=sys.stderr,
        )
        sys.exit(2)
    except Interrupted as stop:
        if str(stop):  # one of several processes says it
            print(stop, file=sys.stderr)
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, on_term)


def _out_of_memory(error: Exception) -> bool:
    """Whether Python, PyTorch's allocator for a CPU or that for a GPU had no room left."""
    said = str(error)
    return isinstance(error, MemoryError) or "can't allocate memory" in said or "out of memory" in said


def _terminate(number: int, frame: Any) -> NoReturn:
    raise Interrupted(number, "terminated")
