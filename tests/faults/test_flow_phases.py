"""A job that raises in each of its phases: others go on, and who must know is told."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest

from tests.fixtures.flows import FlowFolder
from tests.fixtures.mail import Mailbox

FAILING = """
import os
from pathlib import Path


def phase(name):
    if os.environ["FAILS_IN"] == name:
        Path("fired").write_text(name)
        raise RuntimeError(f"broken in {name}")


def run(job):
    phase("INITIALISE")
    drops, warehouse = job.connect("drops"), job.connect("warehouse")
    phase("EXTRACT")
    found = drops.read("customers*.csv")
    phase("TRANSFORM")
    found = found.with_columns(name=found["name"].str.to_uppercase())
    if os.environ["FAILS_IN"] == "LOAD":
        Path("fired").write_text("LOAD")
        warehouse.load(found, "customers", mode="upsert", max_rejects=0)
    loaded = warehouse.load(found, "customers", mode="upsert", max_rejects="all")
    phase("before CATCH")
    job.catch(loaded)
    phase("after CATCH")
"""
GOOD = """
def run(job):
    found = job.connect("drops").read(f"{job.name}*.csv")
    job.catch(job.connect("warehouse").load(found, job.name, mode="upsert", max_rejects="all"))
"""
TABLES = """
create table customers (id int primary key, name text not null);
create table offers (id int primary key);
create table prices (id int primary key);
"""


@pytest.fixture
def folder(flow_folder: FlowFolder, mailbox: Mailbox) -> FlowFolder:
    flow_folder.jobs(customers=FAILING, offers=GOOD, prices=GOOD)
    flow_folder.main(
        "etl.start()\netl.run(customers, offers)\netl.run(prices)\netl.backup()\netl.end()",
        jobs="customers, offers, prices",
    )
    flow_folder.env["mail"] = mailbox.settings
    flow_folder.drop("customers.csv", "id,name\n1,Ann\nx,Eve\n")
    for name in ("offers", "prices"):
        flow_folder.drop(f"{name}.csv", "id\n1\ny\n")
    with flow_folder.database.connect() as connection:
        connection.execute(TABLES)
    return flow_folder


@pytest.mark.parametrize(
    ("phase", "customers", "rejected"),
    [
        ("INITIALISE", [], 0),
        ("EXTRACT", [], 0),
        ("TRANSFORM", [], 0),
        ("LOAD", [], 0),
        ("before CATCH", [(1, "ANN")], 1),
        ("after CATCH", [(1, "ANN")], 1),
    ],
)
def test_the_others_go_on_and_all_is_told_once_it_works(
    folder: FlowFolder,
    mailbox: Mailbox,
    phase: str,
    customers: list[tuple[Any, ...]],
    rejected: int,
) -> None:
    done = folder.run(variables={"FAILS_IN": phase})
    assert done.returncode == 1, done.stderr
    assert (folder.path / "fired").read_text() == phase
    assert "Traceback" not in done.stdout + done.stderr
    assert folder.rows("select id, name from customers") == customers
    assert folder.rows("select id from prices") == [(1,)], "independent ones go on"
    assert folder.rows("select id from offers") == [], "dependent ones do not"
    assert folder.rows("select job, status, rejected from penstock.jobs order by number") == [
        ("customers", "failed", rejected),
        ("offers", "skipped", 0),
        ("prices", "succeeded", 1),
    ]
    subjects = sorted(str(one["Subject"]).partition("] ")[2] for one in mailbox.messages)
    told = 2 if phase == "after CATCH" else 1
    refused = "2 rows refused" if told == 2 else "1 row refused"
    assert subjects[0] == refused
    assert subjects[1].startswith("failed: customers: ")
    assert ("broken in" in subjects[1]) is (phase != "LOAD")
    assert len(list((folder.path / "data/import").glob("*.csv"))) == 3, "nothing is backed up"

    again = folder.run(variables={"FAILS_IN": ""})
    assert again.returncode == 3, again.stderr
    assert folder.rows("select id, name from customers") == [(1, "ANN")]
    assert folder.rows("select id from offers") == [(1,)]
    found = [row for one in mailbox.messages for row in _refused(one)]
    assert sorted(found) == ["x", "y", "y"], "each refused row was mailed once"
    assert "works again" in str([str(one["Subject"]) for one in mailbox.messages])
    assert not list((folder.path / "data/import").glob("*.csv"))


def _refused(message: Any) -> list[str]:
    return [
        row
        for part in message.iter_attachments()
        for row in pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)[
            "id"
        ].to_list()
    ]
