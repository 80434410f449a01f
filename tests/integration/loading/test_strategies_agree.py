"""The same texts through every way into the table: same rows, same refusals, PostgreSQL's values.

The oracle is PostgreSQL's own reading of the accepted texts (integers by way of `numeric`, which
alone takes `17850.0`; `READ_AS` has what only Penstock takes), and the table of accepted texts,
which was written by hand.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from psycopg import sql

from penstock import LoadResult, load_table
from tests.fixtures.literals import LITERALS, READ_AS, SETUP
from tests.fixtures.postgres import Database
from tests.fixtures.values import VALUES

ALL = VALUES | LITERALS

#: A uuid column cannot go by binary COPY; a row that only a CHECK refuses makes the load stage.
WAYS = {
    "direct binary": (False, False),
    "direct csv": (True, False),
    "staged binary": (False, True),
    "staged csv": (True, True),
}
_INTEGERS = ("smallint", "integer", "bigint")
_UUID = "6c2a37b0-0a9e-4d0f-9a55-0d6a1b1f4d10"


def oracle(database: Database, type_sql: str) -> dict[int, str]:
    """Row number -> the accepted text as PostgreSQL stores and shows it."""
    by_way_of = "numeric" if type_sql in _INTEGERS else "text"
    query = sql.SQL("select (%s::{}::{})::text").format(sql.SQL(by_way_of), sql.SQL(type_sql))
    with database.connect() as connection:
        connection.execute("set datestyle = 'ISO, YMD'; set timezone = 'UTC'")
        stored = {}
        for number, (text, accepted) in enumerate(ALL[type_sql]):
            if accepted:
                # Blanks around a uuid mean nothing, as around a number; PostgreSQL takes none.
                read = text.strip(" \t\r\n") if type_sql == "uuid" else text
                read = READ_AS.get((type_sql, text), read)
                row = connection.execute(query, [read]).fetchone()
                assert row is not None
                stored[number] = row[0]
    return stored


def load_all(database: Database, tmp_path: Path, type_sql: str, way: str) -> LoadResult:
    with_uuid, staged = WAYS[way]
    extra = ", u uuid" if with_uuid else ""
    with database.connect() as connection:
        connection.execute(SETUP.get(type_sql, "").encode())
        connection.execute(
            sql.SQL("create table t (n int check (n >= 0), v {}{})").format(
                sql.SQL(type_sql), sql.SQL(extra)
            )
        )
    path = tmp_path / "values.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["n", "v", *(["u"] if with_uuid else [])])
        rows = [(n, text) for n, (text, _) in enumerate(ALL[type_sql])]
        if staged:
            rows.append((-1, next(text for text, accepted in ALL[type_sql] if accepted)))
        for number, text in rows:
            writer.writerow([number, text, *([_UUID] if with_uuid else [])])
    return load_table(database.engine(), path, "t", max_rejects="all")


@pytest.mark.parametrize("type_sql", ALL)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_stores_what_postgresql_reads(
    database: Database, tmp_path: Path, type_sql: str, way: str
) -> None:
    result = load_all(database, tmp_path, type_sql, way)
    assert result.balanced
    assert result.strategy.startswith(way.split()[0])
    with database.connect() as connection:
        connection.execute("set datestyle = 'ISO, YMD'; set timezone = 'UTC'")
        found: dict[int, str] = dict(connection.execute("select n, v::text from t").fetchall())
        records = connection.execute("select record - 1 from penstock.rejects").fetchall()
    refused = {number for (number,) in records} - {len(ALL[type_sql])}
    assert found == oracle(database, type_sql)
    assert refused == {n for n, (_, accepted) in enumerate(ALL[type_sql]) if not accepted}
