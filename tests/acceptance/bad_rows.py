"""Bad rows in every format: what is wrong, how each format writes it, and what a mode makes of it.

The expectations are computed here, by a model of the modes over Python's dicts that knows nothing
of Penstock. Not for: what is wrong with a whole file (`bad_inputs`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

FORMATS = ("csv", "ndjson", "json", "parquet", "xlsx", "dat")
MODES = ("append", "truncate", "insert_new", "upsert", "sync", "replace_range", "scd2")

SETUP = """
create table parents (id int primary key);
insert into parents values (1), (2);
create table people (
    id int primary key, grp text not null, name varchar(10) not null, born date,
    amount numeric(6,2) constraint positive check (amount >= 0), parent int references parents,
    small smallint, ratio double precision, seen timestamptz, at timestamp);
create table versions (like people including all, valid_from date not null, valid_to date,
    is_current boolean not null);
alter table versions drop constraint versions_pkey, add primary key (id, valid_from),
    add foreign key (parent) references parents;
"""
COLUMNS = ("id", "grp", "name", "born", "amount", "parent", "small", "ratio", "seen", "at")
#: Widths of the fields in files of fixed width.
_WIDTHS = dict.fromkeys(COLUMNS, 12) | {"seen": 26, "at": 26}
FIXED = ",".join(
    f"{name}:{1 + sum(list(_WIDTHS.values())[:n])}-{sum(list(_WIDTHS.values())[: n + 1])}"
    for n, name in enumerate(COLUMNS)
)
Row = dict[str, Any]


def person(number: int, name: str, **more: Any) -> Row:
    row = dict.fromkeys(COLUMNS) | {"id": number, "grp": "a", "name": name}
    return row | {"born": date(2001, 2, 3), "amount": Decimal("1.50"), "parent": 1} | more


#: In the table before. 9 is of another group; 3 is the one that comes bad.
BEFORE = [
    person(3, "Old"), person(5, "Eve"), person(6, "Old"), person(7, "Gus"),
    person(9, "Ina", grp="b"),
]  # fmt: skip
#: In the file: 1 and 4 are new, 6 has changed, 7 is equal. The bad one comes third.
GOOD = [person(1, "Ann"), person(6, "Fay"), person(4, "Dan"), person(7, "Gus")]
BAD_AT = 3


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One bad row.

    Attributes:
        what: What is wrong.
        values: Column -> what the row has there.
        column: The column that is named; empty for the whole row.
        code: The code of the reject.
        formats: Those that can express it.
        spoil: Makes the row's bytes bad in a format of text.
        codes: Format -> another code.
        columns: Format -> another column.
        key_unread: True where the row's key cannot be known.
    """

    what: str
    values: Mapping[str, Any] = field(default_factory=dict)
    column: str = ""
    code: str
    formats: Sequence[str] = FORMATS
    spoil: Callable[[bytes], bytes] | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    key_unread: bool = False


def value(what: str, column: str, bad: Any, code: str, **more: Any) -> Fault:
    return Fault(what=what, values={column: bad}, column=column, code=code, **more)


_TEXT = ("csv", "dat")
_JSON = ("ndjson", "json")
_LINES = ("csv", "ndjson", "dat")
_NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
FAULTS = [
    value("smallint overflow", "small", 40_000, "22003"),
    value("integer overflow", "parent", 3_000_000_000, "22003"),
    value("no whole number", "small", 1.5, "22P02"),
    value("no number", "amount", "abc", "22P02"),
    value("numeric overflow", "amount", Decimal("10000.00"), "22003"),
    value("too many decimals", "amount", Decimal("1.005"), "scale"),
    value("NaN for numeric", "amount", float("nan"), "22P02", formats=("csv", "dat", "parquet")),
    value("no day", "born", "2023-02-30", "22008"),
    value("a day in another order", "born", "31/12/2025", "22007"),
    value("no day at all", "born", "yesterday", "22007"),
    value("text too long", "name", "Bartholomew", "22001"),
    value("NULL in NOT NULL", "name", None, "23502"),
    value("no key", "id", None, "23502", key_unread=True),
    value("key is no number", "id", "x", "22P02", key_unread=True),
    value("naive for timestamptz", "seen", _NOON.replace(tzinfo=None), "timezone"),
    value("an offset for timestamp", "at", _NOON, "offset"),
    value("1e400", "ratio", "1e400", "22003"),
    value("orphan", "parent", 99, "23503"),
    value("CHECK", "amount", Decimal("-1.00"), "23514"),
    value("orphan and CHECK", "amount", Decimal("-2.00"), "23514"),
    value("NUL", "name", "B\0b", "nul", formats=("csv", "ndjson", "json", "parquet", "dat"),
          columns=dict.fromkeys(FORMATS, ""), key_unread=True),
    Fault(what="too few fields", code="ragged", formats=("csv", "dat"), key_unread=True,
          spoil=lambda line: line[:6], codes={"dat": "short"}),
    Fault(what="too many fields", code="ragged", formats=("csv",), key_unread=True,
          spoil=lambda line: line + b",more"),
    Fault(what="open quote", code="quote", formats=("csv",), key_unread=True,
          spoil=lambda line: line.replace(b"Bob", b'"Bob')),
    Fault(what="wrong encoding", code="encoding", formats=_LINES, key_unread=True,
          spoil=lambda line: line.replace(b"Bob", b"B\xffb")),
    Fault(what="broken JSON", code="json", formats=("ndjson",), key_unread=True,
          spoil=lambda line: line[:-1]),
    Fault(what="a constant that is none of JSON", code="json", formats=("ndjson",),
          key_unread=True, spoil=lambda line: line.replace(b'"Bob"', b"NaN")),
    Fault(what="a key twice", code="duplicate_key", formats=_JSON, key_unread=True,
          spoil=lambda line: line.replace(b'"name"', b'"grp": "z", "name"')),
    Fault(what="no object", code="not_object", formats=_JSON, key_unread=True,
          spoil=lambda line: b"[1, 2]"),
    Fault(what="half a surrogate pair", code="surrogate", formats=_JSON, key_unread=True,
          spoil=lambda line: line.replace(b"Bob", b"B\\ud800b")),
    Fault(what="an error of Excel", values={"name": "=NA()"}, code="cell", formats=("xlsx",),
          key_unread=True),
    Fault(what="a key again", values={"id": 1}, column="id", code="23505"),
    Fault(what="an exact copy", values={"id": 1, "name": "Ann"}, code=""),
]  # fmt: skip


@dataclass(kw_only=True)
class Expected:
    """What a load must give: the rows by key, the counts, the rejects by record."""

    rows: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    ignored: int = 0
    deleted: int = 0
    rejects: list[tuple[int, str, str]] = field(default_factory=list)


def expected(fault: Fault, kind: str, mode: str, before: Sequence[Row]) -> Expected:
    """The model: what becomes of the rows one by one, in the order of the file."""
    made = Expected(rows={(row["id"],): row for row in before})
    came = {(row["id"],) for row in in_file(fault)}
    good = list(GOOD)
    if fault.code == "23505" and mode in ("upsert", "sync", "scd2"):
        good[0], made.ignored = in_file(fault)[BAD_AT - 1], 1  # the last one wins
    elif _is_left_alone(fault, mode):
        made.ignored = 1
    else:
        column = fault.columns.get(kind, fault.column)
        made.rejects.append((BAD_AT, column, fault.codes.get(kind, fault.code)))
    gone = {
        "truncate": set(made.rows),
        "replace_range": {key for key, row in made.rows.items() if row["grp"] == "a"},
        "sync": set() if fault.key_unread else set(made.rows) - came,
    }.get(mode, set())
    made.deleted = len(gone)
    for key in gone:
        del made.rows[key]
    for number, row in enumerate(good, 1):
        record, old = number + (number >= BAD_AT), made.rows.get((row["id"],))
        if old is None:
            made.inserted += 1
        elif mode == "append":
            made.rejects.append((record, "id", "23505"))
            continue
        elif mode == "insert_new":
            made.ignored += 1
            continue
        elif old == row:
            made.unchanged += 1
        elif mode == "scd2":
            made.inserted += 1  # a version more; the old one ends
        else:
            made.updated += 1
        made.rows[(row["id"],)] = row
    made.rejects.sort()
    return made


def _is_left_alone(fault: Fault, mode: str) -> bool:
    """Exact copies are; and a key that is there, which only the server could refuse."""
    return not fault.code or (mode == "insert_new" and fault.code in ("23505", "23514"))


def in_file(fault: Fault) -> list[Row]:
    """The rows of the file, the bad one third."""
    rows = [dict(row) for row in GOOD]
    rows.insert(BAD_AT - 1, person(3, "Bob") | dict(fault.values))
    return rows


def write(folder: Path, kind: str, fault: Fault, more: Mapping[str, Any]) -> Path:
    """The rows as a file; `more` are columns with one value for all."""
    rows = [row | dict(more) for row in in_file(fault)]
    path = folder / f"people.{kind}"
    _WRITERS[kind](path, rows, fault.spoil or (lambda line: line))
    return path


def _text(given: Any) -> str:
    if given is None:
        return ""
    return given.isoformat(sep=" ") if isinstance(given, datetime) else str(given)


Spoil = Callable[[bytes], bytes]


def _lines(path: Path, lines: list[bytes], spoil: Spoil, bad: int) -> None:
    lines[bad] = spoil(lines[bad])
    path.write_bytes(b"\n".join(lines) + b"\n")


def _csv(path: Path, rows: list[Row], spoil: Spoil) -> None:
    lines = [",".join(rows[0]).encode()]
    lines += [",".join(map(_text, row.values())).encode() for row in rows]
    _lines(path, lines, spoil, BAD_AT)


def _fixed(path: Path, rows: list[Row], spoil: Spoil) -> None:
    lines = []
    for row in rows:
        cells = [_text(row[name]).ljust(_WIDTHS.get(name, 12)) for name in row]
        lines.append("".join(cells).encode())
    _lines(path, lines, spoil, BAD_AT - 1)


def _object(row: Row) -> bytes:
    parts = []
    for name, given in row.items():
        text = str(given) if isinstance(given, Decimal) else json.dumps(given, default=_text)
        parts.append(f"{json.dumps(name)}: {text}")
    return ("{" + ", ".join(parts) + "}").encode()


def _ndjson(path: Path, rows: list[Row], spoil: Spoil) -> None:
    _lines(path, [_object(row) for row in rows], spoil, BAD_AT - 1)


def _json(path: Path, rows: list[Row], spoil: Spoil) -> None:
    objects = [_object(row) for row in rows]
    objects[BAD_AT - 1] = spoil(objects[BAD_AT - 1])
    path.write_bytes(b"[" + b",\n".join(objects) + b"]")


def _parquet(path: Path, rows: list[Row], spoil: Spoil) -> None:
    del spoil  # nothing of it can be spoilt alone
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if any(isinstance(one, str) for one in values):
            columns[name] = pl.Series([None if v is None else _text(v) for v in values])
        elif any(isinstance(one, float) for one in values):
            columns[name] = pl.Series([None if v is None else float(v) for v in values])
        elif any(isinstance(one, Decimal) for one in values):
            columns[name] = pl.Series(values, dtype=pl.Decimal(38, 3))
        else:
            columns[name] = pl.Series(values)
    pl.DataFrame(columns).write_parquet(path)


def _xlsx(path: Path, rows: list[Row], spoil: Spoil) -> None:
    del spoil  # nothing of it can be spoilt alone
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet()
    day = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    sheet.write_row(0, 0, list(rows[0]))
    for number, row in enumerate(rows, 1):
        for place, given in enumerate(row.values()):
            if isinstance(given, str) and given.startswith("="):
                sheet.write_formula(number, place, given, value="#N/A")
            elif isinstance(given, datetime) and given.tzinfo:
                sheet.write_string(number, place, _text(given))
            elif isinstance(given, date):
                sheet.write_datetime(number, place, given, day)
            elif given is not None:
                sheet.write(number, place, given)
    book.close()


_WRITERS: dict[str, Callable[[Path, list[Row], Spoil], None]] = {
    "csv": _csv, "ndjson": _ndjson, "json": _json, "parquet": _parquet, "xlsx": _xlsx,
    "dat": _fixed,
}  # fmt: skip
