"""Rows of a sorted file that come too late: refused with their own line and bytes."""

from __future__ import annotations

from pathlib import Path

from penstock import load_table
from tests.fixtures.postgres import Database


def test_late_rows_are_judged_and_keep_their_origin(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute("create table t (a int primary key, b text)")
    lines = [f"{n},'row {n}'" for n in range(5000)]
    lines[100] = '42,"other\nline"'  # a conflicting repeat, over two physical lines
    lines[2000] = "7,'row 7'"  # an exact copy
    lines[3000] = "-5,late and new"
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(lines) + "\n", encoding="utf-8")
    result = load_table(database.engine(), path, max_rejects=1)
    assert "direct" in result.strategy
    assert (result.read, result.inserted, result.ignored, result.quarantined) == (5000, 4998, 1, 1)
    with database.connect() as connection:
        kept = connection.execute(
            "select record, line, convert_from(raw, 'UTF8'), raw_values ->> 'b', reasons "
            "from penstock.rejects"
        ).fetchall()
        found = connection.execute("select b from t where a in (-5, 42) order by a").fetchall()
    assert kept == [
        (101, 102, '42,"other\nline"', "other\nline", ["a 42 came before in the input"])
    ]
    assert found == [("late and new",), ("'row 42'",)]
