"""kill -9 at every named step in every mode, then the same again: same result as without.

Small tables: what is at stake is what each mode does, not how much. Large loads that take
constraints off are killed in `test_kill_at_every_step`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.driver import carry_out
from tests.faults.shop import EVERY, Loads, killed_at, nothing_left_behind
from tests.fixtures.postgres import OwnCluster

SCHEMA = """
drop table if exists sales, products, prices;
drop schema if exists penstock cascade;
create table products (product_id int primary key, name text not null default '?',
    inferred boolean not null default false);
create table sales (
    sale_id int primary key, product_id int not null references products, day date not null,
    units int not null constraint no_thirteen check (units <> 13), note text,
    active boolean not null default true);
create table prices (product_id int, price numeric(8,2) not null, valid_from date not null,
    valid_to date, is_current boolean not null, primary key (product_id, valid_from));
"""
#: Before each load: sales 1 to 50 of the old year, 51 to 100 of the new one.
ROWS = """
truncate sales, products, prices;
insert into products select n, 'old ' || n from generate_series(1, 20) n;
insert into sales select n, n % 20 + 1,
    case when n > 50 then date '2024-01-01' + n % 28 else date '2023-12-31' end, n % 9, 'note ' || n
    from generate_series(1, 100) n;
insert into prices select n, n, '2023-01-01', null, true from generate_series(1, 20) n;
"""
TABLES = ("products", "sales", "prices")
#: Rows of each file of sales that are refused: an orphan, no date, and what only the server sees.
REFUSED = 3


def sale(number: int) -> str:
    product = 99 if number == 300 else number % 20 + 1
    day = "2024-02-30" if number == 301 else f"2024-01-{number % 28 + 1:02}"
    units = 13 if number == 302 else number % 9
    note = "changed" if number % 7 == 0 else f"note {number}"
    return f"{number},{product},{day},{units},{note}"


def write_files(folder: Path) -> None:
    head = "sale_id,product_id,day,units,note"
    files = {"mixed": range(51, 651), "new": range(201, 801)}
    for name, numbers in files.items():
        lines = [head, *map(sale, numbers)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "products.csv").write_text(
        "product_id,name\n" + "".join(f"{n},New {n}\n" for n in range(5, 41)), encoding="utf-8"
    )
    (folder / "prices.csv").write_text(
        "product_id,price,valid_from\n"
        + "".join(f"{n},{n + k % 2},2024-0{k}-01\n" for k in (1, 2, 3) for n in range(1, 31))
        + "31,x,2024-01-01\n",
        encoding="utf-8",
    )


def load(name: str, table: str, **options: Any) -> dict[str, Any]:
    return {"source": name, "table": table, "options": {"max_rejects": 5, **options}}


#: Way -> what is done, and how many rejects wait in the end.
WAYS: dict[str, tuple[dict[str, Any], int]] = {
    "append": (load("new.csv", "sales"), REFUSED),
    "append, placeholders": (
        load("new.csv", "sales", orphans={"product_id": "placeholder"}), REFUSED - 1,
    ),
    "truncate": (load("mixed.csv", "sales", mode="truncate"), REFUSED),
    "insert_new": (load("mixed.csv", "sales", mode="insert_new"), REFUSED),
    "upsert": (load("mixed.csv", "sales", mode="upsert"), REFUSED),
    "sync": (load("mixed.csv", "sales", mode="sync", max_deletes="all"), REFUSED),
    "sync, marked": (
        load("mixed.csv", "sales", mode="sync", missing={"active": False}, max_deletes="all"),
        REFUSED,
    ),
    "replace_range": (
        load("mixed.csv", "sales", mode="replace_range",
             within={"day": "2024-01-01..2024-01-31"}, allow_shrink=True),
        REFUSED,
    ),
    "scd2": (load("prices.csv", "prices", mode="scd2", key=["product_id"]), 1),
    "replay": ({"replay": "sales", "options": {}}, REFUSED - 1),
    "unit": (
        {
            "unit": [["products.csv", "products", {"mode": "upsert"}], ["new.csv", "sales", {}]],
            "options": {"max_rejects": 5},
        },
        REFUSED,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def loads() -> Iterator[Loads]:
    made = Loads()
    yield made
    made.close()


def reset(url: str, way: str, folder: Path) -> None:
    """The rows and the ledger as they are before each load of that way."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ROWS)
        ledger = connection.execute(
            "select coalesce(string_agg(format('penstock.%I', tablename), ', '), '') "
            "from pg_tables where schemaname = 'penstock' and tablename !~ 'version'"
        ).fetchone()
        if ledger is not None and ledger[0]:
            connection.execute(f"truncate {ledger[0]} cascade".encode())
    if way == "replay":
        first = load(str(folder / "new.csv"), "sales")
        carry_out({"url": url, **first})
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("insert into products values (99, 'late')")


def state(url: str) -> list[object]:
    """All rows of all tables, and what waits."""
    found: list[object] = []
    with psycopg.connect(url) as connection:
        for table in TABLES:
            query = (
                f"select count(*), md5(string_agg(t::text, ';' order by t::text)) from {table} t"
            )
            found.append(connection.execute(query.encode()).fetchone())
        if connection.execute("select to_regclass('penstock.rejects')").fetchone() != (None,):
            waiting = "select line, codes, times from penstock.rejects where status = 'waiting' "
            found.append(connection.execute((waiting + "order by line").encode()).fetchall())
    return found


def ledger_is_true(url: str, waiting: int, step: str) -> None:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select (select bool_and(balanced) from penstock.balance), "
            "(select count(*) from penstock.rejects where status = 'waiting'), "
            "(select count(*) from penstock.runs where status = 'running')"
        ).fetchone()
    assert found == (True, waiting, 0), f"killed at {step}"


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_step_and_run_again_ends_as_if_never_killed(
    own_cluster: OwnCluster, tmp_path: Path, loads: Loads, way: str, every: bool
) -> None:
    url = own_cluster.url
    write_files(tmp_path)
    what, waiting = WAYS[way]
    order = {"url": url, **what}
    if "source" in order:
        order["source"] = str(tmp_path / order["source"])
    if "unit" in order:
        order["unit"] = [[str(tmp_path / name), *rest] for name, *rest in order["unit"]]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)

    reset(url, way, tmp_path)
    before = state(url)
    clean = loads.run(order)
    assert clean.get("error") == "", clean
    after, steps = state(url), clean["steps"]
    assert after[:3] != before[:3], "rows flowed"
    ledger_is_true(url, waiting, "no step")

    for number, step in killed_at(steps, list(WAYS).index(way), every=every):
        reset(url, way, tmp_path)
        before = state(url)
        marker = tmp_path / "marker"
        marker.unlink(missing_ok=True)
        killed = loads.run(order | {"die_at": number, "marker": str(marker)})
        assert killed == {"returncode": -9}, step
        assert marker.read_text(encoding="utf-8") == step, "the fault fired where it should"
        nothing_left_behind(url)
        expected = after if step == "committed" else before
        assert state(url) == expected, f"killed at {number}, {step}"
        carry_out(order)
        again = state(url)
        assert again[:3] == after[:3], f"run again after {number}, {step}"
        nothing_left_behind(url)
        ledger_is_true(url, waiting, step)
