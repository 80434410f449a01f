"""Rows of a job keep their origins through a load."""

from __future__ import annotations

import polars as pl
import pytest

from penstock import load_table
from penstock.errors import BudgetExceeded
from penstock.loading.inputs.traced import Traced
from penstock.model.batch import ROW, Malformed, row_id
from tests.fixtures.postgres import Database


def rejects(database: Database) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(
            "select source, record, columns, codes, reasons, bad_values, "
            "raw_values from penstock.rejects order by source, record"
        ).fetchall()


def test_a_refused_row_is_known_by_where_it_was_read_not_by_its_place_in_the_frame(
    database: Database,
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table items (id int primary key, n int check (n < 100), v text not null)"
        )
    frame = pl.DataFrame(
        {
            "id": ["5", "x", "7", "8", "9"],
            "n": ["1", "2", "300", "4", None],
            "v": ["a", "b", "c", None, "e"],
            ROW: [row_id(4, 3), row_id(3, 9), row_id(3, 1), row_id(4, 1), None],
        }
    )
    faults = pl.DataFrame(
        {
            "position": pl.Series([3], dtype=pl.UInt32),
            "column": ["v"],
            "code": ["no_match"],
            "reason": ["'Z' is no sector"],
            "value": ["Z"],
        }
    )
    broken = Malformed(row_id(4, 2), 3, b'1,"2', "quote", "an unclosed quote")
    source = Traced(frame=frame, names={3: "a.csv", 4: "b.csv"}, malformed=[broken], faults=faults)
    result = load_table(database.engine(), source, "items", max_rejects="all")

    assert (result.read, result.inserted, result.quarantined) == (6, 2, 4)
    assert result.balanced
    with database.connect() as connection:
        assert connection.execute("select id from items order by 1").fetchall() == [(5,), (9,)]
    assert [row[:4] for row in rejects(database)] == [
        ("a.csv", 1, ["n"], ["23514"]),
        ("a.csv", 9, ["id"], ["22P02"]),
        ("b.csv", 1, ["v"], ["no_match"]),
        ("b.csv", 2, [""], ["quote"]),
    ]
    found = rejects(database)[2]
    assert found[4:6] == (["'Z' is no sector"], ["Z"])


def test_rows_that_only_the_map_refused_are_all_that_is_wrong(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("create table items (id int primary key)")
    frame = pl.DataFrame({"id": ["1", "2\0", "3"], ROW: [1, 2, 3]})
    faults = pl.DataFrame(
        {
            "position": pl.Series([2], dtype=pl.UInt32),
            "column": [""],
            "code": ["check"],
            "reason": ["no"],
            "value": pl.Series([None], dtype=pl.String),
        }
    )
    result = load_table(
        database.engine(),
        Traced(frame=frame, names={0: "f.csv"}, faults=faults),
        "items",
        max_rejects="all",
    )
    assert (result.read, result.inserted, result.quarantined) == (3, 1, 2)
    assert [row[:4] for row in rejects(database)] == [
        ("f.csv", 2, [""], ["nul"]),
        ("f.csv", 3, [""], ["check"]),
    ]


def test_the_record_of_a_refused_row_is_not_called_a_line(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("create table items (id int primary key)")
    source = Traced(frame=pl.DataFrame({"id": ["x", "3"], ROW: [30, 31]}), names={0: "f.csv"})
    with pytest.raises(BudgetExceeded, match=r"\(f\.csv record 30\)"):
        load_table(database.engine(), source, "items", max_rejects=0)
    result = load_table(database.engine(), source, "items", max_rejects="all")
    (sample,) = result.reasons[0].samples
    assert (sample.line, sample.record, sample.place) == (0, 30, "f.csv record 30")
