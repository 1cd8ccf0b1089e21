"""What --help shows: one flag in a line or two, in groups, first those that most runs need."""

import argparse
from collections.abc import Callable, Collection
from dataclasses import dataclass

WIDTH = 100
HELP = {"-h", "--help", "--help_all", "--help-all"}  # the flags that show it


@dataclass(frozen=True)
class Usage:
    """Which flags --help shows (`common`; None: all), and which group a flag of a group stands in, where another.

    `moved` is given a flag's group and name.
    """

    common: Collection[str] | None = None
    moved: Callable[[str, str], str] = lambda group, name: group


EVERY_FLAG = Usage()


class Formatter(argparse.HelpFormatter):
    """A flag under its names, its default where it says something, in `WIDTH` columns."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=35, width=WIDTH)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return action.dest
        values = {None: " …", 0: "", "?": "", "+": " … …", "*": " … …"}[action.nargs]
        names = [name for name in action.option_strings if name.startswith("--")]
        # --hole-from says the same as --hole_from; an alias is another word.
        others = [name for name in names[1:] if name.replace("-", "_") != names[0].replace("-", "_")]
        return f"{', '.join([names[0], *others])}{values}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = " ".join((action.help or "").split())
        said = "default" in text.lower() or action.default in (None, argparse.SUPPRESS, False, [])
        return text if said or not action.option_strings else f"{text} (default: %(default)s)"


def describe(parser: argparse.ArgumentParser, usage: Usage, everything: bool) -> str:
    """The help of a parser: its usage, then a section for each group of flags."""
    shown: dict[str, list[argparse.Action]] = {}
    hidden = 0
    for group in parser._action_groups:
        for action in group._group_actions:
            # --no_NAME says the same as --NAME false.
            if action.help == argparse.SUPPRESS or isinstance(action, argparse._StoreFalseAction):
                continue
            common = usage.common is None or action.dest in usage.common or not action.option_strings
            if everything or common or action.dest.startswith("help"):
                shown.setdefault(usage.moved(group.title or "options", action.dest), []).append(action)
            else:
                hidden += 1
    formatter = Formatter(parser.prog)
    inputs = [action for action in parser._get_positional_actions() if action.help != argparse.SUPPRESS]
    words = " ".join(f"[{action.dest} …]" if action.nargs == "*" else action.dest for action in inputs)
    formatter.add_usage(" ".join(filter(None, ["%(prog)s", words, "[--flag value …]"])), [], [])
    for title in sorted(shown, key=lambda title: title in {"options", "run"}):  # which come last
        formatter.start_section(title)
        formatter.add_arguments(shown[title])
        formatter.end_section()
    if hidden:
        formatter.add_text(f"{hidden} more flags, transformers' own among them: --help_all")
    formatter.add_text(parser.epilog)
    return formatter.format_help()
