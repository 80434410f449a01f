"""No room for error files: the run says so, and the rows are mailed when there is."""

from __future__ import annotations

import io
import shutil

import polars as pl
import pytest

from tests.fixtures.flows import FlowFolder
from tests.fixtures.mail import Mailbox

JOB = """
def run(job):
    found = job.connect("drops").read(f"{job.name}*.csv")
    job.catch(job.connect("warehouse").load(found, job.name, mode="upsert", max_rejects="all"))
"""


@pytest.fixture
def folder(flow_folder: FlowFolder, mailbox: Mailbox) -> FlowFolder:
    flow_folder.jobs(customers=JOB, offers=JOB)
    flow_folder.main(
        "etl.start()\netl.run(customers)\netl.run(offers)\netl.backup()\netl.end()",
        jobs="customers, offers",
    )
    flow_folder.env["mail"] = mailbox.settings
    with flow_folder.database.connect() as connection:
        for name in ("customers", "offers"):
            connection.execute(f"create table {name} (id int primary key)")
            flow_folder.drop(f"{name}.csv", "id\n1\nx\n")
    return flow_folder


@pytest.mark.parametrize("fault", ["a file in its place", "full"])
def test_the_run_says_so_and_the_rows_are_told_later(
    folder: FlowFolder, mailbox: Mailbox, fault: str
) -> None:
    errors = folder.path / "data" / "errors"
    head = ""
    if fault == "full":
        head = (
            "import resource, signal\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "def full():\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        )
    steps = "etl.start()\nspoil()\netl.run(customers)\netl.run(offers)\netl.backup()\netl.end()"
    spoil = "def spoil():\n    full()\n" if fault == "full" else (
        "import os\ndef spoil():\n    os.rename('data/errors', 'data/gone')\n"
        "    open('data/errors', 'w').close()\n"
    )  # fmt: skip
    folder.main(steps, head=head + spoil, jobs="customers, offers")
    done = folder.run()
    assert done.returncode == 3, done.stdout + done.stderr
    if fault != "full":  # there the archive within the workbook complains when it is thrown away
        assert "Traceback" not in done.stderr
    said = "warning: the refused rows of customers cannot be written to data/errors: "
    assert said in done.stdout
    assert "they wait, and are told by a later run" in done.stdout
    for name in ("customers", "offers"):
        assert folder.rows(f"select id from {name}") == [(1,)]
    assert mailbox.messages == []
    waiting = "select count(*) from penstock.rejects where status = 'waiting' and mailed_at is null"
    assert folder.rows(waiting) == [(2,)]
    if fault != "full":
        errors.unlink()
        shutil.move(folder.path / "data" / "gone", errors)
    assert [path.name for path in errors.glob("*.xlsx")] == [], "no half of a file"

    folder.main(steps.replace("spoil()\n", ""), jobs="customers, offers")
    assert folder.run().returncode == 0
    assert folder.rows(waiting) == [(0,)]
    refused = [
        row
        for message in mailbox.messages
        for part in message.iter_attachments()
        for row in pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)["id"]
    ]
    assert refused == ["x", "x"]
