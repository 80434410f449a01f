"""A bad row is refused alone, with its code, in every format and every mode."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from penstock import load_table
from tests.acceptance.bad_rows import (
    BEFORE,
    COLUMNS,
    FAULTS,
    FIXED,
    FORMATS,
    MODES,
    SETUP,
    Expected,
    Fault,
    expected,
    write,
)
from tests.fixtures.postgres import Database

#: When the versions that are there began, and when those of the file begin.
BEGAN, BEGINS = date(2024, 1, 1), date(2024, 6, 1)
HOW: dict[str, dict[str, Any]] = {
    "truncate": {"allow_shrink": True},
    "sync": {"max_deletes": "all"},
    "replace_range": {"within": {"grp": "a"}, "allow_shrink": True},
    "scd2": {"key": "id"},
}


def before(mode: str) -> list[dict[str, Any]]:
    # What append finds under the key of the bad row would be a second fault.
    return [row for row in BEFORE if mode != "append" or row["id"] != 3]


def prepare(database: Database, mode: str) -> None:
    with database.connect() as connection:
        connection.execute("truncate people, versions")
        if connection.execute("select to_regclass('penstock.rejects')").fetchone() != (None,):
            connection.execute("delete from penstock.rejects; delete from penstock.files")
        table, more = ("versions", [BEGAN, None, True]) if mode == "scd2" else ("people", [])
        for row in before(mode):
            values = [*row.values(), *more]
            marks = ", ".join(["%s"] * len(values))
            connection.execute(f"insert into {table} values ({marks})".encode(), values)


def stored(database: Database, mode: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    picked = ", ".join(f'"{name}"' for name in COLUMNS)
    source = "versions where is_current and valid_to is null" if mode == "scd2" else "people"
    with database.connect() as connection:
        rows = connection.execute(f"select {picked} from {source}".encode()).fetchall()
    return {(row[0],): dict(zip(COLUMNS, row, strict=True)) for row in rows}


def rejects(database: Database) -> list[tuple[int, str, str]]:
    with database.connect() as connection:
        return connection.execute(
            "select record, c, k from penstock.rejects, unnest(columns, codes) u(c, k) "
            "where status = 'waiting' order by 1, 2"
        ).fetchall()


def check(database: Database, folder: Path, fault: Fault, kind: str, mode: str) -> str:
    """What is wrong with the outcome; empty where nothing is."""
    prepare(database, mode)
    told = expected(fault, kind, mode, before(mode))
    table, more = ("versions", {"valid_from": BEGINS}) if mode == "scd2" else ("people", {})
    path = write(folder, kind, fault, more)
    how: dict[str, Any] = {"max_rejects": "all", **HOW.get(mode, {})}
    if kind == "dat":
        end = int(FIXED.rpartition("-")[2])
        how["fixed"] = FIXED + (f",valid_from:{end + 1}-{end + 12}" if more else "")
    result = load_table(database.url, path, table, mode=mode, **how)
    names = ("inserted", "updated", "unchanged", "ignored", "deleted")
    found = Expected(
        rows=stored(database, mode), rejects=rejects(database),
        **{name: getattr(result, name) for name in names},
    )  # fmt: skip
    if not result.balanced or result.quarantined != len(found.rejects):
        return f"the books: {result}"
    wrong = [
        f"{name}: {getattr(found, name)}, not {getattr(told, name)}"
        for name in (*names, "rejects", "rows")
        if getattr(found, name) != getattr(told, name)
    ]
    return "; ".join(wrong)


def failures(
    database: Database, folder: Path, cases: list[tuple[Fault, str, str]]
) -> dict[str, str]:
    with database.connect() as connection:
        connection.execute(SETUP)
    wrong = {}
    for fault, kind, mode in cases:
        said = check(database, folder, fault, kind, mode)
        if said:
            wrong[f"{fault.what}, {kind}, {mode}"] = said
    return wrong


def of(kind: str, mode: str, *, every: bool) -> list[tuple[Fault, str, str]]:
    """The cases of a format and a mode; else a seventh of them, another one for each mode."""
    able = [fault for fault in FAULTS if kind in fault.formats]
    turn = MODES.index(mode) + FORMATS.index(kind)
    chosen = able if every else [f for n, f in enumerate(able) if (n + turn) % len(MODES) == 0]
    return [(fault, kind, mode) for fault in chosen]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_bad_row_is_refused_alone(
    database: Database, tmp_path: Path, kind: str, mode: str
) -> None:
    assert failures(database, tmp_path, of(kind, mode, every=False)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_bad_row_is_refused_alone(
    database: Database, tmp_path: Path, kind: str, mode: str
) -> None:
    assert failures(database, tmp_path, of(kind, mode, every=True)) == {}
