"""Mail servers that refuse, are slow or go away: a run neither fails nor waits, and mails once."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from penstock import Etl, Job
from penstock.project.environment import choose
from tests.fixtures.mail import Mailbox
from tests.fixtures.postgres import Database

Flow = Callable[[], Etl]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def settings(mailbox: Mailbox) -> dict[str, Any]:
    """Of the mail server; a test may change them before it runs the flow."""
    return {**mailbox.settings, "timeout": 0.5}


@pytest.fixture
def flow(database: Database, settings: dict[str, Any], tmp_path: Path, said: list[str]) -> Flow:
    with database.connect() as connection:
        connection.execute("create table customers (id int primary key, name text not null)")
    folder = tmp_path / "data" / "import"
    folder.mkdir(parents=True)
    (folder / "customers.csv").write_text("id,name\n1,Ann\nx,Eve\n")

    def make() -> Etl:
        env = {
            "project": "shop",
            "drops": {"kind": "files", "folder": "data/import"},
            "mail": settings,
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        return Etl(env=choose(env, "dev", tmp_path), say=said.append)

    return make


def mailed_to(to: str) -> Callable[[Job], None]:
    def customers(job: Job) -> None:
        found = job.connect("drops").read("customers.csv")
        loaded = job.connect("warehouse").load(found, "customers", mode="upsert", max_rejects="all")
        job.catch(loaded, to=to)

    return customers


def customers(job: Job) -> None:
    found = job.connect("drops").read("customers.csv")
    job.catch(job.connect("warehouse").load(found, "customers", mode="upsert", max_rejects="all"))


def run(flow: Flow) -> tuple[int, float]:
    """Run the flow; its exit code, and how long that took."""
    began = time.monotonic()
    etl = flow()
    etl.start()
    etl.run(customers)
    return etl.end(), time.monotonic() - began


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def due(database: Database) -> None:
    """What waits to be sent need not wait longer."""
    assert rows(database, "update penstock.outbox set next_try = now() returning 1")


def assert_told_once(mailbox: Mailbox, database: Database) -> None:
    assert rows(database, "select sent_at is not null from penstock.outbox") == [(True,)]
    (message,) = {str(one["Message-ID"]): one for one in mailbox.messages}.values()
    (part,) = message.iter_attachments()
    refused = pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)
    assert refused["id"].to_list() == ["x"]
    assert rows(database, "select id from customers") == [(1,)]


def test_a_login_that_is_refused(
    flow: Flow, database: Database, settings: dict[str, Any], said: list[str]
) -> None:
    box, tried = Mailbox(), list[bytes]()

    def log_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        tried.append(data.password)
        return AuthResult(success=data.password == b"right", handled=False)

    controller = Controller(
        box, hostname="127.0.0.1", port=box.port, authenticator=log_in,
        auth_require_tls=False,
    )  # fmt: skip
    controller.start()
    try:
        settings.update(port=box.port, user="etl@example.com", password="wrong", timeout=20)
        assert run(flow)[0] == 3
        assert set(tried) == {b"wrong"}, said
        assert (
            f"warning: a mail waits in the outbox: smtp://127.0.0.1:{box.port} "
            "refused the login of etl@example.com" in said
        )
        assert not [line for line in said if "wrong" in line]
        assert rows(database, "select attempts, sent_at, error from penstock.outbox") == [
            (1, None, f"smtp://127.0.0.1:{box.port} refused the login of etl@example.com")
        ]
        settings.update(password="right")
        due(database)
        assert run(flow)[0] == 3
        assert_told_once(box, database)
        assert len(box.messages) == 1
    finally:
        controller.stop()


def test_a_server_that_is_slow(
    flow: Flow, database: Database, mailbox: Mailbox, said: list[str]
) -> None:
    mailbox.delay = 20
    code, seconds = run(flow)
    assert code == 3
    assert seconds < 10, "it is waited for no longer than the timeout"
    (warning,) = [line for line in said if line.startswith("warning")]
    assert "did not answer within 0.5 s" in warning
    mailbox.delay = 0
    due(database)
    assert run(flow)[0] == 3
    assert_told_once(mailbox, database)
    assert len(mailbox.messages) == 1


def test_a_server_that_takes_the_mail_and_goes_away_before_it_says_so(
    flow: Flow, database: Database, mailbox: Mailbox, said: list[str]
) -> None:
    mailbox.drops = True
    assert run(flow)[0] == 3
    assert len(mailbox.messages) == 1, "the fault fired: it was taken"
    assert [line for line in said if line.startswith("warning: a mail waits in the outbox: ")]
    assert rows(database, "select attempts, sent_at from penstock.outbox") == [(1, None)]
    mailbox.drops = False
    due(database)
    assert run(flow)[0] == 3
    assert len(mailbox.messages) == 2
    assert_told_once(mailbox, database)  # twice in the box, but one and the same


def test_nobody_listens(
    flow: Flow, database: Database, mailbox: Mailbox, settings: dict[str, Any], said: list[str]
) -> None:
    settings["port"] = 1
    assert run(flow)[0] == 3
    (warning,) = [line for line in said if line.startswith("warning")]
    assert "smtp://127.0.0.1:1 cannot be reached" in warning
    settings["port"] = mailbox.port
    due(database)
    assert run(flow)[0] == 3
    assert_told_once(mailbox, database)


def test_several_mails_wait_for_one_slow_server_no_longer_than_one_does(
    flow: Flow, database: Database, mailbox: Mailbox, said: list[str]
) -> None:
    etl = flow()
    etl.start()
    mailbox.delay = 20
    for to in ("a@example.com", "b@example.com", "c@example.com", "d@example.com"):

        def one(job: Job, to: str = to) -> None:
            found = job.connect("drops").read("customers.csv")
            found = found.with_columns(name=pl.lit(to))
            loaded = job.connect("warehouse").load(
                found, "customers", mode="upsert", max_rejects="all"
            )
            job.catch(loaded, to=to)

        one.__name__ = to[0]
        etl.run(one)
    began = time.monotonic()
    assert etl.end() == 3
    assert time.monotonic() - began < 4
    assert rows(database, "select count(*) from penstock.outbox where sent_at is null") == [(4,)]
    mailbox.delay = 0
    due(database)
    etl = flow()
    etl.start()
    assert etl.end() == 0
    assert sorted(str(one["To"]) for one in mailbox.messages) == [
        f"{name}@example.com" for name in "abcd"
    ]


def test_one_reader_whose_address_is_wrong_does_not_have_the_others_mailed_again(
    flow: Flow, database: Database, mailbox: Mailbox, settings: dict[str, Any], said: list[str]
) -> None:
    settings["to"] = ["data@example.com", "gone@example.com"]
    mailbox.unknown = "gone@example.com"
    for _ in range(3):
        assert run(flow)[0] == 3
        due(database)
    assert len(mailbox.messages) == 1
    assert [line for line in said if "gone@example.com" in line and "warning" in line]
    assert rows(database, "select recipients, attempts, sent_at from penstock.outbox") == [
        (["gone@example.com"], 3, None)
    ]
    mailbox.unknown = ""  # the address is there again: it alone gets the mail
    assert run(flow)[0] == 3
    assert_told_once(mailbox, database)
    assert len(mailbox.messages) == 2


def test_a_mail_that_is_sent_is_booked_before_the_next_one_is_sent(
    flow: Flow, database: Database, mailbox: Mailbox
) -> None:
    mailbox.refuse = "451 later"
    etl = flow()
    etl.start()
    for place, to in enumerate(("a@example.com", "b@example.com", "c@example.com")):
        job = mailed_to(to)
        job.__name__ = to[0]
        with database.connect() as connection:
            connection.execute("update penstock.rejects set mailed_at = null")
        etl.run(job, mail=True)
        assert rows(database, "select count(*) from penstock.outbox") == [(place + 1,)]
    mailbox.refuse = ""
    booked: list[int] = []

    def look() -> None:
        booked.append(
            rows(database, "select count(*) from penstock.outbox where sent_at is not null")[0][0]
        )

    mailbox.on_quit = look
    due(database)
    assert etl.end() == 3
    assert booked == [0, 1, 2], "each is booked when the next one goes: a kill repeats one"


@pytest.mark.parametrize("to", ["nobody_knows", "a@example.com\nBcc: evil@example.com", "x@"])
def test_a_wrong_address_of_a_job_tells_the_usual_ones_and_stops_neither_this_run_nor_the_next(
    flow: Flow, database: Database, mailbox: Mailbox, said: list[str], to: str
) -> None:
    for _ in range(2):
        etl = flow()
        etl.start()
        etl.run(mailed_to(to))
        assert etl.end() == 3
    assert_told_once(mailbox, database)
    assert [str(one["To"]) for one in mailbox.messages] == ["data@example.com"]
    (warning,) = [line for line in said if line.startswith("warning")]
    assert repr(to) in warning
    assert "data@example.com are told instead" in warning
    assert rows(database, "select distinct status from penstock.runs where kind = 'flow'") == [
        ("succeeded",)
    ]
