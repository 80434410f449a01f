"""What `etl.backup` moves is what was processed: a file that no job has read stays, and is loaded.

Not for: kills in the middle of it (`tests/faults/test_flow_killed.py`).
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from penstock import Etl
from penstock.flow.housekeeping import CORRECTIONS
from penstock.project.environment import choose
from tests.fixtures.flows import FlowFolder
from tests.fixtures.mail import Mailbox

JOB = """
from meanwhile import happens


def run(job):
    found = job.connect("drops").read(f"{job.name}*.csv")
    happens(f"{job.name} has read")
    job.catch(job.connect("warehouse").load(found, job.name, mode="upsert"))
"""
STEPS = "etl.start()\netl.run(customers, offers)\netl.backup()\netl.end()"


@pytest.fixture
def folder(flow_folder: FlowFolder) -> FlowFolder:
    flow_folder.jobs(customers=JOB, offers=JOB)
    flow_folder.main(STEPS, jobs="customers, offers")
    meanwhile(flow_folder, "pass")
    with flow_folder.database.connect() as connection:
        connection.execute("create table customers (id int primary key, name text not null)")
        connection.execute("create table offers (id int primary key)")
    flow_folder.drop("customers.csv", "id,name\n1,Ann\n")
    flow_folder.drop("offers.csv", "id\n7\n")
    return flow_folder


def meanwhile(folder: FlowFolder, code: str) -> None:
    """What happens while the flow runs: code with `when`, such as `customers has read`."""
    folder.write(
        "meanwhile.py",
        "from pathlib import Path\n\nIN = Path('data/import')\n\n\n"
        f"def happens(when):\n    {code}\n",
    )


def waiting(folder: FlowFolder) -> list[str]:
    return sorted(path.name for path in (folder.path / "data/import").glob("*.csv"))


def loaded(folder: FlowFolder, code: int = 0, *words: str) -> str:
    done = folder.run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_file_that_comes_after_its_job_has_read_is_loaded_by_the_next_run(
    folder: FlowFolder,
) -> None:
    code = (
        "if when == 'customers has read': (IN / 'customers2.csv').write_text('id,name\\n2,Bob\\n')"
    )
    meanwhile(folder, code)
    said = loaded(folder)
    assert waiting(folder) == ["customers2.csv"]
    assert "no job has read what stays in data/import: customers2.csv" in said

    meanwhile(folder, "pass")
    loaded(folder)
    assert waiting(folder) == []
    assert folder.rows("select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]


def test_a_file_that_is_written_anew_after_it_was_read_is_loaded_by_the_next_run(
    folder: FlowFolder,
) -> None:
    code = (
        "if when == 'customers has read': (IN / 'customers.csv').write_text('id,name\\n1,Eve\\n')"
    )
    meanwhile(folder, code)
    loaded(folder)
    assert waiting(folder) == ["customers.csv"]

    meanwhile(folder, "pass")
    loaded(folder)
    assert folder.rows("select id, name from customers") == [(1, "Eve")]


def test_a_file_that_comes_between_two_jobs_goes_when_the_second_has_read_it(
    folder: FlowFolder,
) -> None:
    meanwhile(folder, "(IN / 'offers2.csv').write_text('id\\n8\\n') if 'customers' in when else 0")
    assert "stays" not in loaded(folder)
    assert waiting(folder) == []
    assert folder.rows("select id from offers order by 1") == [(7,), (8,)]


def test_the_files_of_jobs_that_only_leaves_out_stay(folder: FlowFolder) -> None:
    loaded(folder, 0, "--only", "offers")
    assert waiting(folder) == ["customers.csv"]
    loaded(folder)
    assert waiting(folder) == []
    assert folder.rows("select id, name from customers") == [(1, "Ann")]


def test_a_resumed_run_moves_what_the_earlier_one_read_and_leaves_what_came_since(
    folder: FlowFolder,
) -> None:
    meanwhile(folder, "assert 'offers' not in when, 'the wheel came off'")
    loaded(folder, 1)
    ((run,),) = folder.rows("select run_id::text from penstock.runs where kind = 'flow'")
    meanwhile(folder, "pass")
    folder.drop("customers2.csv", "id,name\n2,Bob\n")
    loaded(folder, 0, "--resume", run)
    assert waiting(folder) == ["customers2.csv"]

    loaded(folder)
    assert folder.rows("select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]


def test_what_jobs_read_side_by_side_goes_and_what_came_meanwhile_stays(
    folder: FlowFolder,
) -> None:
    folder.main(STEPS.replace("offers)", "offers, parallel=2)"), jobs="customers, offers")
    meanwhile(
        folder, "(IN / 'customers2.csv').write_text('id,name\\n2,B\\n') if 'cu' in when else 0"
    )
    loaded(folder)
    assert waiting(folder) == ["customers2.csv"]


def test_a_correction_that_is_saved_again_while_it_is_loaded_stays_for_the_next_run(
    folder: FlowFolder,
) -> None:
    folder.drop("customers.csv", "id,name\n1,Ann\nx,Bob\ny,Eve\n")
    folder.jobs(customers=JOB.replace('"upsert"', '"upsert", max_rejects="all"'))
    loaded(folder, 3)
    ids = dict(folder.rows("select raw_values->>'id', reject_id from penstock.rejects"))
    file = folder.path / CORRECTIONS / "mended.csv"
    file.write_text(f"_id,id,name\n{ids['x']},2,Bob\n")

    def say(line: str) -> None:
        if line.startswith("corrections: "):  # its rows are loaded, and it is not yet moved
            file.write_text(f"_id,id,name\n{ids['x']},2,Bob\n{ids['y']},3,Eve\n")

    for names in (["mended.csv"], []):
        etl = Etl(env=choose(folder.env, "dev", folder.path), say=say if names else lambda _: None)
        etl.start()
        etl.end()
        assert [path.name for path in file.parent.iterdir()] == names
    assert folder.rows("select id, name from customers order by 1") == [
        (1, "Ann"), (2, "Bob"), (3, "Eve")
    ]  # fmt: skip


def test_a_correction_with_the_longest_name_is_loaded_told_and_kept(folder: FlowFolder) -> None:
    folder.drop("customers.csv", "id,name\n1,Ann\nx,Bob\ny,Eve\n")
    folder.jobs(customers=JOB.replace('"upsert"', '"upsert", max_rejects="all"'))
    loaded(folder, 3)
    ids = dict(folder.rows("select raw_values->>'id', reject_id from penstock.rejects"))
    name = f"{'c' * 251}.csv"  # of 255 bytes, which is what a folder of Linux takes
    text = f"_id,id,name\n{ids['x']},2,Bob\n{ids['y']},z,Eve\n"
    (folder.path / CORRECTIONS / name).write_text(text)
    loaded(folder, 3)
    assert folder.rows("select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]
    assert list((folder.path / CORRECTIONS).iterdir()) == []
    (copy,) = (folder.path / "data/backup").rglob("ccc*.gz")
    assert gzip.decompress(copy.read_bytes()).decode() == text
    assert len(list((folder.path / "data/errors").glob("*-ccc*.xlsx"))) == 1


def test_a_correction_stays_while_what_was_refused_again_cannot_be_written(
    folder: FlowFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.drop("customers.csv", "id,name\n1,Ann\nx,Bob\ny,Eve\n")
    folder.jobs(customers=JOB.replace('"upsert"', '"upsert", max_rejects="all"'))
    loaded(folder, 3)
    ids = dict(folder.rows("select raw_values->>'id', reject_id from penstock.rejects"))
    file = folder.path / CORRECTIONS / "mended.csv"
    file.write_text(f"_id,id,name\n{ids['x']},2,Bob\n{ids['y']},z,Eve\n")
    said: list[str] = []
    errors = folder.path / "data/errors"
    errors.rename(errors.with_name("away"))
    errors.symlink_to(folder.path / "full")
    for waits in (True, False):
        etl = Etl(env=choose(folder.env, "dev", folder.path), say=said.append)
        monkeypatch.setattr("penstock.flow.housekeeping.make_folders", lambda _: None)
        etl.start()
        assert etl.end() == 3
        assert file.exists() == waits
        (folder.path / "full").mkdir(exist_ok=True)
    assert [line for line in said if "mended.csv stays in data/import/corrections" in line]
    assert folder.rows("select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]
    assert len(list((folder.path / "full").glob("*-mended-*.xlsx"))) == 1


def test_a_file_whose_name_is_no_text_is_loaded_and_kept(folder: FlowFolder) -> None:
    name = os.fsencode(folder.path / "data/import") + b"/customers\xe9.csv"
    Path(os.fsdecode(name)).write_text("id,name\n2,Bob\n")
    loaded(folder, 0, "--only", "customers")
    assert folder.rows("select id, name from customers order by 1") == [(1, "Ann"), (2, "Bob")]
    assert waiting(folder) == ["offers.csv"]


def test_an_error_that_is_no_text_is_booked_and_told(folder: FlowFolder, mailbox: Mailbox) -> None:
    folder.env["mail"] = mailbox.settings
    meanwhile(folder, r"raise ValueError('caf\udce9.csv, a\0b')")
    assert r"failed: ValueError: caf\udce9.csv, a\x00b" in loaded(folder, 1)
    assert folder.rows("select error from penstock.jobs where status = 'failed'") == [
        (r"ValueError: caf\udce9.csv, a\x00b",)
    ]
    assert folder.rows("select status from penstock.runs where kind = 'flow'") == [("failed",)]
    (mail,) = mailbox.messages
    assert r"caf\udce9.csv, a\x00b" in str(mail["Subject"])


def test_a_file_that_no_job_asks_for_stays_unless_it_is_named(folder: FlowFolder) -> None:
    folder.drop("Customers.csv", "id,name\n3,Cy\n")
    folder.drop("prices.xml", "<prices/>")
    said = loaded(folder)
    assert waiting(folder) == ["Customers.csv"]
    assert "no job has read what stays in data/import: Customers.csv, prices.xml" in said

    folder.main(STEPS.replace("backup()", "backup('*.xml')"), jobs="customers, offers")
    loaded(folder)
    assert not (folder.path / "data/import/prices.xml").exists()
    assert waiting(folder) == ["Customers.csv"]
