"""Settings that come as values, from Python or a run.yaml: checked by the types that a dataclass names."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from shared.errors import UserError, first_line

Settings = TypeVar("Settings")

NUMBERS = {int: Integral, float: Real}  # numpy's are numbers, too, and an int is one where a float is wanted


def settled(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """An instance of a dataclass of settings.

    Raises:
        UserError: for a name that it lacks, a value of another type, or one that it refuses.
    """
    check_names(values, [field.name for field in fields(kind)])  # type: ignore[arg-type]  # there is no type for these
    types = get_type_hints(kind)
    for name, value in values.items():
        check_type(name, value, types[name])
    try:
        return kind(**values)
    except ValueError as error:
        raise UserError(first_line(error)) from error


def check_names(given: Iterable[Any], known: Iterable[str]) -> None:
    """Refuse names that are not `known`.

    Raises:
        UserError: that names the first of them, and what may be meant.
    """
    known = [*known]
    for name in given:
        if name not in known:
            raise UserError(f"unknown setting '{name}'{meant(str(name), known)}")


def meant(name: str, known: Iterable[str]) -> str:
    """Which of the `known` names may be meant by another, as the end of a message; "" where none is like it."""
    near = difflib.get_close_matches(name, [*known], n=1)
    return f": did you mean '{near[0]}'?" if near else ""


def check_type(name: str, value: Any, kind: Any) -> None:
    """Refuse a value of another type than `kind`, as a dataclass's field has it: a bool is no number, a tuple a list.

    Raises:
        UserError: that names the setting, the value and the type.
    """
    if not _is_a(value, kind):
        raise UserError(f"{name}={value!r} is of another type: give {_said(kind)}")


def _said(kind: Any) -> str:
    parts = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_said, parts))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, parts))
    if get_origin(kind) is list:
        return f"a list of {_said(parts[0])}"
    return "None" if kind is type(None) else kind.__name__


def _is_a(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is_a(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is list:
        return isinstance(value, list | tuple) and all(_is_a(each, parts[0]) for each in value)
    if kind in NUMBERS:
        return isinstance(value, NUMBERS[kind]) and not isinstance(value, bool)
    return isinstance(value, kind)
