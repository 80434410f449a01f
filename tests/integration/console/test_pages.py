"""What pages show and do: runs and balances, rows put right, events worked on again."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import fastexcel
import psycopg
import pytest

from penstock import load_table
from penstock.errors import LoadError
from penstock.events.pipeline import Pipeline
from penstock.events.worker import drain
from tests.fixtures.postgres import Database
from tests.integration.console.conftest import Browser
from tests.integration.events.conftest import Shop, event, row_of


def one(shop: Database, query: str) -> object:
    with shop.connect() as connection:
        row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0] if len(row) == 1 else row


def audit(shop: Database) -> list[tuple[str, str, dict[str, object]]]:
    with shop.connect() as connection:
        return connection.execute(
            "select user_name, action, details from penstock.audit order by audit_id"
        ).fetchall()


def test_the_morning_page_says_what_needs_somebody(address: str, shop: Database) -> None:
    browser = Browser(address, "vic")
    text = browser.get("/").text
    assert "1 thing needs somebody" in text
    assert "goods: 3 rows wait in quarantine" in text
    with shop.connect() as connection:
        connection.execute("update penstock.rejects set status = 'discarded'")
    assert "All is well" in browser.get("/").text


def test_a_failed_flow_is_told_with_its_bars_until_it_succeeds(
    address: str, shop: Database
) -> None:
    insert = (
        "insert into penstock.runs (run_id, kind, command, status, started_at, finished_at, error) "
        "select gen_random_uuid(), 'flow', 'shop/main', %s, now() - %s * interval '1 min', "
        "now() - %s * interval '1 min' + interval '5 s', %s"
    )
    with shop.connect() as connection:
        for ago in range(40, 1, -1):
            connection.execute(insert, ["succeeded", ago, ago, None])
        connection.execute(insert, ["failed", 1, 1, "orders: <b>no such file</b>\nat all"])
    text = Browser(address, "vic").get("/").text
    assert "shop/main: orders: &lt;b&gt;no such file&lt;/b&gt;" in text
    assert text.count("<rect") == 30
    assert text.count('<rect class="failed"') == 1
    with shop.connect() as connection:
        connection.execute(insert, ["succeeded", 0, 0, None])
    assert "no such file" not in Browser(address, "vic").get("/").text


def test_a_run_shows_its_balance_without_what_was_rolled_back(
    address: str, shop: Database, tmp_path: Path
) -> None:
    path = tmp_path / "more.csv"
    path.write_text("id,name,price\n5,a,1\n6,b,2\n", encoding="utf-8")
    load_table(shop.engine(), path, "goods")
    path.write_text("id,name,price\n7,a,bad\n", encoding="utf-8")
    with pytest.raises(LoadError):
        load_table(shop.engine(), path, "goods")
    browser = Browser(address, "vic")
    listed = browser.get("/runs").text
    assert listed.count('<td><a href="/runs/') == 3
    assert browser.get("/runs?status=failed").text.count('<td><a href="/runs/') == 1
    assert "No run of that kind" in browser.get("/runs?text=nothing+like+it").text
    first = re.findall(r'href="/runs/([0-9a-f-]{36})"', listed)[-1]
    text = " ".join(re.sub(r"<[^>]+>", " ", browser.get(f"/runs/{first}").text).split())
    assert (
        "4 read = 1 inserted + 0 updated + 0 unchanged + 0 ignored + 0 filtered + 3 quarantined"
        in text
    )
    failed = str(one(shop, "select run_id from penstock.runs where status = 'failed'"))
    text = " ".join(re.sub(r"<[^>]+>", " ", browser.get(f"/runs/{failed}").text).split())
    assert "0 read = 0 inserted" in text


def test_runs_are_shown_page_by_page(address: str, shop: Database) -> None:
    with shop.connect() as connection:
        connection.execute(
            "insert into penstock.runs (run_id, kind, status, started_at) "
            "select gen_random_uuid(), 'load', 'succeeded', now() - n * interval '1 s' "
            "from generate_series(1, 120) n"
        )
    browser, seen, path = Browser(address, "vic"), list[str](), "/runs?kind=load"
    for _ in range(5):
        text = browser.get(path).text
        seen += re.findall(r'<td><a href="/runs/([0-9a-f-]{36})"', text)
        older = re.search(r'<a href="([^"]+)">Older</a>', text)
        if older is None:
            break
        path = older[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 121


def test_rows_are_shown_with_what_is_wrong_and_no_markup_of_theirs(address: str) -> None:
    text = Browser(address, "ola").get("/quarantine/rows?table=goods&column=price&code=22P02").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(re.findall(r'class="wrong"><span class="k">price', text)) == 3


def test_ticked_rows_are_discarded_with_a_reason_that_stays(address: str, shop: Database) -> None:
    browser = Browser(address, "ola")
    ids = re.findall(r'name="id" value="(\d+)"', browser.get("/quarantine/rows?table=goods").text)
    assert len(ids) == 3
    assert "Say why" in browser.post("/quarantine/discard", id=ids[0], table="goods").text
    assert "Tick the rows" in browser.post("/quarantine/discard", note="x", table="goods").text
    done = browser.post("/quarantine/discard", id=ids[:2], note="test rows", table="goods")
    assert done.status_code == 303
    assert (
        one(
            shop,
            "select count(*) from penstock.rejects where status = 'discarded' "
            "and note = 'test rows' and discarded_by ~ 'ola'",
        )
        == 2
    )
    said = {"table": "goods", "rows": 2, "note": "test rows"}
    assert audit(shop) == [("ola", "discard", said)]


def test_rows_are_exported_corrected_and_loaded_again(
    address: str, shop: Database, tmp_path: Path
) -> None:
    browser = Browser(address, "ola")
    answer = browser.get("/quarantine/export?table=goods&format=csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="rejects.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["price"] for row in rows] == ["x", "y", "z"]
    assert rows[2]["name"].startswith("'="), "no spreadsheet takes it for a formula"
    for number, row in enumerate(rows[:2]):
        row["price"] = f"{number + 1}.25"
    made = io.StringIO()
    writer = csv.DictWriter(made, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = made.getvalue().encode()

    def bring(**more: str) -> str:
        form = {"csrf": browser.token(), **more}
        file = {"file": ("../../corrected.csv", content)}
        return browser.client.post("/quarantine/replay", data=form, files=file).text

    tried = bring(**{"try": "1"})
    assert "Tried, and rolled back" in tried
    assert one(shop, "select count(*) from goods") == 1
    done = " ".join(re.sub(r"<[^>]+>", " ", bring()).split())
    assert "2 loaded 1 refused again" in done
    with shop.connect() as connection:
        held = connection.execute("select id, name, price::text from goods order by id").fetchall()
    assert held == [
        (1, "fine", "1.50"),
        (2, "bolt", "1.25"),
        (3, "<script>alert(1)</script>", "2.25"),
    ]
    assert one(shop, "select bool_and(balanced) from penstock.balance") is True
    assert [(who, what) for who, what, _ in audit(shop)] == [("ola", "export"), ("ola", "replay")]
    assert "1 row waits" in browser.get("/quarantine").text


def test_a_workbook_comes_back_as_a_workbook(address: str) -> None:
    answer = Browser(address, "ola").get("/quarantine/export?table=goods&format=xlsx")
    sheet = fastexcel.read_excel(answer.content).load_sheet(0).to_polars()
    assert sheet["price"].to_list() == ["x", "y", "z"]


def test_a_file_that_is_no_export_is_refused_in_words(address: str) -> None:
    browser = Browser(address, "ola")
    for name, content in (
        ("a.exe", b"MZ"),
        ("a.csv", b"id,price\n1,2\n"),
        ("a.xlsx", b"PK\x03\x04"),
    ):
        form = {"csrf": browser.token()}
        answer = browser.client.post(
            "/quarantine/replay", data=form, files={"file": (name, content)}
        )
        assert answer.status_code in (400, 503)
        assert "This was not done" in answer.text
        assert "Traceback" not in answer.text


def test_events_are_worked_on_again_or_discarded(address: str, shop: Database) -> None:
    events = Shop(shop.url)
    events.stage(event(1), event(2, qty="many"), event(3, qty="<i>few</i>"))
    pipeline = Pipeline(
        name="shop", target="events", key="event_id", time="occurred_at", transform=row_of
    )
    drain(pipeline, shop.url)
    browser = Browser(address, "ola")
    home = browser.get("/").text
    assert "shop/files: 2 events not in the table" in home
    assert "events: 2 rows wait" not in home, "they are the same"
    text = browser.get("/events?pipeline=shop").text
    assert "&lt;i&gt;few" in text
    assert "<i>few" not in text
    places = re.findall(r'name="event" value="([^"]+)"', text)
    assert len(places) == 2
    shown = browser.get(f"/events/{places[0]}").text
    raw = re.search(r"<pre>(.*?)</pre>", shown, re.DOTALL)
    assert raw is not None
    assert json.loads(html.unescape(raw[1]))["id"] in ("e2", "e3")
    assert browser.post("/events/discard", event=places[0], note="a test").status_code == 303
    assert browser.post("/events/requeue", all="1", pipeline="shop").status_code == 303
    drain(pipeline, shop.url)
    assert events.balance()["files"] == (3, 0, 0, 1, 1, 1, 0)
    assert [(who, what) for who, what, _ in audit(shop)] == [
        ("ola", "discard events"), ("ola", "requeue"),
    ]  # fmt: skip


def test_what_is_not_there_is_said_in_words(address: str) -> None:
    browser = Browser(address, "ann")
    for path in (
        "/runs/zz",
        "/runs/00000000",
        "/quarantine/rows",
        "/runs?before=yesterday",
        "/runs?status=odd",
        "/events/9/9",
    ):
        answer = browser.get(path)
        assert answer.status_code in (400, 503), path
        assert "This was not done" in answer.text
    assert browser.get("/quarantine/rows?table=no.such.table.at.all").status_code in (200, 400)


def test_a_database_that_went_away_is_said_and_comes_back(address: str, shop: Database) -> None:
    browser = Browser(address, "vic")
    assert browser.get("/").status_code == 200
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    assert browser.get("/").status_code == 200
