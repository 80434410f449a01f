"""Sending rows to an API over real HTTP: the oracle is what the server wrote down."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock import Field, Job, Map
from penstock.connectors.registry import connector
from penstock.connectors.rest.connector import Rest
from penstock.errors import ConnectorError, UsageError
from penstock.flow.etl import Etl
from penstock.flow.sent import Sent
from penstock.ledger import install
from penstock.model.batch import ROW
from penstock.project.environment import choose
from tests.fixtures.api import Api, Asked, Reply
from tests.fixtures.mail import Mailbox
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock


class Crm:
    """Companies by external key, as a CRM keeps them; single and batch endpoints.

    Attributes:
        held: External key -> the record with its id.
        writes: External keys in the order in which they were written.
        lose: How many writes are done without an answer that says so.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.held: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.lose: list[Reply] = []
        api.on("POST", "/companies")(self.create)
        api.on("PUT", "/companies/*")(self.upsert)
        api.on("GET", "/companies")(self.find)
        api.on("POST", "/companies/batch")(self.batch)
        api.on("PUT", "/links/*")(lambda asked: Reply(None, 204))

    def write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        key = record["code"]
        new = key not in self.held
        number = len(self.held) + 1 if new else self.held[key]["id"]
        self.held[key] = {**record, "id": number}
        self.writes.append(key)
        return {"id": number, "code": key, "new": new}

    def create(self, asked: Asked) -> Any:
        record = asked.body
        if record["name"] == "bad":
            return Reply({"error": {"message": "name is bad"}}, 422)
        if record["code"] in self.held:
            return Reply({"message": "exists"}, 409)
        done = self.write(record)
        return self.lose.pop(0) if self.lose else Reply(done, 201)

    def upsert(self, asked: Asked) -> Any:
        record = {**asked.body, "code": asked.path.removeprefix("/companies/")}
        if record["name"] == "bad":
            return Reply({"errors": [{"message": "name is bad"}]}, 400)
        done = self.write(record)
        return self.lose.pop(0) if self.lose else Reply(done, 201 if done["new"] else 200)

    def find(self, asked: Asked) -> Any:
        one = self.held.get(asked.params["code"])
        return {"data": [] if one is None else [one]}

    def batch(self, asked: Asked) -> Any:
        if any(one["name"] == "poison" for one in asked.body["inputs"]):
            return Reply({"message": "the batch is not valid"}, 400)
        entries = []
        for one in asked.body["inputs"]:
            if one["name"] == "bad":
                entries.append({"success": False, "errors": [{"message": "name is bad"}]})
            else:
                entries.append({"success": True, **self.write(one)})
        return self.lose.pop(0) if self.lose else {"results": entries}


@pytest.fixture
def crm(api: Api) -> Crm:
    return Crm(api)


FIND = {"path": "/companies", "params": {"code": "{code}"}, "records": "data"}
MODULE = {
    "find": FIND,
    "create": {"path": "/companies", "key": "code"},
    "upsert": {"path": "/companies/{code}", "key": "code"},
    "link": {"path": "/links/{code}/{parent}", "key": ["code", "parent"]},
}
BATCH = {
    "path": "/companies/batch",
    "method": "POST",
    "key": "code",
    "size": 3,
    "body": {"inputs": "{records}"},
    "answers": "results",
    "accepted": "success",
    "created": "new",
}
Send = Callable[..., Sent]


class Sender:
    def __init__(self, api: Api, database: Database, tmp_path: Path) -> None:
        self.api, self.database, self.folder = api, database, tmp_path
        self.jobs: list[Job] = []
        self.made: list[Rest] = []
        with database.connect() as connection:
            install.ensure(connection, database.url)

    def job(self, module: Mapping[str, Any] = MODULE, **settings: Any) -> Job:
        given = {"base_url": self.api.url, "backoff": 0.01, "timeout": 5, "kind": "rest"}
        crm = connector("crm", {**given, **settings, "modules": {"companies": module}})
        assert isinstance(crm, Rest)
        self.made.append(crm)
        env = choose({"project": "shop", "dev": {}}, "dev", self.folder)

        job = Job(
            "companies",
            env,
            {"crm": crm},
            flow="shop/main",
            ledger=lambda: psycopg.connect(self.database.url, autocommit=True),
        )
        self.jobs.append(job)
        return job

    def __call__(
        self, rows: pl.DataFrame, *, job: Job | None = None, mode: str = "create", **options: Any
    ) -> Sent:
        used = job or self.job()
        return used.connect("crm").send(rows, "companies", mode=mode, **options)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.connect() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def send(api: Api, database: Database, tmp_path: Path) -> Iterator[Sender]:
    sender = Sender(api, database, tmp_path)
    yield sender
    for one in sender.made:
        one.close()


def firms(*codes: str, **names: str) -> pl.DataFrame:
    return (
        pl.DataFrame(
            {"code": list(codes), "name": [names.get(code, f"Firm {code}") for code in codes]},
            schema={"code": pl.String, "name": pl.String},
        )
        .with_row_index(ROW, 1)
        .with_columns(pl.col(ROW).cast(pl.Int64))
    )


def outcomes(sent: Sent) -> list[tuple[str, str]]:
    return list(sent.responses().select("key", "outcome").iter_rows())


def test_single_records_are_created_and_every_row_is_told(crm: Crm, send: Sender) -> None:
    job = send.job()
    sent = send(firms("a", "b", "c", b="bad"), job=job)
    assert crm.writes == ["a", "c"]
    assert sent.responses().to_dicts() == [
        {"_row": 1, "key": "a", "outcome": "sent", "target_id": "1", "code": "", "reason": ""},
        {"_row": 2, "key": "b", "outcome": "refused", "target_id": "", "code": "422",
         "reason": "name is bad"},
        {"_row": 3, "key": "c", "outcome": "sent", "target_id": "2", "code": "", "reason": ""},
    ]  # fmt: skip
    assert dict(sent.counts) == {
        "sent": 2, "unchanged": 0, "refused": 1, "unknown": 0, "not_sent": 0,
    }  # fmt: skip
    assert send.ask("select kind, command, target, status from penstock.runs") == [
        ("send", "crm companies", crm.api.url, "succeeded")
    ]
    assert send.ask(
        "select schema_name, table_name, mode, status, read, inserted, updated, unchanged, "
        "quarantined from penstock.loads"
    ) == [("rest:crm", "companies", "create", "succeeded", 3, 2, 0, 0, 1)]
    assert send.ask(
        "select status, key, codes, reasons, raw_values::text from penstock.rejects"
    ) == [("waiting", ["b"], ["422"], ["name is bad"], '{"code":"b","name":"bad"}')]
    assert send.ask("select balanced from penstock.balance") == [(True,)]
    assert job.tally.counts() == {"loaded": 2, "rejected": 1}


def test_upserts_say_what_is_new_and_the_key_stands_in_the_path(crm: Crm, send: Sender) -> None:
    crm.write({"code": "a/1", "name": "old"})
    sent = send(firms("a%2F1"), mode="upsert")
    sent = send(firms("a%2F1", "b"), mode="upsert")
    assert (sent.result.inserted, sent.result.updated) == (1, 1)
    assert crm.api.calls("/companies/b")[0].body == {"name": "Firm b"}, "the key is in the path"
    assert send.ask("select key, target_id, hash is not null, pending from penstock.sent") == [
        ("a%2F1", "2", True, None),
        ("b", "3", True, None),
    ]


def test_values_are_sent_exactly(crm: Crm, send: Sender) -> None:
    frame = pl.DataFrame(
        {
            "code": ["a"],
            "name": ["Ä\n\u20ac"],
            "amount": [Decimal("0.10")],
            "count": [2**62],
            "share": [0.5],
            "yes": [True],
            "none": [None],
            "day": [pl.Series(["2026-03-29"]).str.to_date()[0]],
            "tags": [["x", "y"]],
            "deep": [{"k": 1}],
        }
    )
    job = send.job()
    sent = send(frame, job=job)
    assert crm.api.calls("/companies", "POST")[0].body == {
        "code": "a", "name": "Ä\n\u20ac", "amount": "0.10", "count": 2**62, "share": 0.5,
        "yes": True, "none": None, "day": "2026-03-29", "tags": ["x", "y"], "deep": {"k": 1},
    }  # fmt: skip
    assert sent.responses()[ROW].to_list() == [None]
    assert job.tally.notes == ["crm companies: aggregated 0 -> 1"]


def test_what_cannot_be_sent_is_refused_before_it_is(crm: Crm, send: Sender) -> None:
    frame = firms("a", "", "c", "d").with_columns(share=pl.Series([1.0, 1.0, float("nan"), 2.0]))
    sent = send(frame, mode="upsert")
    assert crm.writes == ["a", "d"]
    assert sent.responses().select("outcome", "code", "reason").rows()[1:3] == [
        ("refused", "no_key", "code: the key code is empty"),
        ("refused", "type", "share: nan is no number in JSON"),
    ]


def test_a_map_makes_the_fields_and_its_faults_are_rejects(crm: Crm, send: Sender) -> None:
    frame = firms("a", "b").rename({"code": "NO", "name": "NAME"})
    frame = frame.with_columns(NAME=pl.Series(["Ann", None], dtype=pl.String))
    transform = Map({"code": "NO", "name": Field("NAME", required=True)})
    sent = send(frame, transform=transform, mode="upsert")
    assert outcomes(sent) == [("a", "sent"), (None, "refused")]
    assert crm.held == {"a": {"id": 1, "code": "a", "name": "Ann"}}
    ((columns, values),) = send.ask("select columns, raw_values::text from penstock.rejects")
    assert columns == ["name"]
    assert values == '{"NO":"b","NAME":null}'


def batch(send: Sender, **more: Any) -> Job:
    return send.job({"find": FIND, "upsert": {**BATCH, **more}})


def test_a_batch_has_an_answer_for_each_record(crm: Crm, send: Sender) -> None:
    sent = send(firms("a", "b", "c", "d", b="bad"), job=batch(send), mode="upsert")
    assert [len(one.body["inputs"]) for one in crm.api.calls("/companies/batch")] == [3, 1]
    assert outcomes(sent) == [("a", "sent"), ("b", "refused"), ("c", "sent"), ("d", "sent")]
    assert sent.responses()["reason"][1] == "name is bad"
    assert sent.responses()["target_id"].to_list() == ["1", "", "2", "3"]


def test_a_batch_that_is_refused_whole_is_halved_to_the_record_at_fault(
    crm: Crm, send: Sender
) -> None:
    rows = firms("a", "b", "c", b="poison")
    sent = send(rows, job=batch(send), mode="upsert")
    assert outcomes(sent) == [("a", "sent"), ("b", "refused"), ("c", "sent")]
    assert sorted(crm.writes) == ["a", "c"], "each once"


def test_one_key_twice_is_sent_in_the_order_of_the_rows(crm: Crm, send: Sender) -> None:
    rows = pl.concat([firms("a", "b"), firms("a", a="newer"), firms("a", a="newer")])
    sent = send(rows, job=batch(send), mode="upsert")
    assert outcomes(sent) == [
        ("a", "sent"), ("b", "sent"), ("a", "sent"), ("a", "unchanged"),
    ]  # fmt: skip
    assert crm.held["a"]["name"] == "newer"
    assert crm.writes == ["a", "b", "a"]


def test_entries_are_known_by_their_key_where_refused_ones_stand_apart(
    api: Api, send: Sender
) -> None:
    @api.on("POST", "/companies/batch")
    def answer(asked: Asked) -> Any:
        return Reply(
            {
                "results": [{"id": "9", "properties": {"code": "c"}},
                            {"id": "7", "properties": {"code": "a"}}],
                "errors": [{"category": "INVALID", "message": "no b", "context": {"ids": ["b"]}}],
            }, 207,
        )  # fmt: skip

    more = {
        "match": "properties.code",
        "errors": "errors",
        "error_match": "context.ids",
        "accepted": "",
        "record": {"idProperty": "code", "id": "{code}", "properties": "{record}"},
    }
    sent = send(firms("a", "b", "c"), job=batch(send, **more), mode="upsert")
    assert api.asked[0].body["inputs"][0] == {
        "idProperty": "code", "id": "a", "properties": {"name": "Firm a"},
    }  # fmt: skip
    assert sent.responses().select("outcome", "target_id", "code", "reason").rows() == [
        ("sent", "7", "", ""),
        ("refused", "", "INVALID", "no b"),
        ("sent", "9", "", ""),
    ]


LOST = [Reply(silent=True), Reply(drop=True), Reply({"message": "upstream"}, 504)]


@pytest.mark.parametrize("lost", LOST, ids=["timeout", "dropped", "504"])
def test_a_record_that_arrived_without_an_answer_is_found_and_not_made_twice(
    crm: Crm, send: Sender, lost: Reply
) -> None:
    crm.lose = [lost]
    sent = send(firms("a", "b"), job=send.job(timeout=0.3))
    assert crm.lose == [], "the fault fired"
    assert outcomes(sent) == [("a", "sent"), ("b", "sent")]
    assert crm.writes == ["a", "b"]
    assert sent.responses()["target_id"].to_list() == ["1", "2"]


@pytest.mark.parametrize("lost", LOST, ids=["timeout", "dropped", "504"])
def test_a_record_that_did_not_arrive_is_looked_up_and_sent_again(
    crm: Crm, send: Sender, lost: Reply
) -> None:
    crm.api.faults = [lost]
    sent = send(firms("a"), job=send.job(timeout=0.3))
    assert crm.api.fired == 1
    assert [(one.method, one.path) for one in crm.api.asked] == [
        ("POST", "/companies"), ("GET", "/companies"), ("POST", "/companies"),
    ]  # fmt: skip
    assert outcomes(sent) == [("a", "sent")]
    assert crm.writes == ["a"]


def test_without_a_way_to_look_it_up_a_lost_create_is_unknown_and_stays_so(
    crm: Crm, send: Sender
) -> None:
    module = {"create": MODULE["create"]}
    crm.lose = [Reply(drop=True)]
    sent = send(firms("a", "b"), job=send.job(module))
    assert outcomes(sent) == [("a", "unknown"), ("b", "sent")]
    assert crm.writes == ["a", "b"]
    assert "it may have arrived" in sent.responses()["reason"][0]
    assert send.ask("select codes, status from penstock.rejects") == [(["unknown"], "waiting")]

    again = send(firms("a"), job=send.job(module))
    assert outcomes(again) == [("a", "unknown")]
    assert crm.writes == ["a", "b"], "it is not sent blindly"

    found = send(firms("a"))
    assert outcomes(found) == [("a", "sent")]
    assert crm.writes == ["a", "b"], "it was looked up"
    assert send.ask("select status, note from penstock.rejects") == [
        ("resolved", "a later send brought the row")
    ]


def test_what_is_there_with_other_content_is_unknown(crm: Crm, send: Sender) -> None:
    crm.held["a"] = {"id": 5, "code": "a", "name": "somebody else"}
    crm.api.faults = [Reply({"message": "boom"}, 500)]
    sent = send(firms("a"))
    assert outcomes(sent) == [("a", "unknown")]
    assert sent.responses()["reason"][0].endswith("with other content: name")
    assert crm.writes == []


def test_a_lost_batch_is_looked_up_record_by_record(crm: Crm, send: Sender) -> None:
    crm.lose = [Reply(drop=True)]
    sent = send(firms("a", "b", "c", "d"), job=batch(send), mode="upsert")
    assert outcomes(sent) == [(code, "sent") for code in "abcd"]
    assert crm.writes == ["a", "b", "c", "d"]
    assert len(crm.api.calls("/companies", "GET")) == 3


def test_a_busy_api_is_waited_for(crm: Crm, send: Sender) -> None:
    crm.api.faults = [Reply({"message": "slow"}, 429, {"Retry-After": "0"}), Reply(None, 503)]
    sent = send(firms("a"))
    assert crm.api.fired == 2
    assert outcomes(sent) == [("a", "sent")]
    assert crm.writes == ["a"]


def test_only_what_has_changed_since_it_was_accepted_is_sent(crm: Crm, send: Sender) -> None:
    first = send(firms("a", "b", "c", c="bad"), mode="upsert", only_changed=True)
    assert outcomes(first) == [("a", "sent"), ("b", "sent"), ("c", "refused")]
    rows = firms("a", "b", "c", b="Bob", c="Cyd")
    second = send(rows, mode="upsert", only_changed=True)
    assert outcomes(second) == [("a", "unchanged"), ("b", "sent"), ("c", "sent")]
    assert second.responses()["target_id"][0] == "1"
    assert crm.writes == ["a", "b", "b", "c"]
    assert send.ask("select key, status from penstock.rejects") == [(["c"], "resolved")]
    assert outcomes(send(rows, mode="upsert")) == [(code, "sent") for code in "abc"]


def test_links_have_a_book_of_their_own(crm: Crm, send: Sender) -> None:
    rows = firms("a").with_columns(parent=pl.lit("b")).drop("name")
    assert outcomes(send(rows, mode="link", only_changed=True)) == [('["a", "b"]', "sent")]
    assert outcomes(send(rows, mode="link", only_changed=True)) == [('["a", "b"]', "unchanged")]
    (call,) = crm.api.calls("/links/a/b")
    assert (call.method, call.body) == ("PUT", None)
    assert send.ask("select table_name, kind from penstock.loads, penstock.sent limit 1") == [
        ("companies links", "link")
    ]


def test_it_stops_after_failures_in_a_row_and_the_rest_is_not_sent(crm: Crm, send: Sender) -> None:
    names = dict.fromkeys("bcdef", "bad")
    job = send.job()
    sent = send(firms(*"abcdef", **names), job=job, stop_after=2)
    assert [outcome for _, outcome in outcomes(sent)] == [
        "sent", "refused", "refused", "not_sent", "not_sent", "not_sent",
    ]  # fmt: skip
    assert sent.stopped == "2 failures one after the other"
    assert len(crm.api.asked) == 3
    assert send.ask("select read, inserted, quarantined from penstock.loads") == [(6, 1, 5)]
    assert send.ask("select key from penstock.sent where hash is not null") == [("a",)]
    assert job.tally.notes == ["crm companies: stopped: 2 failures one after the other"]


def test_it_stops_where_too_many_fail(crm: Crm, send: Sender) -> None:
    names = dict.fromkeys("ac", "bad")
    sent = send(firms(*"abcdefghij", **names), max_failures="10%")
    assert [outcome for _, outcome in outcomes(sent)] == [
        "refused", "sent", "refused", *["not_sent"] * 7,
    ]  # fmt: skip
    assert sent.stopped == "2 of 10 rows failed, allowed are 10%"


def test_a_refused_login_ends_it_and_what_was_sent_is_booked(crm: Crm, send: Sender) -> None:
    crm.api.faults = [None, Reply({"message": "token revoked"}, 401)]
    job = send.job()
    with pytest.raises(ConnectorError, match="token revoked; crm companies: 1 sent, 2 not_sent"):
        send(firms("a", "b", "c"), job=job)
    assert crm.writes == ["a"]
    assert send.ask("select status, read, inserted, quarantined from penstock.loads") == [
        ("failed", 3, 1, 2)
    ]
    assert send.ask("select key, hash is not null, pending from penstock.sent order by 1") == [
        ("a", True, None), ("b", False, None),
    ]  # fmt: skip
    assert send.ask("select count(*) from penstock.rejects") == [(0,)]
    assert len(job.tally.results) == 1


def test_a_trial_sends_nothing(crm: Crm, send: Sender) -> None:
    job = send.job()
    job.dry_run = True
    sent = send(firms("a", "", "c"), job=job, mode="upsert")
    assert [outcome for _, outcome in outcomes(sent)] == ["not_sent", "refused", "not_sent"]
    assert crm.api.asked == []
    assert send.ask("select status, ignored, quarantined from penstock.loads") == [
        ("dry_run", 2, 1)
    ]


def test_what_cannot_be_asked_for_is_said_before_anything_is_sent(
    crm: Crm, send: Sender, database: Database
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"mode": "update"}, "companies has no update; declared are create, link, upsert"),
        ({"key": "nr"}, "the rows have no nr, which is the key; they have code, name"),
        ({"stop_after": 0}, "stop_after must be 1 or more"),
        ({"max_failures": "lots"}, "is not a share"),
    ]
    for options, said in cases:
        with pytest.raises(UsageError, match=said):
            send(firms("a"), **options)
    bare = send.job({"upsert": {"path": "/companies/{code}"}, "create": {"path": "/companies"}})
    with pytest.raises(UsageError, match="upsert needs the key by which a record is known"):
        send(firms("a"), job=bare, mode="upsert")
    with pytest.raises(UsageError, match="only_changed needs a key"):
        send(firms("a"), job=bare, only_changed=True)
    assert crm.api.asked == []


def test_refused_rows_are_written_and_mailed_as_those_of_loads_are(
    crm: Crm, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    (tmp_path / "data" / "import").mkdir(parents=True)
    text = 'code,name\na,Ann\nb,bad\nc,"un\nd,Dan\n'
    (tmp_path / "data" / "import" / "firms.csv").write_text(text)
    env = {
        "project": "shop",
        "drops": {"kind": "files", "folder": "data/import"},
        "mail": mailbox.settings,
        "crm": {"kind": "rest", "base_url": crm.api.url, "modules": {"companies": MODULE}},
        "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
    }

    def companies(job: Job) -> None:
        rows = job.connect("drops").read("firms.csv")
        job.catch(job.connect("crm").send(rows, "companies", mode="upsert"), to="crm@example.com")

    etl = Etl(env=choose(env, "dev", tmp_path), say=lambda line: None)
    etl.start()
    outcome = etl.run(companies)
    assert etl.end() == 3
    (result,) = outcome.results
    record = result.record
    assert (record.extracted, record.loaded, record.rejected, record.dropped) == (4, 2, 2, 0)
    (file,) = outcome.error_files
    assert file.table == "crm companies"
    (message,) = mailbox.messages
    assert str(message["To"]) == "crm@example.com"
    (part,) = message.iter_attachments()
    attached = pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)
    assert attached.select("_reason", "code", "name").rows()[0] == ("name is bad", "b", "bad")
    assert attached.height == 2
    with database.connect() as connection:
        found = connection.execute(
            "select part_of::text, job from penstock.runs where kind = 'send'"
        ).fetchall()
    assert found == [(etl.run_id, "companies")]


def test_an_api_is_read_into_a_table_and_every_record_is_accounted_for(
    api: Api, database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create table people (id int primary key, name text not null)")
    pages: dict[str, list[Any]] = {
        "1": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}],
        "2": [{"id": 2, "name": "Bob"}, {"id": 3, "name": None}, "no object"],
        "3": [],
    }  # the second came again: somebody was added while the pages were read

    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return pages[asked.params["page"]]

    env = {
        "project": "shop",
        "crm": {
            "kind": "rest",
            "base_url": api.url,
            "modules": {"people": {"path": "/people", "page": {"kind": "page"}}},
        },
        "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
    }

    def reads(job: Job) -> None:
        rows = job.connect("crm").read("people")
        warehouse = job.connect("warehouse")
        job.catch(warehouse.load(rows, "people", mode="upsert", max_rejects="all"))

    etl = Etl(env=choose(env, "dev", tmp_path), say=lambda line: None)
    etl.start()
    (result,) = etl.run(reads).results
    assert etl.end() == 3
    assert (result.record.extracted, result.record.dropped) == (5, 0)
    with database.connect() as connection:
        assert connection.execute("select * from people order by 1").fetchall() == [
            (1, "Ann"), (2, "Bob"),
        ]  # fmt: skip
        assert connection.execute(
            "select read, inserted, ignored, quarantined from penstock.loads"
        ).fetchall() == [(5, 2, 1, 2)]
        assert connection.execute(
            "select source, record, codes from penstock.rejects order by reject_id"
        ).fetchall() == [
            ("crm people page 2", 2, ["23502"]), ("crm people page 2", 3, ["not_object"]),
        ]  # fmt: skip


KILLED = """
import sys
from pathlib import Path
import polars as pl, psycopg
from penstock import Job
from penstock.connectors.registry import connector
from penstock.project.environment import choose
url, dsn, folder, mode = sys.argv[1:]
modules = {"companies": {
    "find": {"path": "/companies", "params": {"code": "{code}"}, "records": "data"},
    "create": {"path": "/companies", "key": "code"},
    "upsert": {"path": "/companies/{code}", "key": "code"}}}
crm = connector("crm", {"kind": "rest", "base_url": url, "modules": modules})
job = Job("companies", choose({"project": "shop", "dev": {}}, "dev", Path(folder)), {"crm": crm},
          flow="shop/main", ledger=lambda: psycopg.connect(dsn, autocommit=True))
rows = pl.DataFrame({"code": list("abcde"), "name": list("vwxyz"), "_row": [1, 2, 3, 4, 5]})
print(dict(job.connect("crm").send(rows, "companies", mode=mode, only_changed=True).counts))
"""


@pytest.mark.parametrize("mode", ["create", "upsert"])
def test_killed_between_answer_and_booking_nothing_is_made_twice(
    crm: Crm, send: Sender, tmp_path: Path, mode: str
) -> None:
    words = [sys.executable, "-c", KILLED, crm.api.url, send.database.url, str(tmp_path), mode]
    victim: list[subprocess.Popen[bytes]] = []
    done = crm.write

    def kill_at_third(record: Mapping[str, Any]) -> dict[str, Any]:
        answer = done(record)
        if len(crm.writes) == 3:
            os.kill(victim[0].pid, signal.SIGKILL)
            victim[0].wait()
        return answer

    crm.write = kill_at_third  # type: ignore[method-assign]
    victim.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
    assert victim[0].wait(60) == -signal.SIGKILL
    assert crm.writes == ["a", "b", "c"]
    assert send.ask("select key, hash is null from penstock.sent order by 1") == [
        ("a", False), ("b", False), ("c", True),
    ]  # fmt: skip

    again = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    counts = {"sent": 3, "unchanged": 2, "refused": 0, "unknown": 0, "not_sent": 0}
    assert again.stdout == f"{counts}\n"
    if mode == "create":
        assert crm.writes == ["a", "b", "c", "d", "e"]
    assert {key: one["name"] for key, one in crm.held.items()} == dict(
        zip("abcde", "vwxyz", strict=True)
    )
    assert sorted(one["id"] for one in crm.held.values()) == [1, 2, 3, 4, 5]
    assert send.ask("select status from penstock.runs order by started_at") == [
        ("interrupted",), ("succeeded",),
    ]  # fmt: skip


def test_ctrl_c_closes_the_books_and_the_next_run_looks_up_what_may_have_arrived(
    crm: Crm, send: Sender, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", KILLED, crm.api.url, send.database.url, str(tmp_path), "create"]
    victim: list[subprocess.Popen[bytes]] = []
    done = crm.write

    def interrupt_at_third(record: Mapping[str, Any]) -> dict[str, Any]:
        answer = done(record)
        if len(crm.writes) == 3:
            os.kill(victim[0].pid, signal.SIGINT)
            victim[0].wait()
        return answer

    crm.write = interrupt_at_third  # type: ignore[method-assign]
    victim.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
    assert victim[0].wait(60) == -signal.SIGINT
    assert send.ask("select status, error, read, inserted, quarantined from penstock.loads") == [
        ("failed", "interrupted by Ctrl-C", 5, 2, 3)
    ]
    assert send.ask("select key, codes, status from penstock.rejects") == [
        (["c"], ["unknown"], "waiting")
    ]
    again = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert again.stdout.startswith("{'sent': 3, 'unchanged': 2,")
    assert crm.writes == ["a", "b", "c", "d", "e"]
    assert send.ask("select status from penstock.rejects") == [("resolved",)]


def test_the_commands_show_a_send_and_replay_none_of_its_rows(crm: Crm, send: Sender) -> None:
    send(firms("a", "b", b="bad"))
    where = {"PENSTOCK_DSN": send.database.url}
    listed = penstock(send.folder, "rejects", "list", **where)
    assert "name is bad" in listed.stdout + listed.stderr
    ((number,),) = send.ask("select reject_id from penstock.rejects")
    replayed = penstock(send.folder, "rejects", "replay", "--id", str(number), **where)
    assert replayed.returncode != 0
    assert "The table rest:crm.companies is not there" in replayed.stderr
    assert penstock(send.folder, "doctor", **where).returncode == 0
    assert penstock(send.folder, "runs", **where).returncode == 0
    discarded = penstock(send.folder, "rejects", "discard", "rest:crm.companies", "--yes", **where)
    assert discarded.returncode == 0, discarded.stderr
