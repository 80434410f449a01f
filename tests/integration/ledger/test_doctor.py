"""The doctor says what is wrong with a database, and what to do; on databases made ill."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import load_table
from penstock.errors import UsageError
from penstock.ledger import doctor, install
from penstock.ledger.doctor import Finding, Level, examine
from penstock.ledger.runs import RunRecord, begin_run
from tests.fixtures.postgres import Database, Role

SHOP = """
create table customers (customer_id int primary key);
create table orders (order_id int primary key, customer_id int references customers);
"""


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


def grant(shop: Database, role: Role, *rights: str) -> None:
    with shop.connect() as connection:
        for right in rights:
            connection.execute(f'grant {right} to "{role.name}"'.encode())


def of(found: list[Finding], subject: str) -> list[tuple[str, str]]:
    return [(one.level.value, one.text) for one in found if one.subject == subject]


def test_an_owner_is_told_what_a_load_would_re_create(shop: Database) -> None:
    found = examine(shop.connect(), ["orders"])
    assert of(found, "orders") == [
        ("ok", "owned by this role; may SELECT, INSERT, UPDATE, DELETE, TRUNCATE"),
        ("ok", "a big load into the empty table re-creates orders_customer_id_fkey, orders_pkey"),
    ]
    assert ("warn", "not installed") in of(found, "ledger")
    assert not any(one.level is Level.FAIL for one in found)
    assert all(one.advice for one in found if one.level is not Level.OK)


def test_settings_that_lose_data_are_warned_of(shop: Database) -> None:
    connection = shop.connect()
    connection.execute("set synchronous_commit = off")
    said = [text for level, text in of(examine(connection), "server") if level == "warn"]
    assert any("synchronous_commit is off" in text for text in said)
    fsync = connection.execute("show fsync").fetchall()[0][0]
    assert any("fsync is off" in text for text in said) is (fsync == "off")


def test_a_read_only_session_cannot_load(shop: Database) -> None:
    connection = shop.connect()
    connection.execute("set default_transaction_read_only = on")
    assert ("fail", "it is set to read-only transactions") in of(examine(connection), "server")


def test_a_server_too_old_or_too_new_is_named(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    major = shop.connect().info.server_version // 10000
    monkeypatch.setattr(doctor, "SUPPORTED", range(major + 1, major + 2))
    assert any(" is too old" in text for level, text in of(examine(shop.connect()), "server"))
    monkeypatch.setattr(doctor, "SUPPORTED", range(major - 2, major))
    assert any(" is newer" in text for level, text in of(examine(shop.connect()), "server"))


def test_a_loader_is_told_which_rights_it_lacks(shop: Database) -> None:
    role = shop.role("etl")
    install.ensure(shop.connect(), shop.url)
    connection = shop.connect(role)
    found = examine(connection, ["orders"])
    assert of(found, "ledger") == [("fail", "this role may not read the penstock schema")]
    [text] = [said for level, said in of(found, "orders") if level == "fail"]
    assert text.endswith("no SELECT and no INSERT")
    grant(shop, role, "usage on schema penstock", "select on all tables in schema penstock")
    grant(shop, role, "usage on schema penstock", "insert on penstock.runs")
    [text] = [said for level, said in of(examine(connection), "ledger") if level == "fail"]
    assert text.startswith("this role lacks files: INSERT, files: UPDATE, loads: INSERT")
    assert "runs: INSERT" not in text


def test_a_loader_that_may_only_append_is_told_that_and_why_it_is_slow(shop: Database) -> None:
    role = shop.role("etl")
    grant(shop, role, "select, insert on orders")
    found = of(examine(shop.connect(role), ["orders"]), "orders")
    assert found[0][0] == "ok"
    assert found[0][1].endswith("may SELECT, INSERT (without TRUNCATE: mode append only)")
    assert found[1:] == [
        ("ok", "all constraints stay on, also in big loads: the role does not own the table"),
        (
            "warn",
            "no SELECT on public.customers, so orders_customer_id_fkey is checked row by row",
        ),
    ]


def test_an_owner_without_rights_on_the_parent_keeps_the_foreign_key(shop: Database) -> None:
    role = shop.role("etl")
    grant(shop, role, "select on customers", "usage, create on schema public")
    with shop.connect() as connection:
        connection.execute(f'alter table orders owner to "{role.name}"'.encode())
    found = of(examine(shop.connect(role), ["orders"]), "orders")
    assert ("ok", "orders_customer_id_fkey is kept: no REFERENCES on customers") in found
    assert found[-1] == (
        "warn",
        "no REFERENCES on public.customers, so orders_customer_id_fkey is checked row by row",
    )


def test_unlogged_tables_and_row_security_are_warned_of(shop: Database) -> None:
    role = shop.role("etl")
    with shop.connect() as connection:
        connection.execute(
            "alter table orders set unlogged; alter table orders enable row level security"
        )
    grant(shop, role, "select, insert, truncate on orders")
    found = of(examine(shop.connect(role), ["orders"]), "orders")
    assert ("warn", "it is unlogged: a crash of the server empties it") in found
    assert any("row security applies" in text for level, text in found if level == "warn")


def test_a_view_cannot_be_loaded(shop: Database) -> None:
    with shop.connect() as connection:
        connection.execute("create view v as select * from orders")
    assert ("fail", "it is no table") in of(examine(shop.connect(), ["v"]), "v")


def test_a_mistyped_table_is_answered_with_the_nearest(shop: Database) -> None:
    with pytest.raises(UsageError, match="Did you mean orders"):
        examine(shop.connect(), ["oders"])


def test_what_waits_and_what_was_cut_off_is_told(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id,customer_id\n1,\n2,7\n", encoding="utf-8")
    load_table(shop.url, path, max_rejects="all")
    working = shop.connect()
    run = RunRecord("load")
    begin_run(working, run, "")
    working.execute("update penstock.runs set backend_pid = 0 where status = 'running'")
    found = of(examine(shop.connect()), "ledger")
    assert found[0] == ("ok", f"revision {install.HEAD}, owned by {working.info.user}")
    assert ("warn", "1 row of orders waits in quarantine") in found
    assert any(f"run {run.run_id[:8]}" in text and "cut off" in text for _, text in found)


def test_an_old_transaction_in_the_way_is_named_with_its_pid(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = shop.connect()
    blocker.execute("set application_name = 'a forgotten window'")
    blocker.execute("begin")
    blocker.execute("select * from orders")
    assert [level for level, _ in of(examine(shop.connect(), ["orders"]), "locks")] == ["ok"]
    monkeypatch.setattr(doctor, "_LONG", 0.0)
    [(level, text)] = of(examine(shop.connect(), ["orders"]), "locks")
    assert level == "warn"
    assert f"pid {blocker.info.backend_pid}, a forgotten window; idle in transaction" in text
    assert "orders" in text
    assert [level for level, _ in of(examine(shop.connect(), ["customers"]), "locks")] == ["ok"]
    # A role that does not see others' sessions in full sees the lock.
    seen = of(examine(shop.connect(shop.role("etl")), ["orders"]), "locks")
    assert [level for level, _ in seen] == ["warn"]
    blocker.execute("rollback")
    assert [level for level, _ in of(examine(shop.connect(), ["orders"]), "locks")] == ["ok"]


def test_the_doctor_changes_nothing(shop: Database) -> None:
    connection = shop.connect()
    connection.execute("set default_transaction_read_only = on")
    examine(connection, ["orders", "customers"])
    assert install.revision(connection)["there"] is False
