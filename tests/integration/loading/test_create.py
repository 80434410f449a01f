"""`--create` and `--alter add`: tables and columns from the input, in the load's transaction."""

from __future__ import annotations

import runpy
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine

from penstock import BudgetExceeded, PenstockError, TryAgain, UsageError, load_table, unit
from penstock.loading.load import options_from
from penstock.loading.revision import write_revision
from penstock.loading.steps import Step
from tests.fixtures.postgres import Database

COLUMNS = """
select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
"""
ORDERS = [
    "Order No,day,amount,zip,paid,note",
    "1,2024-01-31,9.50,01067,true,first",
    "2,2024-02-01,100.25,80331,false,",
    "3,,1234.5,10115,true,third",
]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def columns_of(database: Database, table: str) -> list[tuple[str, str, bool]]:
    with database.connect() as connection:
        return connection.execute(COLUMNS, [table]).fetchall()


def rows_of(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return write(tmp_path / "orders.csv", ORDERS)


def test_a_table_is_made_with_types_from_the_whole_input(database: Database, orders: Path) -> None:
    result = load_table(database.url, orders, create=True)
    assert (result.read, result.inserted, result.balanced) == (3, 3, True)
    assert columns_of(database, "orders") == [
        ("order_no", "integer", False),
        ("day", "date", False),
        ("amount", "numeric(6,2)", False),
        ("zip", "text", False),
        ("paid", "boolean", False),
        ("note", "text", False),
    ]
    shown = "select order_no, day::text, amount::text, zip, paid, note from orders order by 1"
    assert rows_of(database, shown) == [
        (1, "2024-01-31", "9.50", "01067", True, "first"),
        (2, "2024-02-01", "100.25", "80331", False, None),
        (3, None, "1234.50", "10115", True, "third"),
    ]


def test_the_statement_is_told_with_the_row_that_decided_each_column(
    database: Database, orders: Path
) -> None:
    result = load_table(database.url, orders, create=True)
    assert result.ddl.splitlines()[0] == "create table orders ("
    assert "-- leading zeros (line 2: 01067)\n    zip text," in result.ddl
    assert "-- whole numbers from 1 to 3 (line 4: 3)\n    order_no integer," in result.ddl
    assert max(map(len, result.ddl.splitlines())) < 80
    with database.connect() as connection:
        connection.execute(result.ddl.replace("table orders", "table again").encode())
    assert columns_of(database, "again") == columns_of(database, "orders")


def test_a_key_is_proposed_and_made_only_where_it_is_named(
    database: Database, orders: Path
) -> None:
    proposed = load_table(database.url, orders, "one", create=True)
    assert any("--key order_no" in note for note in proposed.warnings)
    assert rows_of(database, "select 1 from pg_index where indrelid = 'one'::regclass") == []
    made = load_table(database.url, orders, "two", create=True, key="order_no", mode="upsert")
    assert made.inserted == 3
    assert "primary key (order_no)" in made.ddl
    again = load_table(database.url, orders, "two", create=True, key="order_no", mode="upsert")
    assert (again.unchanged, again.ddl) == (3, "")
    assert columns_of(database, "two")[0] == ("order_no", "integer", True)


def test_a_failed_load_leaves_no_table_and_keeps_what_was_refused(
    database: Database, tmp_path: Path
) -> None:
    path = write(tmp_path / "odd.csv", ["a,b", "1,2", "3,4,5", "6,7"])
    with pytest.raises(BudgetExceeded):
        load_table(database.url, path, "odd", create=True)
    assert columns_of(database, "odd") == []
    assert rows_of(database, "select status from penstock.rejects") == [("void",)]
    assert rows_of(database, "select status from penstock.loads") == [("failed",)]


def test_a_dry_run_shows_it_all_and_leaves_no_table(database: Database, orders: Path) -> None:
    result = load_table(database.url, orders, create=True, dry_run=True)
    assert (result.inserted, result.dry_run) == (3, True)
    assert result.ddl.startswith("create table orders (")
    assert columns_of(database, "orders") == []


def test_a_table_that_is_there_is_only_loaded(database: Database, orders: Path) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table orders (order_no text, day text, amount text, zip text, paid text, "
            "note text)"
        )
    result = load_table(database.url, orders, create=True)
    assert (result.inserted, result.ddl) == (3, "")
    assert {kind for _, kind, _ in columns_of(database, "orders")} == {"text"}


def test_a_dropped_table_is_made_and_filled_from_the_same_file_again(
    database: Database, orders: Path
) -> None:
    load_table(database.url, orders, create=True)
    with database.connect() as connection:
        connection.execute("drop table orders")
    assert load_table(database.url, orders, create=True).inserted == 3
    assert load_table(database.url, orders, create=True).skipped


def test_declared_ways_of_writing_decide_types(database: Database, tmp_path: Path) -> None:
    path = write(
        tmp_path / "umsatz.csv",
        ["Tag;Betrag;Anzahl", '31.12.2023;"1.234,50";NA', '01.01.2024;"99,90";7'],
    )
    plain = load_table(database.url, path, "plain", create=True, max_rejects="all")
    assert [kind for _, kind, _ in columns_of(database, "plain")] == ["text", "text", "integer"]
    assert any("--dates DD.MM.YYYY" in note for note in plain.warnings)
    assert any("--null NA" in note for note in plain.warnings)
    load_table(database.url, path, create=True, dates="DD.MM.YYYY", numbers="1.234,56", null="NA")
    assert columns_of(database, "umsatz") == [
        ("tag", "date", False),
        ("betrag", "numeric(6,2)", False),
        ("anzahl", "integer", False),
    ]
    assert rows_of(database, "select tag::text, betrag::text, anzahl from umsatz order by 1") == [
        ("2023-12-31", "1234.50", None),
        ("2024-01-01", "99.90", 7),
    ]


def test_odd_names_are_kept_and_found_again(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "odd.csv", ['user,Größe (cm),a b,a_b,"quo""te",x:y', "1,2,3,4,5,6"])
    first = load_table(database.url, path, "Odd Table", create=True)
    names = [name for name, _, _ in columns_of(database, '"odd table"')]
    assert names == ["user", "größe_(cm)", "a b", "a_b", 'quo"te', "x:y"]
    assert load_table(database.url, path, "odd table", again=True).inserted == first.inserted == 1


def test_new_columns_are_added_in_the_same_transaction(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute("create table items (id int primary key, name text)")
    path = write(tmp_path / "items.csv", ["id,name,Unit Price,since", "1,nut,0.25,2024-05-01"])
    tried = load_table(database.url, path, alter="add", dry_run=True)
    assert tried.ddl.splitlines()[0] == "alter table items"
    assert len(columns_of(database, "items")) == 2
    result = load_table(database.url, path, alter="add")
    assert result.ddl == tried.ddl
    assert columns_of(database, "items")[2:] == [
        ("unit_price", "numeric(2,2)", False),
        ("since", "date", False),
    ]
    assert rows_of(database, "select unit_price::text from items") == [("0.25",)]
    assert load_table(database.url, path, alter="add", again=True, mode="upsert").ddl == ""


def test_a_failed_load_adds_no_column(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute("create table items (id int primary key)")
    path = write(tmp_path / "items.csv", ["id,extra", "1,a", "x,b"])
    with pytest.raises(BudgetExceeded):
        load_table(database.url, path, alter="add")
    assert columns_of(database, "items") == [("id", "integer", True)]


def test_a_table_that_is_being_read_is_not_altered_for_long(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create table items (id int)")
    path = write(tmp_path / "items.csv", ["id,extra", "1,a"])
    with psycopg.connect(database.url) as reader:
        reader.execute("select from items")
        with pytest.raises(TryAgain, match="items could not be locked"):
            load_table(database.url, path, alter="add", lock_timeout=0.5)
    assert columns_of(database, "items") == [("id", "integer", False)]


def _two_loads(database: Database, orders: Path) -> None:
    with unit(database.url) as loads:
        assert loads.load(orders, create=True).inserted == 3
        loads.load(orders, "missing")


def test_a_unit_and_a_joined_transaction_take_the_table_back(
    database: Database, orders: Path
) -> None:
    with pytest.raises(UsageError, match="no table missing"):
        _two_loads(database, orders)
    assert columns_of(database, "orders") == []
    engine = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert load_table(connection, orders, create=True).inserted == 3
        connection.rollback()
    engine.dispose()
    assert columns_of(database, "orders") == []


def test_many_rows_with_a_key_balance(database: Database, tmp_path: Path) -> None:
    lines = [f"{n},{n * 3},2024-01-{n % 28 + 1:02}" for n in range(60_000)]
    path = write(tmp_path / "many.csv", ["id,big,day", *lines, "7,21,2024-01-08"])
    result = load_table(database.url, path, create=True, key="id")
    assert (result.inserted, result.ignored, result.balanced) == (60_000, 1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"create": True, "key": "nothing"}, "--key nothing: the new table has no such column"),
        ({"alter": "drop"}, "only \"add\" is known"),
        ({"create": True, "columns": {"none": "x"}}, "has no column none"),
    ],
)  # fmt: skip
def test_wrong_calls_are_told(
    database: Database, orders: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load_table(database.url, orders, **options)
    assert columns_of(database, "orders") == []


def test_a_schema_that_is_not_there_is_told(database: Database, orders: Path) -> None:
    with pytest.raises(PenstockError, match="nowhere"):
        load_table(database.url, orders, "nowhere.orders", create=True)


def test_a_revision_file_makes_the_same_table_and_takes_it_back(
    database: Database, tmp_path: Path
) -> None:
    path = write(tmp_path / "odd.csv", ['id,user,x:y,"quo""te",at', "1,b,c,d,2024-01-01 12:30:00"])
    options = options_from(create=True, key="id")
    (tmp_path / "0001.py").write_text('revision = "one"\ndown_revision = None\n')
    (tmp_path / "0002.py").write_text('revision: str = "two"\ndown_revision: str = "one"\n')
    file = tmp_path / "0003_odd.py"
    written = write_revision(database.url, ("odd", path), file, options)
    assert written is not None
    assert written.after == "two"
    assert columns_of(database, "odd") == []
    made = runpy.run_path(str(file))
    assert made["down_revision"] == "two"
    engine = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        made["upgrade"]()
    by_revision = columns_of(database, "odd")
    load_table(database.url, path, "loaded", create=True, key="id")
    assert by_revision == columns_of(database, "loaded")
    assert write_revision(database.url, ("odd", path), tmp_path / "more.py", options) is None
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        made["downgrade"]()
    engine.dispose()
    assert columns_of(database, "odd") == []
    with pytest.raises(UsageError, match="is there already"):
        write_revision(database.url, ("odd", path), file, options)


def test_typed_sources_keep_their_types(database: Database, tmp_path: Path) -> None:
    moment = datetime(2024, 1, 31, 8, 30, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "n": [1, 3_000_000_000],
            "f": [0.5, 2.25],
            "d": [date(2024, 1, 31), None],
            "at": [moment, moment],
            "local": [moment.replace(tzinfo=None)] * 2,
            "ok": [True, False],
            "price": [Decimal("1.50"), Decimal("2.00")],
        }
    )
    frame.write_parquet(tmp_path / "typed.parquet")
    (tmp_path / "lines.jsonl").write_text(
        '{"id": 1, "tags": ["a"], "who": {"x": 1}}\n{"id": 2, "tags": [], "who": {"x": null}}\n',
        encoding="utf-8",
    )
    for source, table in ((frame, "framed"), (tmp_path / "typed.parquet", "typed")):
        assert load_table(database.url, source, table, create=True).inserted == 2
        assert [kind for _, kind, _ in columns_of(database, table)] == [
            *("bigint", "numeric(3,2)", "date", "timestamp with time zone"),
            *("timestamp without time zone", "boolean", "numeric(3,2)"),
        ]
    assert load_table(database.url, tmp_path / "lines.jsonl", create=True).inserted == 2
    assert columns_of(database, "lines") == [
        ("id", "integer", False),
        ("tags", "jsonb", False),
        ("who", "jsonb", False),
    ]
    assert rows_of(database, "select who ->> 'x' from lines order by id") == [("1",), (None,)]


def test_a_killed_load_leaves_no_table_and_runs_again(database: Database, orders: Path) -> None:
    def die_before_commit(step: str) -> None:
        if step == Step.BOOKS.value:
            with psycopg.connect(database.url, autocommit=True) as other:
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )

    with pytest.raises(TryAgain):
        load_table(database.url, orders, create=True, on_step=die_before_commit)
    assert columns_of(database, "orders") == []
    assert load_table(database.url, orders, create=True).inserted == 3
