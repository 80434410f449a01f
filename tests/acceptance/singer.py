"""A small reader of Singer messages for the tests: which tables and rows a stream means.

SCHEMA says what a stream's table is, RECORD is a row, STATE and ACTIVATE_VERSION are no rows. Not
for: loading (the tests do), nor for the rest of that protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

_TYPES = {"integer": "bigint", "number": "numeric", "boolean": "boolean", "string": "text"}


class SingerError(Exception):
    """The messages make no sense: a record before its schema, a schema without properties."""


@dataclass
class Stream:
    """One stream of a file.

    Attributes:
        name: Its name, which is the table's.
        types: Column -> type of PostgreSQL.
        required: Columns that may not be NULL.
        key: Its key properties; empty: none.
        records: Its records, in the order in which they came.
    """

    name: str
    types: dict[str, str] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    key: tuple[str, ...] = ()
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def table(self) -> str:
        """The name as PostgreSQL wants it."""
        return quoted(self.name)

    def create(self) -> str:
        """The statement that makes the table."""
        parts = [
            f"{quoted(name)} {kind}{' not null' if name in self.required else ''}"
            for name, kind in self.types.items()
        ]
        if self.key:
            parts.append(f"primary key ({', '.join(map(quoted, self.key))})")
        return f"create table {self.table} ({', '.join(parts)})"

    def write(self, path: Path) -> Path:
        """The records as NDJSON."""
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in self.records)
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def rows(self) -> list[dict[str, object]]:
        """What the table must hold in the end: of records with one key the last."""
        found: dict[object, dict[str, object]] = {}
        for number, record in enumerate(self.records):
            key = tuple(str(record.get(name)) for name in self.key) or number
            found.setdefault(key, {}).update(
                {name: _stored(record.get(name), kind) for name, kind in self.types.items()}
            )
        return list(found.values())


def quoted(name: str) -> str:
    """A name that is taken as it is written."""
    return '"' + name.replace('"', '""') + '"'


def read(path: Path) -> list[Stream]:
    """The streams of a file, in the order of their first schema.

    Raises:
        SingerError: A record comes before its schema, or a schema has no properties.
    """
    streams: dict[str, Stream] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        kind, name = message["type"], message.get("stream", "")
        if kind == "SCHEMA":
            _declare(streams.setdefault(name, Stream(name)), message)
        elif kind == "RECORD":
            if name not in streams:
                raise SingerError(f"{path.name}: a record of {name} before its schema")
            streams[name].records.append(message["record"])
    return list(streams.values())


def _declare(stream: Stream, message: Mapping[str, Any]) -> None:
    schema = message["schema"]
    if "properties" not in schema:
        raise SingerError(f"{stream.name}: a schema without properties")
    for name, said in schema["properties"].items():
        kind = _type(said)
        stream.types[name] = kind if stream.types.get(name, kind) == kind else "text"
    may_be_null = {n for n, said in schema["properties"].items() if "null" in said.get("type", "")}
    stream.required |= set(schema.get("required", ())) - may_be_null
    stream.key = tuple(message.get("key_properties") or ())


def _type(said: Mapping[str, Any]) -> str:
    kinds: set[tuple[str, str]] = set()
    for one in said.get("anyOf", [said]):
        names = one.get("type", "any")
        for name in [names] if isinstance(names, str) else names:
            if name != "null":
                kinds.add((name, one.get("format", "")))
    if ("string", "date-time") in kinds and {name for name, _ in kinds} == {"string"}:
        return "timestamptz"
    (first, *others) = {name for name, _ in kinds} or {"any"}
    return "jsonb" if others else _TYPES.get(first, "jsonb")


def _stored(value: Any, kind: str) -> object:
    """What PostgreSQL shows for a value of JSON."""
    if value is None or kind == "jsonb":
        return value
    if kind == "numeric":
        return Decimal(repr(value))
    if kind == "timestamptz":
        read = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    return value if kind != "text" or isinstance(value, str) else json.dumps(value)
