"""Drafts a map from a source's columns and a table. Not for: reading either (`cli.new`)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from penstock.model.naming import plain_name
from penstock.model.table import Column, ForeignKey, TableSpec

#: Names that are nearer than this are proposed, for a person to judge.
_NEAR = 0.7
_MOMENTS = ("date", "timestamp", "timestamptz")
_NUMBERS = ("numeric", "float4", "float8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a map is drafted from.

    Attributes:
        name: Of the file or table.
        columns: Its columns.
        dates: How its dates are written; empty: as ISO 8601.
        numbers: How its numbers are written; empty: with a point.
    """

    name: str
    columns: tuple[str, ...]
    dates: str = ""
    numbers: str = ""


def draft(source: Source, spec: TableSpec, parents: Mapping[str, TableSpec]) -> str:
    """The text of a map: what is certain as code, what is not as comments.

    Args:
        source: The source.
        spec: The target.
        parents: The tables that it refers to, by the name of the foreign key.
    """
    lines: list[str] = []
    used: set[str] = set()
    words = {"Map"}
    for column in spec.columns:
        if column.generated:
            continue
        text, word = _entry(column, source, spec, parents, used)
        lines.append(f"    {text}")
        words |= {word} if word else set()
    rest = [name for name in source.columns if name not in used]
    if rest:
        lines.append(f"    # The source also has: {', '.join(rest)}")
    return "\n".join(
        [
            f'"""How the fields of the table {spec.name} are made. A draft from {source.name}: '
            'read each line."""',
            "",
            f"from penstock import {', '.join(sorted(words))}",
            "",
            "transform = Map({",
            *lines,
            "})",
            "",
        ]
    )


def _entry(
    column: Column,
    source: Source,
    spec: TableSpec,
    parents: Mapping[str, TableSpec],
    used: set[str],
) -> tuple[str, str]:
    """A line of the map, and the name that it imports."""
    name, found = json.dumps(column.name), _exact(column.name, source.columns)
    if column.identity == "a":
        return f"# {name}: PostgreSQL makes it (generated always as identity)", ""
    looked_up = _looked_up(column, source.columns, spec, parents, used)
    if looked_up is not None:
        one, to, note = looked_up
        used.add(one)
        return f"{name}: Lookup({json.dumps(one)}, {json.dumps(to)}),{note}", "Lookup"
    if found is not None:
        used.add(found)
        how, word = _how(found, column, source)
        return f"{name}: {how},", word
    near = [one for one in source.columns if one not in used]
    close = _nearest(column.name, near)
    if close is not None:
        used.add(close)
        how, word = _how(close, column, source)
        return f"{name}: {how},  # the nearest name: is it this one?", word
    needed = not (column.nullable or column.has_default)
    why = "needs a value" if needed else "may be left out"
    return f'# {name}: "",  # {column.type}, {why}: no column of the source has its name', ""


def _how(name: str, column: Column, source: Source) -> tuple[str, str]:
    written = json.dumps(name)
    if source.dates and column.base in _MOMENTS:
        return f"Field({written}, dates={json.dumps(source.dates)})", "Field"
    if source.numbers and column.base in _NUMBERS:
        return f"Field({written}, numbers={json.dumps(source.numbers)})", "Field"
    return written, ""


def _exact(name: str, columns: Sequence[str]) -> str | None:
    alike = [one for one in columns if plain_name(one) == plain_name(name)]
    return name if name in columns else alike[0] if len(alike) == 1 else None


def _nearest(name: str, columns: Sequence[str]) -> str | None:
    plain = {plain_name(one): one for one in columns}
    close = difflib.get_close_matches(plain_name(name), plain, n=1, cutoff=_NEAR)
    return plain[close[0]] if close else None


def _looked_up(
    column: Column,
    columns: Sequence[str],
    spec: TableSpec,
    parents: Mapping[str, TableSpec],
    used: Collection[str],
) -> tuple[str, str, str] | None:
    """Source column, `table.key` and a remark, where the parent has a natural key.

    A source knows the parent's key by its name only where nobody but the source makes it: what
    PostgreSQL numbers is looked up by the natural key.
    """
    key = _reference(column, spec)
    parent = parents.get(key.name) if key is not None else None
    if key is None or parent is None:
        return None
    natural = [
        one.columns[0]
        for one in parent.keys
        if len(one.columns) == 1 and one.columns != key.parent_columns
    ]
    same = _exact(column.name, columns)
    if not natural or (same is not None and not parent.column(key.parent_columns[0]).has_default):
        return None
    stem = column.name.removesuffix("_id")
    named = [(f"{stem}_{one}", one) for one in natural] + [
        (one, one) for one in natural if plain_name(one).startswith(plain_name(stem))
    ]
    for name, one in [*named, (stem, natural[0])]:
        found = _exact(name, columns)
        if found is not None and found not in used and found != same:
            return found, f"{parent.name}.{one}", ""
    to = f"{parent.name}.{natural[0]}"
    if same is not None:
        return same, to, f"  # if it holds the {natural[0]} of {parent.name}"
    taken = {*used, *(_exact(one.name, columns) for one in spec.columns)}
    near = [
        one for one in columns if one not in taken and plain_name(one).startswith(plain_name(stem))
    ]
    return (near[0], to, "  # the nearest name: is it this one?") if len(near) == 1 else None


def _reference(column: Column, spec: TableSpec) -> ForeignKey | None:
    return next((key for key in spec.foreign_keys if key.columns == (column.name,)), None)
