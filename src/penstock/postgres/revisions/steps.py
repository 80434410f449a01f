"""What a statement does to a table, told from its leading words. Not for: whether that matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from penstock.postgres.revisions.words import Reading, Statement, Word, called, joined

#: A name as it is written: one part, or schema and table.
Name = tuple[str, ...]


class Lock(StrEnum):
    """What others wait for, in PostgreSQL's words (chapter "Explicit Locking")."""

    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    ROWS = "the rows that it changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a statement does to one table.

    Attributes:
        kind: A key of `rules.RULES`, or `brief`, `checked` (NOT VALID), `validate`, `unseen`.
        table: As written; empty for `unseen`.
        lock: What it takes.
        column: Of it, where it is about one.
        detail: A type, a constraint's name, the referenced table.
        functions: What a default calls.
        expression: Of a CHECK.
    """

    kind: str
    table: Name
    lock: Lock
    column: str = ""
    detail: str = ""
    functions: tuple[str, ...] = ()
    expression: str = ""


_SERIAL = {"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"}
_ALL, _WRITERS = Lock.ACCESS_EXCLUSIVE, Lock.SHARE_ROW_EXCLUSIVE


def steps_of(statement: Statement) -> list[Step]:
    """What the statement does that others may have to wait for, or can break."""
    reading = Reading(statement.words)
    if reading.take("alter", "table"):
        reading.take("if", "exists")
        reading.take("only")
        table = reading.name()
        reading.take("*")
        return list(_altered(table, reading))
    if reading.take("create"):
        return list(_index(reading))
    return list(_other(reading))


def _altered(table: Name, reading: Reading) -> Iterator[Step]:
    if reading.take("rename"):
        if reading.take("constraint"):
            yield Step(kind="brief", table=table, lock=_ALL)
        elif reading.take("to"):
            yield Step(kind="rename_table", table=table, lock=_ALL)
        else:
            reading.take("column")
            yield Step(kind="rename_column", table=table, lock=_ALL, column=_one(reading))
        return
    for part in reading.parts():
        yield from _action(table, part)


def _action(table: Name, part: Reading) -> Iterator[Step]:
    if part.take("add"):
        if part.next("constraint") or _unnamed(part):
            yield from _constraint(table, part)
        else:
            yield from _column(table, part)
    elif part.take("drop"):
        if part.take("constraint"):
            yield Step(kind="brief", table=table, lock=_ALL)
            return
        part.take("column")
        part.take("if", "exists")
        yield Step(kind="drop_column", table=table, lock=_ALL, column=_one(part))
    elif part.take("alter"):
        part.take("column")
        yield from _column_altered(table, _one(part), part)
    elif part.take("validate", "constraint"):
        yield Step(
            kind="validate", table=table, lock=Lock.SHARE_UPDATE_EXCLUSIVE, detail=_one(part)
        )
    else:
        yield Step(kind="brief", table=table, lock=_ALL)


def _column_altered(table: Name, column: str, part: Reading) -> Iterator[Step]:
    if part.take("type") or part.take("set", "data", "type"):
        using = part.place("using")
        words = part.rest() if using is None else part.rest()[:using]
        kind = "alter_type" if using is None else "rewrite_type"
        yield Step(kind=kind, table=table, lock=_ALL, column=column, detail=_type(words))
    elif part.take("set", "not", "null"):
        yield Step(kind="set_not_null", table=table, lock=_ALL, column=column)
    else:
        yield Step(kind="brief", table=table, lock=_ALL)


def _unnamed(part: Reading) -> bool:
    starts = (("check",), ("unique",), ("primary", "key"), ("foreign", "key"), ("exclude",))
    return any(part.next(*words) for words in starts)


def _constraint(table: Name, part: Reading) -> Iterator[Step]:
    name = ""
    if part.take("constraint"):
        name = _one(part)
    valid = not part.has("not", "valid")
    if part.take("foreign", "key"):
        at = part.place("references")
        parent = Reading(part.rest()[at + 1 :]).name() if at is not None else ()
        kind = "add_foreign_key" if valid else "checked"
        yield Step(kind=kind, table=table, lock=_WRITERS, detail=".".join(parent))
        if parent and parent != table:
            yield Step(kind="brief", table=parent, lock=_WRITERS)
    elif part.take("check"):
        end = part.place("not", "valid")
        expression = joined(part.rest() if end is None else part.rest()[:end])
        kind = "add_check" if valid else "checked"
        yield Step(kind=kind, table=table, lock=_ALL, detail=name, expression=expression)
    elif part.take("not", "null"):
        kind = "set_not_null" if valid else "checked"
        column = _one(part)
        expression = f"( {column} is not null )"
        yield Step(
            kind=kind, table=table, lock=_ALL, detail=name, column=column, expression=expression
        )
    elif part.has("using", "index"):
        yield Step(kind="brief", table=table, lock=_ALL)
    else:
        yield Step(kind="add_unique", table=table, lock=_ALL, detail=name)


def _column(table: Name, part: Reading) -> Iterator[Step]:
    part.take("column")
    part.take("if", "not", "exists")
    column = _one(part)
    words = part.rest()
    serial = bool(words) and words[0].value in _SERIAL
    if serial or part.has("as", "identity") or part.has("stored"):
        yield Step(kind="rewrite_column", table=table, lock=_ALL, column=column)
    elif (at := part.place("default")) is not None:
        functions = called(words[at + 1 :])
        yield Step(kind="default", table=table, lock=_ALL, column=column, functions=functions)
    else:
        yield Step(kind="brief", table=table, lock=_ALL, column=column)
    if part.has("check"):
        yield Step(kind="add_check", table=table, lock=_ALL, column=column)
    if part.has("unique") or part.has("primary", "key"):
        yield Step(kind="add_unique", table=table, lock=_ALL, column=column)
    if (at := part.place("references")) is not None:
        parent = Reading(words[at + 1 :]).name()
        yield Step(kind="brief", table=parent, lock=_WRITERS)


def _index(reading: Reading) -> Iterator[Step]:
    reading.take("unique")
    if not reading.take("index"):
        return
    concurrently = reading.take("concurrently")
    reading.take("if", "not", "exists")
    if not reading.next("on"):
        reading.name()
    if not reading.take("on") or reading.take("only"):  # ONLY: no part of it gets one yet
        return
    table = reading.name()
    if concurrently:
        yield Step(kind="concurrently", table=table, lock=Lock.SHARE_UPDATE_EXCLUSIVE)
    else:
        yield Step(kind="create_index", table=table, lock=Lock.SHARE)


def _other(reading: Reading) -> Iterator[Step]:
    if reading.take("drop", "table"):
        reading.take("if", "exists")
        for part in reading.parts():
            yield Step(kind="drop_table", table=part.name(), lock=_ALL)
    elif reading.take("update") or reading.take("delete", "from"):
        reading.take("only")
        yield Step(kind="update", table=reading.name(), lock=Lock.ROWS)
    elif reading.take("vacuum"):
        if "full" in reading.brackets() or reading.take("full"):
            reading.take("verbose")
            yield Step(kind="vacuum_full", table=reading.name(), lock=_ALL)
    elif reading.take("cluster"):
        reading.take("verbose")
        yield Step(kind="vacuum_full", table=reading.name(), lock=_ALL)
    elif reading.take("with") or reading.take("do") or reading.take("call"):
        yield Step(kind="unseen", table=(), lock=Lock.ROWS)


def _one(reading: Reading) -> str:
    name = reading.name()
    return name[-1] if name else ""


def _type(words: tuple[Word, ...]) -> str:
    """A type as PostgreSQL writes it: `character varying(20)`, `numeric(12,2)`."""
    names = {"varchar": "character varying", "decimal": "numeric", "int": "integer"}
    text = ""
    for word in words:
        if word.value == "collate":
            break
        told = names.get(word.value, word.value)
        text += told if not text or word.kind in ("sign", "number") else f" {told}"
    return text
