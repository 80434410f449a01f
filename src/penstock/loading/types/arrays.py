"""Arrays of types that have a grammar: PostgreSQL's `{1,2,NULL}` and JSON's `[1, 2, null]`.

Not for: arrays of other types, which go as text (`other`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from penstock.loading.types.check import Check, Verdict, null_hint, refuse, shown
from penstock.loading.types.nested import Literal, Part, nested_look
from penstock.model.options import Grammar
from penstock.model.table import Column

#: Dimensions that PostgreSQL has room for.
_MOST_DIMENSIONS = 6
_BLANK = " \t\n\r\v\f"
_TOKEN = re.compile(
    r'[ \t\n\r\v\f]*(?:(?P<mark>[{},])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^{}",\\]+))', re.S
)
_ESCAPE = re.compile(r"\\(.)", re.S)
_QUOTED = re.compile(r'(["\\])')
_BOUNDS = re.compile(r"\[-?[0-9:\[\]-]+\]\s*=")
#: Elements that are as they should be at a glance: a few digits.
_QUICK = {
    base: f"(?:0|-?[1-9][0-9]{{0,{more}}})"
    for base, more in (("int2", 3), ("int4", 8), ("int8", 17))
}
#: Texts that need no quotes.
_SAFE = re.compile(r"(?!null$)[\w.:+-]+", re.I | re.A)


class _FormError(Exception):
    """The text is no array; says why."""


@dataclass(slots=True)
class _Shape:
    """Nested lists of places in `parts` (None: NULL), as an array is written."""

    parts: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str | None) -> int | None:
        self.count += 1
        if text is None:
            return None
        self.parts.append(text)
        self.named.append(f"element {self.count}")
        return len(self.parts) - 1


_Tree = list["_Tree | int | None"]


def array_check(column: Column, element: Check, grammar: Grammar) -> Check:
    """Each element as its own type has it; the value is the array's canonical text.

    `--dates` and `--numbers` do not hold inside: a comma is the end of an element.
    """
    raw = pl.col(column.name)
    suspect = raw.is_not_null()
    if column.element is not None and (quick := _quick(column.element)):
        suspect = suspect & ~raw.str.contains(rf"^\{{(?:{quick}(?:,{quick})*)?\}}$")
    json_inside = column.element is not None and column.element.base in ("json", "jsonb")

    def read(text: str) -> Literal | Verdict:
        try:
            return _read(text, json_inside=json_inside)
        except _FormError as wrong:
            reason = f"{shown(text)} is not an array such as {{1,2,NULL}}: {wrong}"
            return refuse("22P02", reason + null_hint(text))

    return Check(column, pl.String(), raw, suspect, nested_look(element, read, "an array", grammar))


def _quick(element: Column) -> str:
    if element.base == "numeric" and element.precision is not None:
        whole, scale = element.precision - (element.scale or 0), element.scale or 0
        if whole > 0 and scale > 0:
            return rf"(?:0|-?[1-9][0-9]{{0,{whole - 1}}})\.[0-9]{{{scale}}}"
    return _QUICK.get(element.base, "")


def _read(text: str, *, json_inside: bool) -> Literal:
    shape = _Shape()
    if text.startswith("["):
        tree = _of_json(text, shape, json_inside=json_inside)
    else:
        tree = _of_literal(text, shape)
    _sizes(tree)

    def write(parts: Sequence[Part]) -> Verdict:
        return Verdict(_written(tree, parts))

    return Literal(shape.parts, shape.named, write)


def _of_literal(text: str, shape: _Shape) -> _Tree:
    first = _token(text, 0)
    if first["mark"] != "{":
        raise _FormError("it does not begin with a brace")
    tree, place = _inside_braces(text, first.end(), shape, 1)
    if text[place:].strip(_BLANK):
        raise _FormError("it goes on behind its last brace")
    return tree


def _inside_braces(text: str, place: int, shape: _Shape, depth: int) -> tuple[_Tree, int]:
    """What is between two braces, and where it ends."""
    if depth > _MOST_DIMENSIONS:
        raise _FormError(f"it has more than {_MOST_DIMENSIONS} dimensions")
    tree: _Tree = []
    while True:
        token = _token(text, place)
        place = token.end()
        if token["mark"] == "}" and not tree:
            return tree, place
        if token["mark"] == "{":
            part, place = _inside_braces(text, place, shape, depth + 1)
            tree.append(part)
        elif token["mark"] is None:
            tree.append(shape.add(_element(token)))
        else:
            raise _FormError(f"an element is missing before {token['mark']}")
        token = _token(text, place)
        place = token.end()
        if token["mark"] == "}":
            return tree, place
        if token["mark"] != ",":
            raise _FormError("a comma is missing between two elements")


def _token(text: str, place: int) -> re.Match[str]:
    match = _TOKEN.match(text, place)
    if match is None:
        if not text[place:].strip(_BLANK):
            raise _FormError("its last brace is missing")
        raise _FormError("a quote is not closed, or a backslash stands outside of quotes")
    return match


def _element(match: re.Match[str]) -> str | None:
    quoted = match["quoted"]
    if quoted is not None:
        return _ESCAPE.sub(r"\1", quoted)
    word = match["bare"].strip(_BLANK)
    if not word:
        raise _FormError("an element is missing")
    return None if word.lower() == "null" else word


def _of_json(text: str, shape: _Shape, *, json_inside: bool) -> _Tree:
    if _BOUNDS.match(text):
        raise _FormError("bounds of its own are not taken, leave them out")
    if json_inside:
        raise _FormError("a JSON array would be one value: write an array of quoted texts")
    try:
        found = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        raise _FormError("it is not a JSON array either") from None
    return _tree_of(found, shape)


class _Number(str):
    """A JSON number, as it is written."""


def _tree_of(found: list[object], shape: _Shape) -> _Tree:
    tree: _Tree = []
    for item in found:
        if isinstance(item, list):
            tree.append(_tree_of(item, shape))
        elif isinstance(item, bool):
            tree.append(shape.add("true" if item else "false"))
        elif item is None or isinstance(item, str):
            tree.append(shape.add(item))
        else:
            raise _FormError("an object is no element")
    return tree


def _sizes(tree: _Tree) -> tuple[int, ...]:
    """The size of each dimension; raises where parts of an array differ."""
    sizes: set[tuple[int, ...]] = set()
    for item in tree:
        sizes.add(_sizes(item) if isinstance(item, list) else ())
    if len(sizes) > 1:
        raise _FormError("its parts differ in size")
    below = next(iter(sizes), ())
    if any(size == 0 for size in below):
        raise _FormError("it has an empty part")
    if len(below) >= _MOST_DIMENSIONS:  # of JSON
        raise _FormError(f"it has more than {_MOST_DIMENSIONS} dimensions")
    return (len(tree), *below)


def _written(tree: _Tree, parts: Sequence[Part]) -> str:
    items = []
    for item in tree:
        if isinstance(item, list):
            items.append(_written(item, parts))
        elif item is None:
            items.append("NULL")
        else:
            text = parts[item].text
            safe = _SAFE.fullmatch(text) is not None
            items.append(text if safe else '"' + _QUOTED.sub(r"\\\1", text) + '"')
    return "{" + ",".join(items) + "}"
