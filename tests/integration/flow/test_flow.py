"""Flows on a real database, with a real mail server."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import Etl, Job
from penstock.errors import TryAgain, UsageError
from penstock.ledger.flows import FlowRun
from penstock.project.environment import choose
from tests.fixtures.mail import Mailbox
from tests.fixtures.postgres import Database

Project = Callable[..., Etl]
TABLES = """
create table customers (id int primary key, name text not null, parent int references customers);
create table offers (
    id int primary key, customer int not null references customers, amount numeric(8,2));
"""


@pytest.fixture
def project(database: Database, mailbox: Mailbox, tmp_path: Path) -> Project:
    with database.connect() as connection:
        connection.execute(TABLES)
    (tmp_path / "data" / "import").mkdir(parents=True)

    def make(**more: Any) -> Etl:
        env = {
            "project": "shop",
            "drops": {"kind": "files", "folder": "data/import"},
            "mail": mailbox.settings,
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        said: list[str] = []
        etl = Etl(
            env=choose({**env, **more.pop("env", {})}, "dev", tmp_path), say=said.append, **more
        )
        return etl

    return make


def drop(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "data" / "import" / name).write_text(text, encoding="utf-8")


def customers(job: Job) -> None:
    rows = job.connect("drops").read("customers*.csv")
    job.catch(job.connect("warehouse").load(rows, "customers", mode="upsert", max_rejects="all"))


def offers(job: Job) -> None:
    rows = job.connect("drops").read("offers*.csv")
    loaded = job.connect("warehouse").load(rows, "offers", mode="upsert", max_rejects="all")
    job.catch(loaded, to="sales@example.com")


def fails(job: Job) -> None:
    raise ValueError("the wheel came off")


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def attached(message: Any) -> pl.DataFrame:
    (part,) = message.iter_attachments()
    return pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)


def test_a_flow_loads_tells_what_was_refused_once_and_keeps_the_books(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n2,Bob\nx,Eve\n3,\n")
    drop(tmp_path, "offers.csv", "id,customer,amount\n1,1,5.00\n2,9,6.00\n")
    etl = project()
    etl.start()
    outcome = etl.run(customers, offers)
    moved = etl.backup()
    assert etl.end() == 3

    assert not outcome.failed
    assert rows(database, "select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]
    assert rows(database, "select id from offers") == [(1,)]
    assert rows(
        database,
        "select number, job, status, extracted, loaded, rejected, dropped "
        "from penstock.jobs order by number",
    ) == [(1, "customers", "succeeded", 4, 2, 2, 0), (2, "offers", "succeeded", 2, 1, 1, 0)]
    assert rows(database, "select status from penstock.runs where kind = 'flow'") == [
        ("succeeded",)
    ]
    assert rows(
        database, "select job from penstock.runs where part_of is not null order by started_at"
    ) == [("customers",), ("offers",)]

    by_reader = {str(one["To"]): one for one in mailbox.messages}
    assert set(by_reader) == {"data@example.com", "sales@example.com"}
    told = by_reader["data@example.com"]
    assert told["Subject"] == "[shop/main dev] 2 rows refused"
    refused = attached(told)
    assert refused["id"].to_list() == ["x", "3"]
    assert attached(by_reader["sales@example.com"])["customer"].to_list() == ["9"]
    plain = told.get_body(("plain",))
    assert plain is not None
    assert "2 rows were refused" in plain.get_content()

    assert [gzip.decompress(one.read_bytes())[:2] for one in moved] == [b"id", b"id"]
    manifest = json.loads((moved[0].parent / "manifest.json").read_text())
    assert [one["file"] for one in manifest] == ["customers.csv", "offers.csv"]
    assert not list((tmp_path / "data" / "import").glob("*.csv"))


def test_a_failed_job_skips_those_after_it_and_leaves_others_alone(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n")
    etl = project()
    etl.start()
    first = etl.run(fails, offers)
    second = etl.run(customers)
    assert etl.backup() == [], "the next run finds the files again"
    assert etl.end() == 1

    assert [one.record.status for one in first.results] == ["failed", "skipped"]
    assert first.results[1].record.error == "fails failed"
    assert not second.failed
    (message,) = mailbox.messages
    assert message["Subject"] == "[shop/main dev] failed: fails: ValueError: the wheel came off"
    text = message.get_body(("plain",))
    assert text is not None
    assert "not done: offers" in text.get_content()
    assert rows(database, "select status from penstock.runs where kind = 'flow'") == [("failed",)]


def test_the_same_failure_is_told_once_and_its_end_is_told(
    project: Project, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n")
    for jobs in ((fails,), (fails,), (customers,), (customers,)):
        etl = project()
        etl.start()
        etl.run(*jobs)
        etl.end()
    subjects = [str(one["Subject"]) for one in mailbox.messages]
    assert [one.partition("] ")[2] for one in subjects] == [
        "failed: fails: ValueError: the wheel came off",
        "works again",
    ]


def test_a_run_that_leaves_jobs_out_does_not_tell_that_they_work_again(
    project: Project, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n")
    etl = project()
    etl.start()
    etl.run(customers)
    etl.run(fails)
    etl.end()
    assert len(mailbox.messages) == 1
    part = project(chosen=frozenset({"customers"}))
    part.start()
    part.run(customers)
    part.run(fails)
    assert part.end() == 0
    assert len(mailbox.messages) == 1


def test_a_mail_server_that_is_down_stops_nothing_and_the_mail_goes_later(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\nx,Eve\n1,Ann\n")
    mailbox.refuse = "451 try later"
    etl = project()
    etl.start()
    etl.run(customers)
    assert etl.end() == 3
    assert mailbox.messages == []
    assert rows(database, "select sent_at, attempts from penstock.outbox") == [(None, 1)]

    mailbox.refuse = ""
    rows(database, "update penstock.outbox set next_try = now() returning 1")
    etl = project()
    etl.start()
    assert etl.end() == 0
    assert [str(one["Subject"]) for one in mailbox.messages] == ["[shop/main dev] 1 row refused"]


def test_a_row_is_mailed_once_however_often_it_comes(
    project: Project, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\nx,Eve\n1,Ann\n")
    for _ in range(2):
        etl = project()
        etl.start()
        etl.run(customers)
        etl.end()
    assert len(mailbox.messages) == 1


def test_a_mail_tells_five_reasons_says_how_many_more_and_which_rows_only_wait(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    names = [f"c{number}" for number in range(7)]
    columns = ", ".join(f"{name} int" for name in names)
    with database.connect() as connection:
        connection.execute(
            f"create table wide (id int primary key, {columns});"
            "create table parts (id int primary key, whole int references parts, n int)".encode()
        )
    lines = [f"id,{','.join(names)}"]
    for number in range(7):  # column c0 refuses 7 rows, c1 refuses 6, and so on to 1
        for place in range(7 - number):
            fields = ["x" if at == number else "1" for at in range(7)]
            lines.append(f"{number * 10 + place},{','.join(fields)}")
    lines.append("99,1,1,1,1,1,1,1")
    drop(tmp_path, "wide.csv", "\n".join(lines) + "\n")
    drop(tmp_path, "parts.csv", "id,whole,n\n1,,1\n2,7,1\n3,8,1\n4,,x\n")

    def load(job: Job) -> None:
        for name, orphans in (("wide", {}), ("parts", {"whole": "wait"})):
            found = job.connect("drops").read(f"{name}.csv")
            options: dict[str, Any] = {"mode": "upsert", "max_rejects": "all", "orphans": orphans}
            job.catch(job.connect("warehouse").load(found, name, **options))

    etl = project()
    etl.start()
    etl.run(load)
    etl.end()
    (message,) = mailbox.messages
    body = message.get_body(("plain",))
    assert body is not None
    told = " ".join(body.get_content().split())
    assert "7 c0: " in told
    assert "3 c4: " in told
    assert "c5: " not in told
    assert "and 3 more rows, for 2 other reasons" in told
    assert "2 whole: " in told
    assert "(they wait for their parents; they are tried again by themselves)" in told
    assert told.count("by themselves") == 1
    html = message.get_body(("html",))
    assert html is not None
    assert "and 3 more rows, for 2 other reasons" in html.get_content()


def test_two_runs_of_one_flow_never_overlap(project: Project, database: Database) -> None:
    first, second = project(), project()
    first.start()
    with pytest.raises(TryAgain, match=r"shop/main runs already \(run .*, process \d+ on "):
        second.start()
    assert first.end() == 0
    third = project()
    third.start()
    assert third.end() == 0


def test_a_run_whose_process_is_gone_is_closed_by_the_next(
    project: Project, database: Database
) -> None:
    etl = project()
    etl.start()
    etl.end()
    dead = FlowRun("shop/main")
    rows(
        database,
        f"insert into penstock.runs (run_id, kind, command) values ('{dead.run_id}', 'flow', "
        "'shop/main') returning 1",
    )
    rows(
        database,
        f"update penstock.flow_locks set run_id = '{dead.run_id}', process = 4194304 returning 1",
    )
    again = project()
    again.start()
    again.end()
    assert rows(database, f"select status from penstock.runs where run_id = '{dead.run_id}'") == [
        ("interrupted",)
    ]


def test_rows_that_reach_no_load_are_booked_and_named(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n2,Bob\n3,Cy\n4,Di\n")

    def some(job: Job) -> None:
        found = job.connect("drops").read("*.csv")
        job.drop(found.filter(pl.col("name") == "Bob"), because="Bob left")
        job.connect("warehouse").load(
            found.filter(pl.col("name").is_in(["Ann", "Cy"])), "customers"
        )

    etl = project()
    etl.start()
    (result,) = etl.run(some).results
    etl.end()
    assert result.record.extracted == 4
    assert result.record.dropped == 2
    ((details,),) = rows(database, "select details from penstock.jobs")
    assert details["dropped"] == {"Bob left": 1, "lost in TRANSFORM": 1}
    assert "record 4" in details["notes"][0]


def test_lost_rows_fail_a_strict_flow(project: Project, tmp_path: Path) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n2,Bob\n")

    def loses(job: Job) -> None:
        job.connect("drops").read("*.csv")

    etl = project(env={"strict": True})
    etl.start()
    (result,) = etl.run(loses).results
    assert etl.end() == 1
    assert result.record.error is not None
    assert "2 rows were read and reached no load" in result.record.error


def test_rows_that_were_aggregated_are_not_lost(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n1,Ann\n2,Bob\n")

    def sums(job: Job) -> None:
        found = job.connect("drops").read("*.csv")
        made = found.group_by("id", maintain_order=True).agg(pl.col("name").first())
        job.connect("warehouse").load(made, "customers")

    etl = project(env={"strict": True})
    etl.start()
    (result,) = etl.run(sums).results
    assert etl.end() == 0, result.record.error
    assert (result.record.extracted, result.record.loaded, result.record.dropped) == (3, 2, 0)
    assert result.notes == ("customers: aggregated 3 -> 2",)


def test_what_was_refused_before_ctrl_c_is_told(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\nx,Eve\n1,Ann\n")

    def stopped(job: Job) -> None:
        raise KeyboardInterrupt

    etl = project()
    etl.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        etl.run(customers, stopped)
    etl.abandon(caught.value)
    assert [str(one["Subject"]) for one in mailbox.messages] == ["[shop/main dev] 1 row refused"]
    assert rows(database, "select status from penstock.runs where kind = 'flow'") == [
        ("interrupted",)
    ]


def test_a_flow_that_forgets_its_end_is_ended(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\nx,Eve\n1,Ann\n")
    etl = project()
    etl.start()
    etl.run(customers)
    etl.finish()
    assert etl.exit_code == 3
    etl.finish()
    assert rows(database, "select run_id from penstock.flow_locks") == [(None,)]


def test_a_dry_run_changes_nothing_and_mails_nothing(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\nx,Eve\n")
    etl = project(dry_run=True)
    etl.start()
    etl.run(customers)
    assert etl.backup() == []
    etl.end()
    assert rows(database, "select count(*) from customers") == [(0,)]
    assert mailbox.messages == []
    (status,) = rows(database, "select status from penstock.runs where kind = 'flow'")
    assert status == ("dry_run",)

    again = project(resume=etl.run_id[:8])  # nothing of it was done
    again.start()
    again.run(customers)
    again.end()
    assert rows(database, "select count(*) from customers") == [(1,)]


def test_a_run_that_is_resumed_leaves_out_what_was_done(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name\n1,Ann\n")
    etl = project()
    etl.start()
    etl.run(customers, fails)
    assert etl.end() == 1
    again = project(resume=etl.run_id[:8])
    again.start()
    outcome = again.run(customers, offers)
    assert [one.record.job for one in outcome.results] == ["offers"]
    assert again.end() == 0


def test_secrets_are_not_in_the_log(project: Project, tmp_path: Path, database: Database) -> None:
    def tells(job: Job) -> None:
        raise ValueError(f"password was {job.env['crm']['password'].reveal()}")

    etl = project(env={"crm": {"password": "geheimes-wort"}})
    etl.start()
    etl.run(tells)
    etl.end()
    (log,) = (tmp_path / "logs").glob("*.jsonl")
    assert "geheimes-wort" not in log.read_text()
    assert "password was ***" in log.read_text()


def test_nothing_can_be_done_before_the_start_or_after_the_end(project: Project) -> None:
    etl = project()
    with pytest.raises(UsageError, match=r"etl\.start"):
        etl.run(customers)
    etl.start()
    etl.end()
    with pytest.raises(UsageError, match=r"etl\.start"):
        etl.run(customers)


def test_rows_that_a_killed_run_refused_are_told_by_the_next_one(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    drop(tmp_path, "customers.csv", "id,name,parent\n1,a,\nx,b,\n")
    killed = project()
    killed.start()
    with pytest.raises(SystemExit):  # as far as the ledger knows, the process is gone by now
        killed.run(stops_after_its_load)
    assert mailbox.messages == []
    (tmp_path / "data" / "import" / "customers.csv").write_text("id,name,parent\n2,c,\ny,d,\n")
    killed._close(9)
    again = project()
    again.start()
    outcome = again.run(customers)
    again.end()

    (file,) = outcome.error_files
    assert rows(database, "select bad_values[1] from penstock.rejects order by 1") == [
        ("x",),
        ("y",),
    ]
    assert file.rows == 2
    assert len(mailbox.messages) == 1
    assert rows(database, "select count(*) from penstock.rejects where mailed_at is null") == [(0,)]


def stops_after_its_load(job: Job) -> None:
    customers(job)
    raise SystemExit(9)


stops_after_its_load.__name__ = "customers"
