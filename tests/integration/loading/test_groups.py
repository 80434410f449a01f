"""`group`: rows that are loaded together or refused together, against a real server.

What must be in the tables is written down by hand, or computed by Python from the rows.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy

from penstock import LoadResult, load_star, load_table, replay_rejects, unit
from penstock.errors import BudgetExceeded, SourceError, UsageError
from penstock.loading.inputs import frames
from tests.fixtures.postgres import Database

SHOP = """
create table products (sku text primary key, name text not null);
create table orders (
    order_no int primary key, day date not null, total numeric(8,2) check (total >= 0)
);
create table order_lines (
    line_id int primary key, order_no int not null references orders,
    sku text references products, units int not null check (units <> 13)
);
create table parcels (parcel_id int primary key, line_id int not null references order_lines);
"""
PRODUCTS = "sku,name\na,Apple\nb,Bean\n"
ORDERS = "order_no,day,total\n1,2024-01-01,5\n2,2024-01-02,6\n3,2024-01-03,7\n4,2024-01-04,8\n"
LINES = "line_id,order_no,sku,units\n10,1,a,1\n11,1,b,2\n20,2,a,3\n21,2,b,4\n30,3,a,5\n40,4,b,6\n"
PARCELS = "parcel_id,line_id\n100,10\n101,20\n102,30\n"

Rows = list[tuple[Any, ...]]


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


def ask(shop: Database, query: str) -> Rows:
    with shop.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def star(
    shop: Database, folder: Path, orders: str = ORDERS, lines: str = LINES, **options: Any
) -> dict[str, LoadResult]:
    files = {"products": PRODUCTS, "orders": orders, "order_lines": lines, "parcels": PARCELS}
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    given = {"group": "order_no", "max_rejects": "all", **options}
    results = load_star(shop.engine(), folder, **given)
    assert all(result.balanced for result in results)
    assert ask(shop, "select count(*) from penstock.balance where not balanced") == [(0,)]
    return {result.table: result for result in results}


def there(shop: Database) -> tuple[list[int], list[int]]:
    """Numbers of the orders and lines in the tables."""
    orders = ask(shop, "select order_no from orders order by 1")
    lines = ask(shop, "select line_id from order_lines order by 1")
    return [one for (one,) in orders], [one for (one,) in lines]


def refused(shop: Database) -> Rows:
    """Table, line and codes of every reject that waits."""
    return ask(
        shop,
        "select table_name, line, codes from penstock.rejects where status = 'waiting' "
        "order by table_name, line",
    )


def reason(shop: Database, table: str, line: int) -> str:
    found = ask(
        shop, f"select reasons from penstock.rejects where table_name = '{table}' and line = {line}"
    )
    ((reasons,),) = found
    assert len(reasons) == 1
    return str(reasons[0])


def test_a_refused_header_takes_its_lines_along(shop: Database, tmp_path: Path) -> None:
    results = star(shop, tmp_path, orders=ORDERS.replace("2024-01-02", "2024-13-02"))
    assert there(shop) == ([1, 3, 4], [10, 11, 30, 40])
    assert refused(shop) == [
        ("order_lines", 4, ["group"]),
        ("order_lines", 5, ["group"]),
        ("orders", 3, ["22008"]),
        ("parcels", 3, ["parent_refused"]),
    ]
    said = reason(shop, "order_lines", 4)
    assert said.startswith(f"another row of its group was refused: {tmp_path}/orders.csv line 3, ")
    assert "day 22008" in said
    assert "2024-13-02" in said
    assert results["products"].inserted == 2


def test_a_refused_line_takes_its_header_and_the_other_lines_along(
    shop: Database, tmp_path: Path
) -> None:
    star(shop, tmp_path, lines=LINES.replace("21,2,b,4", "21,2,b,x"))
    assert there(shop) == ([1, 3, 4], [10, 11, 30, 40])
    assert refused(shop) == [
        ("order_lines", 4, ["group"]),
        ("order_lines", 5, ["22P02"]),
        ("orders", 3, ["group"]),
        ("parcels", 3, ["parent_refused"]),
    ]
    assert "order_lines.csv line 5, units 22P02" in reason(shop, "orders", 3)


@pytest.mark.parametrize("big", [False, True])
def test_what_only_the_server_refuses_takes_its_group_along(
    shop: Database, tmp_path: Path, big: bool
) -> None:
    more = "".join(f"{n},4,a,1\n" for n in range(1000, 4000)) if big else ""
    star(shop, tmp_path, lines=LINES.replace("30,3,a,5", "30,3,a,13") + more)
    assert there(shop)[0] == [1, 2, 4]
    assert there(shop)[1][:5] == [10, 11, 20, 21, 40]
    assert refused(shop) == [
        ("order_lines", 6, ["23514"]),
        ("orders", 4, ["group"]),
        ("parcels", 4, ["parent_refused"]),
    ]
    assert "order_lines_units_check" in reason(shop, "orders", 4)


def test_an_orphan_and_a_child_of_a_refused_parent_take_their_groups_along(
    shop: Database, tmp_path: Path
) -> None:
    lines = LINES.replace("11,1,b,2", "11,1,zz,2") + "50,5,a,1\n"
    star(shop, tmp_path, lines=lines)
    assert there(shop) == ([2, 3, 4], [20, 21, 30, 40])
    assert refused(shop) == [
        ("order_lines", 2, ["group"]),
        ("order_lines", 3, ["23503"]),
        ("order_lines", 8, ["23503"]),
        ("orders", 2, ["group"]),
        ("parcels", 2, ["parent_refused"]),
    ]
    assert "line 3, sku 23503: zz is not in products" in reason(shop, "orders", 2)


def test_a_row_refused_with_its_group_makes_orphans_that_take_theirs_along(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table cases (id int primary key, box text, inside int references cases, v int)"
        )
    (tmp_path / "cases.csv").write_text(
        "id,box,inside,v\n1,A,,1\n2,A,,x\n3,B,1,1\n4,B,,1\n5,C,4,1\n6,C,,1\n7,D,,1\n8,,,1\n9,,99,1\n"
    )
    result = load_table(database.engine(), tmp_path / "cases.csv", group="box", max_rejects="all")
    assert ask(database, "select id from cases order by 1") == [(7,), (8,)]
    assert result.balanced
    assert refused(database) == [
        ("cases", 2, ["group"]),
        ("cases", 3, ["22P02"]),
        ("cases", 4, ["23503"]),
        ("cases", 5, ["group"]),
        ("cases", 6, ["23503"]),
        ("cases", 7, ["group"]),
        ("cases", 10, ["23503"]),
    ]


def test_a_group_may_be_spread_over_batches_far_apart(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "BATCH_ROWS", 100)
    with shop.connect() as connection:
        connection.execute("create table sales (id int primary key, receipt text, units int)")
    count, receipts = 3000, 70
    units = ["x" if n in (1711, 2999) else str(n) for n in range(count)]
    frame = pl.DataFrame(
        {
            "id": range(count),
            "receipt": [f"r{n % receipts}" for n in range(count)],
            "units": units,
        }
    )
    lost = {f"r{1711 % receipts}", f"r{2999 % receipts}"}
    expected = [n for n in range(count) if f"r{n % receipts}" not in lost]
    result = load_table(shop.engine(), frame, "sales", group="receipt", max_rejects="all")
    assert ask(shop, "select id from sales order by 1") == [(n,) for n in expected]
    assert result.quarantined == count - len(expected)
    assert {(one.code, one.rows) for one in result.reasons} == {
        ("22P02", 2),
        ("group", count - len(expected) - 2),
    }


def test_values_are_of_one_group_where_the_database_has_them_equal(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table a (id int primary key, n int, d numeric, t text, c char(4), v int);"
            "create table b (id int primary key, n bigint, d numeric(8,3), t varchar(9), c text)"
        )

    def left(column: str, first: str, others: list[str]) -> list[int]:
        (tmp_path / "a.csv").write_text(f"id,{column},v\n0,{first},x\n9,,1\n")
        text = "".join(f"{place},{one}\n" for place, one in enumerate(others))
        (tmp_path / "b.csv").write_text(f"id,{column}\n{text}")
        load_star(
            database.engine(),
            tmp_path,
            group=column,
            max_rejects="all",
            allow_shrink=True,
            tables=["a", "b"],
        )
        return [one for (one,) in ask(database, "select id from b order by 1")]

    assert left("n", "1", ["01", "10", "1.0", "", "+1", "2"]) == [1, 3, 5]
    assert left("d", "7.50", ["7.5", "07.500", "75", "0"]) == [2, 3]
    assert left("d", "0", ["0.00", "-0", "1"]) == [2]
    assert left("d", "100", ["100.0", "1", "10"]) == [1, 2]
    assert left("t", "a", ["A", "a", '"a "', '""', "aa"]) == [0, 2, 3, 4]
    assert left("c", '"a "', ["a", "A", "b"]) == [1, 2]


def test_rows_without_a_readable_group_stand_for_themselves(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create table t (id int primary key, g int, v int not null)")
    (tmp_path / "t.csv").write_text("id,g,v\n1,,x\n2,,1\n3,q,1\n4,5,1\n5,5\n6,6,1\n")
    result = load_table(database.engine(), tmp_path / "t.csv", group="g", max_rejects="all")
    assert ask(database, "select id from t order by 1") == [(2,), (4,), (6,)]
    assert (result.quarantined, result.balanced) == (3, True)
    assert result.warnings[-1] == (
        "2 refused rows have no g that can be read: the rest of their groups may have been loaded"
    )


@pytest.mark.parametrize("mode", ["append", "insert_new", "upsert", "sync", "truncate"])
def test_no_mode_loads_a_part_of_a_group(shop: Database, tmp_path: Path, mode: str) -> None:
    star(shop, tmp_path, lines=LINES.replace("21,2,b,4", "21,2,b,13"), mode=mode)
    assert there(shop) == ([1, 3, 4], [10, 11, 30, 40])


def test_upsert_leaves_the_old_rows_of_a_refused_group(shop: Database, tmp_path: Path) -> None:
    star(shop, tmp_path)
    changed = ORDERS.replace(",6\n", ",66\n").replace(",7\n", ",77\n")
    lines = LINES.replace("21,2,b,4", "21,2,b,13").replace("20,2,a,3", "20,2,a,33")
    star(shop, tmp_path, orders=changed, lines=lines, mode="upsert")
    assert ask(shop, "select order_no, total::text from orders order by 1") == [
        (1, "5.00"),
        (2, "6.00"),
        (3, "77.00"),
        (4, "8.00"),
    ]
    assert ask(shop, "select units from order_lines where order_no = 2 order by 1") == [(3,), (4,)]


@pytest.mark.parametrize("bad", ["x", "13"])
def test_sync_removes_no_row_of_a_refused_group(shop: Database, tmp_path: Path, bad: str) -> None:
    star(shop, tmp_path)
    with shop.connect() as connection:
        connection.execute("drop table parcels")
    # Line 20 of order 2 and line 11 of order 1 are gone from the input; order 4 is too.
    lines = f"line_id,order_no,sku,units\n10,1,a,1\n21,2,b,{bad}\n30,3,a,5\n"
    orders = "\n".join(ORDERS.splitlines()[:-1]) + "\n"
    (tmp_path / "parcels.csv").unlink()
    (tmp_path / "order_lines.csv").write_text(lines)
    result = load_table(
        shop.engine(),
        tmp_path / "order_lines.csv",
        mode="sync",
        group="order_no",
        max_rejects="all",
        max_deletes=2,
    )
    assert result.deleted == 2
    assert there(shop)[1] == [10, 20, 21, 30]
    (tmp_path / "orders.csv").write_text(orders)
    result = load_table(shop.engine(), tmp_path / "orders.csv", mode="sync", group="order_no")
    assert (result.deleted, there(shop)[0]) == (1, [1, 2, 3])


def test_replace_range_and_scd2_load_whole_groups(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table daily (id int primary key, day date, doc int, v int check (v <> 13));"
            "create table prices (sku text, list int, price int check (price <> 13),"
            " valid_from date, valid_to date, is_current boolean, primary key (sku, valid_from))"
        )
    path = tmp_path / "daily.csv"
    path.write_text("id,day,doc,v\n1,2024-01-01,7,1\n2,2024-01-01,7,13\n3,2024-01-01,8,1\n")
    result = load_table(
        database.engine(),
        path,
        mode="replace_range",
        within={"day": "2024-01-01"},
        group="doc",
        max_rejects="all",
    )
    assert ask(database, "select id from daily") == [(3,)]
    assert {one.code for one in result.reasons} == {"23514", "group"}
    path = tmp_path / "prices.csv"
    for day, texts in {"01": "a,1,1\nb,1,1\nc,2,1\n", "02": "a,1,2\nb,1,13\nc,2,2\n"}.items():
        rows = "".join(f"{line},2024-01-{day}\n" for line in texts.splitlines())
        path.write_text(f"sku,list,price,valid_from\n{rows}")
        load_table(database.engine(), path, mode="scd2", key="sku", group="list", max_rejects="all")
    assert ask(database, "select sku, price from prices where is_current order by 1") == [
        ("a", 1),
        ("b", 1),
        ("c", 2),
    ]


def test_a_stream_a_unit_and_a_joined_transaction_hold_groups_together(
    shop: Database, tmp_path: Path
) -> None:
    data = b"order_no,day,total\n1,2024-01-01,1\n2,2024-01-02,-1\n3,2024-01-03,1\n"
    result = load_table(shop.engine(), io.BytesIO(data), "orders", group="day", max_rejects="all")
    assert (result.inserted, result.quarantined) == (2, 1)
    with shop.connect() as connection:
        connection.execute("insert into products values ('a', 'Apple'), ('b', 'Bean')")
    path = tmp_path / "order_lines.csv"
    path.write_text(LINES.replace("11,1,b,2", "11,1,b,x").split("20,2")[0] + "30,3,a,5\n")
    with unit(shop.engine(), group="order_no", max_rejects="all") as together:
        result = together.load(path)
        assert (result.inserted, result.quarantined) == (1, 2)
    assert there(shop)[1] == [30]
    path.write_text("line_id,order_no,sku,units\n50,1,a,1\n51,1,b,13\n52,3,b,1\n")
    with shop.engine().begin() as connection:
        connection.execute(sqlalchemy.text("insert into order_lines values (90, 3, 'a', 1)"))
        load_table(connection, path, group="order_no", max_rejects="all")
    assert there(shop)[1] == [30, 52, 90]


def test_the_ledger_has_one_load_and_nothing_of_the_readings_before(
    shop: Database, tmp_path: Path
) -> None:
    star(shop, tmp_path, lines=LINES.replace("21,2,b,4", "21,2,b,13"))
    loads = ask(
        shop,
        "select table_name, status, read, inserted, quarantined from penstock.loads order by 1",
    )
    assert loads == [
        ("order_lines", "succeeded", 6, 4, 2),
        ("orders", "succeeded", 4, 3, 1),
        ("parcels", "succeeded", 3, 2, 1),
        ("products", "succeeded", 2, 2, 0),
    ]
    assert ask(shop, "select kind, status from penstock.runs") == [("load-star", "succeeded")]
    assert ask(shop, "select sum(times), count(*) from penstock.rejects") == [(4, 4)]


def test_the_budget_counts_the_rows_that_are_refused_with_their_group(
    shop: Database, tmp_path: Path
) -> None:
    lines = LINES.replace("21,2,b,4", "21,2,b,x")
    with pytest.raises(BudgetExceeded, match=r"2 of 6 rows were refused.*--max-rejects 2"):
        star(shop, tmp_path, lines=lines, max_rejects=1)
    assert there(shop) == ([], [])
    assert ask(
        shop,
        "select table_name, codes from penstock.rejects where status = 'void' order by 1, line",
    ) == [
        ("order_lines", ["group"]),
        ("order_lines", ["22P02"]),
        ("orders", ["group"]),
    ]
    star(shop, tmp_path, lines=lines, max_rejects=2)
    assert there(shop) == ([1, 3, 4], [10, 11, 30, 40])


def test_a_dry_run_says_the_same_and_changes_nothing(shop: Database, tmp_path: Path) -> None:
    lines = LINES.replace("21,2,b,4", "21,2,b,13")
    tried = star(shop, tmp_path, lines=lines, dry_run=True)
    assert there(shop) == ([], [])
    done = star(shop, tmp_path, lines=lines)
    for table, result in done.items():
        assert (tried[table].inserted, tried[table].quarantined) == (
            result.inserted,
            result.quarantined,
        )


def test_a_corrected_group_is_replayed_whole_and_never_in_part(
    shop: Database, tmp_path: Path
) -> None:
    star(shop, tmp_path, lines=LINES.replace("21,2,b,4", "21,2,b,x"))
    ids = dict(
        ((table, line), reject)
        for table, line, reject in ask(
            shop, "select table_name, line, reject_id from penstock.rejects"
        )
    )
    header, first, bad = (
        ids[key] for key in (("orders", 3), ("order_lines", 4), ("order_lines", 5))
    )
    # The header alone: two lines wait still.
    result = replay_rejects(shop.url, ids=[header])
    assert (result.replayed, result.waiting) == (0, 1)
    assert there(shop)[0] == [1, 3, 4]
    told = ask(shop, f"select codes, reasons[1] from penstock.rejects where reject_id = {header}")
    assert told[0][0] == ["group"]
    assert f"#{first}, #{bad}" in told[0][1]
    # All of them, uncorrected: refused again.
    result = replay_rejects(shop.url, ids=[header, first, bad])
    assert (result.replayed, result.waiting) == (0, 3)
    # One line of them, corrected: refused, as the others wait.
    path = tmp_path / "corrected.csv"
    path.write_text(f"_id,line_id,order_no,sku,units\n{bad},21,2,b,4\n")
    result = replay_rejects(shop.url, path)
    assert (result.replayed, result.waiting) == (0, 1)
    assert there(shop)[1] == [10, 11, 30, 40]
    # The whole group, corrected.
    path.write_text(
        "_id,line_id,order_no,sku,units,day,total\n"
        f"{bad},21,2,b,4,,\n{first},20,2,a,3,,\n{header},,2,,,2024-01-02,6\n"
    )
    result = replay_rejects(shop.url, path)
    assert (result.replayed, result.waiting) == (3, 0)
    assert there(shop) == ([1, 2, 3, 4], [10, 11, 20, 21, 30, 40])


def test_what_was_discarded_of_a_group_keeps_nothing_waiting(
    shop: Database, tmp_path: Path
) -> None:
    star(shop, tmp_path, lines=LINES.replace("21,2,b,4", "21,2,b,x"))
    with shop.connect() as connection:
        connection.execute(
            "update penstock.rejects set status = 'discarded'"
            " where table_name = 'order_lines' and line = 5"
        )
    ids = [
        one
        for (one,) in ask(
            shop,
            "select reject_id from penstock.rejects "
            "where status = 'waiting' and table_name <> 'parcels'",
        )
    ]
    assert replay_rejects(shop.url, ids=ids).replayed == 2
    assert there(shop) == ([1, 2, 3, 4], [10, 11, 20, 30, 40])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("ordr_no", "no such column in .*Did you mean order_no"),
        ("note", "the input of orders has no column note"),
        ("paid", "of type boolean, which make no groups"),
        ("mail", "of type citext, which make no groups"),
        ("code", "integer in orders and text in lines|text in lines and integer in orders"),
    ],
)
def test_a_column_that_makes_no_groups_is_refused_before_anything_is_read(
    database: Database, tmp_path: Path, column: str, said: str
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create extension citext;"
            "create table orders (order_no int, note text, paid boolean, mail citext, code int);"
            "create table lines (order_no int, code text)"
        )
    (tmp_path / "orders.csv").write_text("order_no,paid,mail,code\n1,t,a,1\n")
    (tmp_path / "lines.csv").write_text("order_no,code\n1,1\n")
    with pytest.raises(UsageError, match=said):
        load_star(database.engine(), tmp_path, group=column)


def test_a_file_that_changes_between_two_readings_is_not_loaded(
    shop: Database, tmp_path: Path
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS.replace("2024-01-02", "x"))
    steps: list[str] = []

    def meddle(step: str) -> None:
        if step == "plan" and "copy" in steps:
            path.write_text(ORDERS)
        steps.append(step)

    with pytest.raises(SourceError, match="changed while it was being loaded"):
        load_table(shop.engine(), path, group="order_no", max_rejects="all", on_step=meddle)
    assert there(shop) == ([], [])


def test_placeholder_parents_are_made_only_for_whole_groups(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table items (sku text primary key, inferred boolean not null default false);"
            "create table sold (id int primary key, receipt int, sku text references items,"
            " units int)"
        )
    path = tmp_path / "sold.csv"
    path.write_text("id,receipt,sku,units\n1,1,a,1\n2,1,b,x\n3,2,c,1\n")
    result = load_table(
        database.engine(),
        path,
        group="receipt",
        orphans={"sku": "placeholder"},
        max_rejects="all",
    )
    assert (result.inserted, result.inferred, result.quarantined) == (1, 1, 2)
    assert ask(database, "select sku, inferred from items") == [("c", True)]
