"""A small shop for the fault tests: schema, files with known faults, and what must come of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

SCHEMA = """
drop table if exists sales, products;
drop schema if exists penstock cascade;
create table products (product_id int primary key, name text not null);
create table sales (
    sale_id bigint primary key, product_id int not null references products,
    sold date not null, units int not null, price numeric(8,2) not null,
    note varchar(40) constraint no_curses check (note <> 'curse'));
create index on sales (sold);
"""
#: Rows of the sales file: enough (over 1 MiB) for constraints to be taken off.
SALES = 40_000
#: Of them refused: an orphan, a bad date; and with `checked`, one that only the server refuses.
REFUSED = 2

DRIVER = Path(__file__).with_name("driver.py")
ROOT = DRIVER.parents[2]


def write_files(folder: Path, *, checked: bool) -> None:
    """`products.csv` and `sales.csv`; `checked` adds a row that fails a CHECK: the load stages."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "products.csv").write_text(
        "product_id,name\n" + "".join(f"{n},Product {n}\n" for n in range(1, 21)), encoding="utf-8"
    )
    lines = ["sale_id,product_id,sold,units,price,note"]
    for n in range(1, SALES + 1):
        product = 99 if n == 700 else n % 20 + 1
        day = "2024-02-30" if n == 800 else f"2024-01-{n % 28 + 1:02}"
        note = "curse" if checked and n == 900 else f"note {n}"
        lines.append(f"{n},{product},{day},{n % 9 + 1},{n % 500}.25,{note}")
    (folder / "sales.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Loads:
    """The driver, waiting for orders; each is carried out in a process of its own."""

    def __init__(self) -> None:
        self._driver = subprocess.Popen(
            [sys.executable, str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order: `returncode` and, of one that lives, `steps` and `error`."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(order) + "\n")
        self._driver.stdin.flush()
        ended: dict[str, Any] = json.loads(self._driver.stdout.readline())
        return ended

    def close(self) -> None:
        """No order follows."""
        self._driver.communicate(timeout=20)


def contents(url: str) -> tuple[int, int, int]:
    """Products, sales, and the sum of the sales' ids."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select (select count(*) from products), count(*), coalesce(sum(sale_id), 0)::bigint "
            "from sales"
        ).fetchone()
    assert row is not None
    return row


def await_true(question: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, f"still not so after {seconds} s: {what}"
        time.sleep(0.02)


def nothing_left_behind(url: str) -> None:
    """No session, lock, prepared work or temporary table of a load that is over."""
    with psycopg.connect(url, autocommit=True) as connection:

        def gone() -> bool:
            row = connection.execute(
                "select count(*) from pg_stat_activity where application_name = 'penstock'"
            ).fetchone()
            return row == (0,)

        await_true(gone, "the load's sessions have ended")
        # The server's own autovacuum may look after the new rows just now: it is nobody's load.
        locks = connection.execute(
            "select l.pid, l.mode, a.backend_type, a.query from pg_locks l "
            "left join pg_stat_activity a using (pid) "
            "where l.pid is distinct from pg_backend_pid() "
            "and l.relation in ('sales'::regclass, 'products'::regclass) "
            "and a.backend_type is distinct from 'autovacuum worker'"
        ).fetchall()
        temporary = connection.execute(
            "select count(*) from pg_class where relname like 'penstock\\_%' "
            "and relpersistence = 't'"
        ).fetchone()
    assert locks == []
    assert temporary == (0,)


def constraints(url: str) -> list[tuple[str, str]]:
    """Names and definitions of the constraints and indexes of sales."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select conname, pg_get_constraintdef(oid) from pg_constraint "
            "where conrelid = 'sales'::regclass union all "
            "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index "
            "where indrelid = 'sales'::regclass order by 1, 2"
        ).fetchall()


#: Of the kills of a way: every other step, beginning with another one for each way; and all.
EVERY = [
    pytest.param(False, id="every other step"),
    pytest.param(True, id="every step", marks=pytest.mark.slow),
]


def killed_at(steps: list[str], turn: int, *, every: bool) -> list[tuple[int, str]]:
    """The numbers and names of the steps at which a load is killed."""
    numbered = list(enumerate(steps))
    return numbered if every else numbered[turn % 2 :: 2]
