"""kill -9 and Ctrl-C of `python main.py` in each phase: the next run completes it, and tells all.

Whatever happens, in the end each row is there once, each refused row was mailed, the run is closed
as interrupted, and the next one could begin at once. Not for: kills within a load's steps
(`test_kill_at_every_step`), nor while files are fetched (`test_kill_while_fetching`).
"""

from __future__ import annotations

import gzip
import io
import os
import signal
from typing import Any

import polars as pl
import pytest

from penstock.ledger import install
from tests.fixtures.flows import FlowFolder, until
from tests.fixtures.mail import Mailbox
from tests.fixtures.programs import Program

#: Ends the process at a place that the environment names.
STOPPING = """
import os, sys
from pathlib import Path

AT, BY = os.environ.get("STOP_AT"), int(os.environ.get("STOP_BY", "0"))


def stop(where):
    if where == AT:
        Path("fired").write_text(where)
        os.kill(os.getpid(), BY)


def _look(event, words):
    if event == "os.rename" and str(words[1]).endswith("customers.csv.gz"):
        stop("in backup, before the copy has its name")
    if event == "os.remove" and str(words[0]).endswith("import/customers.csv"):
        stop("in backup, after the copy")


sys.addaudithook(_look)
"""
JOB = """
from stopping import stop


def run(job):
    drops, warehouse = job.connect("drops"), job.connect("warehouse")
    stop(f"{job.name}: before EXTRACT")
    found = drops.read(f"{job.name}*.csv")
    stop(f"{job.name}: after EXTRACT")
    loaded = warehouse.load(found, job.name, mode="upsert", max_rejects="all")
    stop(f"{job.name}: after LOAD")
    job.catch(loaded)
    stop(f"{job.name}: after CATCH")
"""
STEPS = """stop("before start")
etl.start()
etl.run(customers, offers)
stop("after CATCH, before the mail")
etl.backup()
stop("before end")
etl.end()
stop("after end")"""
#: While a test holds the lock, a load waits within its insert, and a run in its last statement.
TABLES = """
create table customers (id int primary key, name text not null);
create table offers (id int primary key, customer int not null references customers);
create function wait() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(tg_argv[0]::bigint);
  return new;
end $$;
create trigger wait before insert on customers for each row execute function wait(4711);
create trigger wait before update on penstock.runs for each row
  when (new.kind = 'flow' and new.status = 'succeeded') execute function wait(4712);
"""
WAITS = """
select 1 from pg_locks l join pg_database d on d.oid = l.database
where d.datname = current_database() and locktype = 'advisory' and objid = {} and not granted
"""
IN_LOAD, IN_END, ANSWERED = "customers: in LOAD", "in end", "answered, not committed"
PHASES = [
    "customers: before EXTRACT",
    "customers: after EXTRACT",
    IN_LOAD,
    "customers: after LOAD",
    "customers: after CATCH",
    "offers: after LOAD",
    "after CATCH, before the mail",
    "in backup, before the copy has its name",
    "in backup, after the copy",
    "before end",
    ANSWERED,
    IN_END,
]


@pytest.fixture
def folder(flow_folder: FlowFolder, mailbox: Mailbox) -> FlowFolder:
    flow_folder.write("stopping.py", STOPPING)
    flow_folder.jobs(customers=JOB, offers=JOB)
    flow_folder.main(STEPS, head="from stopping import stop\n", jobs="customers, offers")
    flow_folder.env["mail"] = mailbox.settings
    flow_folder.drop("customers.csv", "id,name\n1,Ann\n2,Bob\nx,Eve\n3,\n")
    flow_folder.drop("offers.csv", "id,customer\n1,1\n2,9\n")
    with flow_folder.database.connect() as connection:
        install.ensure(connection, flow_folder.database.url)
        connection.execute(TABLES)
    return flow_folder


KILLED = [(phase, signal.SIGKILL, bool(place % 2)) for place, phase in enumerate(PHASES)]
KILLED += [(phase, signal.SIGKILL, True) for phase in ("before end", IN_END)]
KILLED += [("before end", signal.SIGKILL, False)]
CTRL_C = ("customers: after EXTRACT", IN_LOAD, "customers: after LOAD", "before end", IN_END)


@pytest.mark.parametrize(
    ("phase", "by", "resumes"),
    list(dict.fromkeys([*KILLED, *((phase, signal.SIGINT, True) for phase in CTRL_C)])),
)
def test_the_next_run_completes_it(
    folder: FlowFolder, mailbox: Mailbox, phase: str, by: signal.Signals, resumes: bool
) -> None:
    stopped(folder, mailbox, phase, by)
    ((run,),) = folder.rows("select run_id::text from penstock.runs where kind = 'flow'")
    again = folder.run(*(["--resume", run] if resumes else []))
    assert again.returncode in (0, 3), again.stdout + again.stderr
    assert "Traceback" not in again.stderr

    assert folder.rows("select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]
    assert folder.rows("select id, customer from offers") == [(1, 1)]
    (first, last) = folder.rows(
        "select status from penstock.runs where kind = 'flow' order by started_at"
    )
    # The server may carry out a last statement whose sender is dead: then all was done.
    last_statement = phase == IN_END and by == signal.SIGKILL
    assert first in [("interrupted",), *([("succeeded",)] if last_statement else [])]
    assert last == ("succeeded",)
    assert folder.rows("select job from penstock.jobs where status = 'running'") == []
    assert folder.rows("select status from penstock.runs where status = 'running'") == []
    assert folder.rows("select run_id from penstock.flow_locks") == [(None,)]
    assert_all_told(folder, mailbox, repeats=phase == ANSWERED)
    assert backed_up(folder) == {
        "customers.csv": "id,name\n1,Ann\n2,Bob\nx,Eve\n3,\n",
        "offers.csv": "id,customer\n1,1\n2,9\n",
    }


def stopped(folder: FlowFolder, mailbox: Mailbox, phase: str, by: signal.Signals) -> None:
    """Run it, and end it in this phase; proves that it came so far, and no farther."""
    variables = {"STOP_AT": phase, "STOP_BY": str(int(by))}
    if phase in (IN_LOAD, IN_END):
        with folder.database.connect() as holding:
            lock = 4711 if phase == IN_LOAD else 4712
            holding.execute("select pg_advisory_lock(%s)", [lock])
            running = folder.start()
            until(lambda: folder.rows(WAITS.format(lock)), "it waits for the lock")
            running.send_signal(by)
            ended(running, by)
    elif phase == ANSWERED:
        running = folder.start()
        fired: list[int] = []

        def kill() -> None:
            if not fired:
                fired.append(running.pid)
                os.kill(running.pid, by)

        mailbox.on_quit = kill
        ended(running, by)
        assert fired, "the mail server has answered"
        assert mailbox.messages
    else:
        ended(folder.start(variables=variables), by)
        assert (folder.path / "fired").read_text() == phase


def ended(running: Program, by: signal.Signals) -> None:
    out, error = running.communicate(timeout=60)
    expected = -signal.SIGKILL if by == signal.SIGKILL else 130
    assert running.returncode == expected, out + error
    assert error == ("" if by == signal.SIGKILL else "Interrupted.\n")


def assert_all_told(folder: FlowFolder, mailbox: Mailbox, *, repeats: bool) -> None:
    """Each refused row was mailed, in one mail; that may have come twice, as one and the same."""
    mails: dict[str, Any] = {str(one["Message-ID"]): one for one in mailbox.messages}
    if not repeats:
        assert len(mailbox.messages) == len(mails)
    told = []
    for message in mails.values():
        for part in message.iter_attachments():
            found = pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)
            table = "customers" if "name" in found.columns else "offers"
            told += [(table, row) for row in found["id"].to_list()]
    assert sorted(told) == [("customers", "3"), ("customers", "x"), ("offers", "2")]
    waiting = "select 1 from penstock.rejects where mailed_at is null and status = 'waiting'"
    assert folder.rows(waiting) == []
    assert folder.rows("select 1 from penstock.outbox where sent_at is null") == []


def backed_up(folder: FlowFolder) -> dict[str, str]:
    """Name -> content of what was kept; nothing is left where it came from."""
    assert [path.name for path in (folder.path / "data/import").glob("*.csv")] == []
    return {
        path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes()).decode()
        for path in (folder.path / "data/backup").rglob("[!.]*.gz")
    }


def test_a_run_killed_before_it_began_leaves_nothing(folder: FlowFolder, mailbox: Mailbox) -> None:
    stopped(folder, mailbox, "before start", signal.SIGKILL)
    assert folder.rows("select count(*) from penstock.runs") == [(0,)]
    assert folder.run().returncode == 3
    assert_all_told(folder, mailbox, repeats=False)


def test_a_run_killed_after_its_end_is_not_interrupted(
    folder: FlowFolder, mailbox: Mailbox
) -> None:
    stopped(folder, mailbox, "after end", signal.SIGKILL)
    assert folder.run().returncode == 0
    assert folder.rows("select distinct status from penstock.runs where kind = 'flow'") == [
        ("succeeded",)
    ]
    assert_all_told(folder, mailbox, repeats=False)
