"""Composite types: JSON objects `{"street": "x", "no": 7}` and PostgreSQL's own `(x,7)`.

Each field is what its own type has it. Not for: arrays of composites, which are not taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from penstock.loading.types.check import (
    BLANKS,
    Check,
    Verdict,
    bare,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.loading.types.jsons import judge_json
from penstock.loading.types.nested import FOREIGN, Part, looked_at
from penstock.model.options import Grammar
from penstock.model.table import Column

#: A field as PostgreSQL writes it: quoted, or without what would need quotes.
_FIELD = re.compile(r'"((?:[^"\\]|\\.|"")*)"|([^"\\(),]*)', re.S)
_QUOTED = re.compile(r'\\(.)|""', re.S)
_SPECIAL = re.compile(r'(["\\])')
_GAP = re.compile(r"[ \t\n\r]*")
_JSON = ("json", "jsonb")
#: Numbers stay the text that they are.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)

#: The texts of a value's fields; None: NULL.
_Texts = list[str | None]


def composite_check(column: Column, fields: Sequence[Check], grammar: Grammar) -> Check:
    """Fields by their names, or all in order; the value is the canonical text of the row.

    In an object a field that is missing is NULL, and one that the type does not have is a fault.
    `--dates`, `--numbers` and `--null` do not hold inside.

    Args:
        column: The target column.
        fields: The checks of the type's fields, in order.
        grammar: Of the column.
    """
    raw = pl.col(column.name)

    def careful(texts: pl.Series) -> pl.DataFrame:
        stripped = {text.strip(BLANKS) for text in texts.unique().to_list()}
        rows = {text: _read(text, column) for text in stripped if text}
        known = [
            looked_at(check, list(dict.fromkeys(_texts_of(rows.values(), place))))
            for place, check in enumerate(fields)
        ]

        def judge(text: str) -> Verdict:
            row = rows[text]
            return row if isinstance(row, Verdict) else _whole(row, column, known)

        look = second_look(pl.String(), bare(judge, "a row", grammar), lambda canonical: canonical)
        return look(texts)

    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


def _texts_of(rows: Iterable[_Texts | Verdict], place: int) -> Iterator[str]:
    for row in rows:
        if not isinstance(row, Verdict) and (text := row[place]) is not None:
            yield text


def _read(text: str, column: Column) -> _Texts | Verdict:
    if text.startswith("{"):
        return _of_json(text, column)
    if text.startswith("(") and text.endswith(")"):
        found = _of_row(text)
        if found is not None and len(found) == len(column.fields):
            return found
        what = "not well formed" if found is None else f"a row of {len(found)} fields"
        return refuse("22P02", f"{shown(text)} is {what}, {column.type} has {len(column.fields)}")
    named = ", ".join(f'"{field.name}": …' for field in column.fields[:2])
    return refuse("22P02", f"{shown(text)} is not an object such as {{{named}}}{null_hint(text)}")


def _of_row(text: str) -> _Texts | None:
    found: _Texts = []
    place = 1
    while True:
        match = _FIELD.match(text, place)
        if match is None:
            return None
        quoted, word = match[1], match[2]
        if quoted is not None:
            word = _QUOTED.sub(lambda one: one[1] or '"', quoted)
        found.append(word if word or quoted is not None else None)
        place = match.end() + 1
        if text[place - 1] == ")":
            return found if place == len(text) else None
        if text[place - 1] != ",":
            return None


def _of_json(text: str, column: Column) -> _Texts | Verdict:
    form = judge_json(text, binary=False)
    if form.code is not None:
        return form
    places = {field.name: place for place, field in enumerate(column.fields)}
    found: _Texts = [None] * len(places)
    seen: set[str] = set()
    for name, value in _members(text):
        if name in seen:
            return refuse("duplicate_key", f"the field {shown(name)} stands twice")
        if name not in places:
            there = ", ".join(places)
            return refuse("22P02", f"{column.type} has no field {shown(name)}. It has: {there}")
        seen.add(name)
        field = column.fields[places[name]]
        if value[0] in "{[" and not _takes(field, value[0]):
            what = "an object" if value[0] == "{" else "a list"
            return refuse("22P02", f"{name}: {what} is no {field.type}")
        as_it_is = field.base in _JSON or not value.startswith('"')
        if value != "null":
            found[places[name]] = value if as_it_is else json.loads(value)
    return found


def _takes(field: Column, mark: str) -> bool:
    """Is a value of JSON that begins so one of the field's type?"""
    if field.base in _JSON:
        return True
    return field.kind == "c" if mark == "{" else field.element is not None and field.kind == "b"


def _members(text: str) -> Iterator[tuple[str, str]]:
    """Names and values, as they are written, of an object that is known to be right."""
    place = _after_gap(text, 1)
    while text[place] != "}":
        name, place = _DECODER.raw_decode(text, place)
        begin = _after_gap(text, _after_gap(text, place) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        yield name, text[begin:end]
        place = _after_gap(text, end)
        if text[place] == ",":
            place = _after_gap(text, place + 1)


def _after_gap(text: str, place: int) -> int:
    match = _GAP.match(text, place)
    return place if match is None else match.end()


def _whole(
    row: _Texts, column: Column, known: Sequence[dict[str, tuple[Part | None, Verdict]]]
) -> Verdict:
    written = []
    change = None
    for text, field, looked in zip(row, column.fields, known, strict=True):
        if text is None:
            written.append("")
            continue
        part, verdict = looked[text]
        if part is None:
            reason = FOREIGN.sub("", verdict.reason or "is NULL")
            return refuse(verdict.code or "22P02", f"{field.name}: {reason}")
        written.append('"' + _SPECIAL.sub(r"\1\1", part.text) + '"')
        change = change or verdict.change
    return Verdict("(" + ",".join(written) + ")", change=change)
