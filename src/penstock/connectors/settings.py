"""Reads the settings of a connector, and lists every mistake at once. Not for: their sources."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from penstock.errors import UsageError
from penstock.model.outside import Outside
from penstock.model.secret import Secret

S = TypeVar("S")
#: Keys that say which connector it is, not how it is set.
_KIND = "kind"
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "True or False"}


def read_settings(kind: type[S], given: Mapping[str, Any], name: str) -> S:
    """The settings as the frozen dataclass `kind`.

    Fields are of type `str`, `int`, `float`, `bool`, `Secret`, `tuple[str, ...]` (a list, or one
    text), `Mapping[str, Any]`, or one of these or None. A field without a default is needed. A
    number may come as the text of a variable or a file (`Outside`).

    Args:
        kind: A dataclass.
        given: What `env` says.
        name: The connector's, for messages.

    Raises:
        UsageError: All mistakes, one a line: unknown keys with the nearest name, missing ones,
            values of another type. No value of a secret is shown.
    """
    hints = get_type_hints(kind)
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    problems = [_unknown(name, key, known) for key in given if key not in known and key != _KIND]
    values: dict[str, Any] = {}
    for key, one in known.items():
        if key not in given:
            if one.default is MISSING and one.default_factory is MISSING:
                problems.append(f"{name}: {key} is missing")
            continue
        taken = _taken(hints[key], given[key])
        if taken is _WRONG:
            shown = "" if isinstance(given[key], Secret) else f", not {given[key]!r}"
            problems.append(f"{name}.{key} must be {_said(hints[key])}{shown}")
        else:
            values[key] = taken
    if problems:
        raise UsageError("\n".join(problems))
    try:
        return kind(**values)
    except ValueError as error:  # what a dataclass checks of its fields together
        raise UsageError(f"{name}: {error}") from None


_WRONG = object()


def _unknown(name: str, key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; {near[0]}?" if near else f"; known are {', '.join(known)}"
    return f"{name}: there is no setting {key}{hint}"


def _taken(hint: Any, value: Any) -> Any:
    """The value as the hint has it, or `_WRONG`."""
    if get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            taken = _taken(one, value)
            if taken is not _WRONG:
                return taken
        return _WRONG
    if hint is type(None):
        return value if value is None else _WRONG
    if hint is Secret:
        return Secret(value) if isinstance(value, str) else _if(isinstance(value, Secret), value)
    if get_origin(hint) is tuple:
        items = (value,) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
            return _WRONG
        return tuple(items)
    if get_origin(hint) is not None and issubclass(get_origin(hint), Mapping):
        return _if(isinstance(value, Mapping), value)
    if hint in (int, float) and isinstance(value, Outside):
        return _number(hint, value)
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if number else _WRONG
    if hint is int:
        return _if(isinstance(value, int) and not isinstance(value, bool), value)
    return _if(isinstance(value, hint), value)


def _number(hint: Any, text: str) -> Any:
    """The number that a variable or a file holds; a text in `config.py` itself is a mistake."""
    try:
        return hint(text)
    except ValueError:
        return _WRONG


def _if(right: bool, value: Any) -> Any:
    return value if right else _WRONG


def _said(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_said(one) for one in get_args(hint))
    if hint is type(None):
        return "None"
    if hint is Secret:
        return "a text"
    if get_origin(hint) is tuple:
        return "a list of texts"
    return _WORDS.get(hint, "a dictionary")
