"""Composite types against a real server: objects, rows, structs; a fault names its field.

The differential tests of all types, such as `test_strategies_agree`, have them too.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import load_table
from tests.fixtures.postgres import Database

TYPES = """
create domain plus as int check (value > 0);
create type place as (street text, no int, since date, size numeric(5,2));
create type "text" as (a int);
create type spot as (label varchar(3), at point, bits bit(2), how_many plus);
create table homes (id int primary key, home place, spot spot, odd public."text");
"""


@pytest.fixture
def homes(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(TYPES)
    return database


def ask(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_fault_in_a_row_names_its_field(homes: Database, tmp_path: Path) -> None:
    values: list[object] = [
        {"street": "Elm", "no": 7},
        {"street": "Elm", "no": "7b"},
        {"Street": "Elm"},
        {"size": 1.555},
        {"since": "2024-02-30", "no": 1},
        "Elm 7",
    ]
    texts = [one if isinstance(one, str) else json.dumps(one) for one in values]
    pl.DataFrame({"id": range(6), "home": texts}).write_csv(tmp_path / "homes.csv")
    result = load_table(homes.engine(), tmp_path / "homes.csv", max_rejects="all")
    assert ask(homes, "select id, (home).street, (home).no, home::text from homes") == [
        (0, "Elm", 7, "(Elm,7,,)")
    ]
    assert ask(homes, "select record, codes, reasons[1] from penstock.rejects order by 1") == [
        (2, ["22P02"], "no: 7b is not an integer"),
        (3, ["22P02"], "place has no field Street. It has: street, no, since, size"),
        (4, ["scale"], "size: 1.555 has 3 decimals, numeric(5,2) keeps 2: --round"),
        (5, ["22008"], "since: there is no day 2024-02-30 (YYYY-MM-DD)"),
        (6, ["22P02"], 'Elm 7 is not an object such as {"street": …, "no": …}'),
    ]
    assert result.balanced


def test_what_rounding_changes_is_counted(homes: Database, tmp_path: Path) -> None:
    (tmp_path / "homes.csv").write_text('id,home\n1,"{""size"": 1.555}"\n')
    result = load_table(homes.engine(), tmp_path / "homes.csv", round=True)
    assert dict(result.changes) == {"rounded": 1}
    assert ask(homes, "select (home).size from homes") == [(Decimal("1.56"),)]


def test_structs_and_json_objects_fill_composites(homes: Database, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2],
            "home": [
                {"street": "a,b", "no": 7, "since": date(2024, 2, 29), "size": Decimal("1.50")},
                {"street": None, "no": None, "since": None, "size": None},
            ],
        }
    )
    load_table(homes.engine(), frame, "homes")
    objects = [
        {"id": 3, "home": {"no": 8, "street": 'say "(hi)"\n\\'}},
        {"id": 4, "home": None},
        {"id": 5, "home": {}},
    ]
    path = tmp_path / "homes.jsonl"
    path.write_text("\n".join(map(json.dumps, objects)) + "\n")
    load_table(homes.engine(), path)
    fields = "(home).street, (home).no, (home).since, (home).size"
    assert ask(homes, f"select id, home::text is null, {fields} from homes order by id") == [
        (1, False, "a,b", 7, date(2024, 2, 29), Decimal("1.50")),
        (2, False, None, None, None, None),
        (3, False, 'say "(hi)"\n\\', 8, None, None),
        (4, True, None, None, None, None),
        (5, False, None, None, None, None),
    ]


def test_fields_without_a_grammar_are_judged_by_the_server(homes: Database, tmp_path: Path) -> None:
    values = [
        {"label": "a", "at": "(1,2)", "bits": "10", "how_many": 3},
        {"label": "abcd"},
        {"at": "here"},
        {"bits": "101"},
        {"how_many": 0},
    ]
    pl.DataFrame({"id": range(5), "spot": map(json.dumps, values)}).write_csv(
        tmp_path / "homes.csv"
    )
    result = load_table(homes.engine(), tmp_path / "homes.csv", max_rejects="all")
    assert ask(homes, "select id, spot::text from homes") == [(0, '(a,"(1,2)",10,3)')]
    assert ask(homes, "select record, codes[1], columns[1] from penstock.rejects order by 1") == [
        (2, "22001", "spot"),
        (3, "22P02", "spot"),
        (4, "22026", "spot"),
        (5, "23514", "spot"),
    ]
    assert result.balanced


def test_a_composite_called_as_another_type_is_a_composite(homes: Database, tmp_path: Path) -> None:
    (tmp_path / "homes.csv").write_text('id,odd\n1,(5)\n2,"{""a"": 6}"\n3,x\n4,()\n')
    load_table(homes.engine(), tmp_path / "homes.csv", max_rejects="all", empty="text")
    assert ask(homes, "select id, (odd).a from homes order by 1") == [(1, 5), (2, 6), (4, None)]


def test_upsert_leaves_rows_alone_whose_composite_is_the_same(
    homes: Database, tmp_path: Path
) -> None:
    path = tmp_path / "homes.csv"
    path.write_text('id,home\n1,"(Elm,7,,1.5)"\n2,"(Oak,8,,)"\n')
    load_table(homes.engine(), path)
    path.write_text(
        'id,home\n1,"{""no"": 7, ""size"": ""1.50"", ""street"": ""Elm""}"\n2,"(oak,8,,)"\n'
    )
    result = load_table(homes.engine(), path, mode="upsert")
    assert (result.updated, result.unchanged) == (1, 1)
