"""Jobs side by side, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from penstock import Etl, Job
from penstock.errors import UsageError
from penstock.project.environment import choose
from tests.fixtures.flows import FlowFolder, until
from tests.fixtures.mail import Mailbox

#: Waits until the other job runs too: they can only end where they run side by side.
MEETS = """
import os, time
from pathlib import Path

def run(job):
    here = Path("meeting")
    here.mkdir(exist_ok=True)
    (here / job.name).write_text(str(os.getpid()))
    end = time.monotonic() + 30
    while len(list(here.iterdir())) < 2:
        if time.monotonic() > end:
            raise TimeoutError("the other one never came")
        time.sleep(0.02)
    found = job.connect("drops").read(f"{job.name}*.csv")
    loaded = job.connect("warehouse").load(
        found, job.name, mode="upsert", key="id", max_rejects="all"
    )
    job.catch(loaded)
    print(job.env["crm"]["password"], type(job.env["crm"]["password"]).__name__)
    job.tally.notes.append(f"{job.env.name} {job.env['crm']['password'].reveal()[::-1]}")
"""
HANGS = """
import os, time
from pathlib import Path

def run(job):
    Path("pid.new").write_text(str(os.getpid()))
    Path("pid.new").rename("pid")
    time.sleep(600)
"""
TABLES = 'create table "{}" (id int primary key, name text)'


@pytest.fixture
def folder(flow_folder: FlowFolder) -> FlowFolder:
    for name in ("left", "right"):
        flow_folder.jobs(**{name: MEETS})
        flow_folder.drop(f"{name}.csv", "id,name\n1,one\nx,two\n3,three\n")
        with flow_folder.database.connect() as connection:
            connection.execute(TABLES.format(name))
    flow_folder.env["crm"] = {"password": "env:CRM_PASSWORD"}
    return flow_folder


SECRET = {"CRM_PASSWORD": "geheimes-wort"}


def test_jobs_run_side_by_side_and_their_results_come_back(
    folder: FlowFolder, mailbox: Mailbox
) -> None:
    folder.env["mail"] = mailbox.settings
    folder.main(
        "etl.start()\n"
        "outcome = etl.run(left, right, parallel=2)\n"
        "import json\n"
        "print('RESULTS', json.dumps([[one.record.number, one.record.job, one.record.extracted,"
        " one.record.loaded, one.record.rejected, len(one.loads)] for one in outcome.results]))\n"
        "etl.end()",
        jobs="left, right",
    )
    done = folder.run(variables=SECRET)
    assert done.returncode == 3, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    assert json.loads(line[8:]) == [[1, "left", 3, 2, 1, 1], [2, "right", 3, 2, 1, 1]]
    assert "left: 3 read, 2 loaded, 1 refused" in done.stdout
    assert "  dev trow-semiehe" in done.stdout, "a note of the job"
    assert "*** Secret" in done.stdout
    pids = {int(path.read_text()) for path in (folder.path / "meeting").iterdir()}
    assert len(pids) == 2

    assert folder.rows('select id from "left" order by 1') == [(1,), (3,)]
    assert folder.rows("select job, status, rejected, attempts from penstock.jobs order by 1") == [
        ("left", "succeeded", 1, 1),
        ("right", "succeeded", 1, 1),
    ]
    assert folder.rows("select job from penstock.runs where part_of is not null order by 1") == [
        ("left",),
        ("right",),
    ]
    (message,) = mailbox.messages
    assert message["Subject"] == "[shop/main dev] 2 rows refused"
    assert len(list(message.iter_attachments())) == 2


def test_no_secret_is_on_a_command_line_or_in_an_order(folder: FlowFolder) -> None:
    folder.jobs(left=HANGS)
    folder.main("etl.start()\netl.run(left, right, parallel=2)\netl.end()", jobs="left, right")
    folder.drop("right.csv", "id\n")
    running = folder.start(variables=SECRET)
    pid = int(until(lambda: _text(folder.path / "pid"), "the job runs"))
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"penstock.flow.child" in words
    assert b"geheimes" not in words
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)


def test_one_that_fails_does_not_stop_the_others_of_its_group(folder: FlowFolder) -> None:
    folder.jobs(bad="def run(job):\n    raise ValueError('the wheel came off')\n")
    folder.main(
        "etl.start()\netl.run(bad, left, right, parallel=3)\netl.end()", jobs="bad, left, right"
    )
    done = folder.run(variables=SECRET)
    assert done.returncode == 1
    assert "bad: failed: ValueError: the wheel came off" in done.stdout
    assert folder.rows("select job, status from penstock.jobs order by number") == [
        ("bad", "failed"),
        ("left", "succeeded"),
        ("right", "succeeded"),
    ]


def test_a_process_that_is_killed_fails_its_job_alone(folder: FlowFolder) -> None:
    folder.jobs(hangs=HANGS)
    folder.main(
        "etl.start()\netl.run(hangs, left, right, parallel=3)\netl.end()",
        jobs="hangs, left, right",
    )
    running = folder.start(variables=SECRET)
    pid = int(until(lambda: _text(folder.path / "pid"), "the job runs"))
    os.kill(pid, signal.SIGKILL)
    out, _ = running.communicate(timeout=60)
    why = f"its process {pid} was killed by SIGKILL, perhaps for want of memory"
    assert f"hangs: failed: {why}" in out
    assert running.returncode == 1
    assert folder.rows(
        "select job, status, error, finished_at is not null from penstock.jobs order by number"
    ) == [
        ("hangs", "failed", why, True),
        ("left", "succeeded", None, True),
        ("right", "succeeded", None, True),
    ]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_processes_and_closes_the_run(
    folder: FlowFolder, stop: signal.Signals
) -> None:
    folder.jobs(hangs=HANGS)
    folder.main("etl.start()\netl.run(hangs, left, parallel=2)\netl.end()", jobs="hangs, left")
    running = folder.start(variables=SECRET)
    pid = int(until(lambda: _text(folder.path / "pid"), "the job runs"))
    running.send_signal(stop)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert error == "Interrupted.\n"
    assert _is_gone(pid)
    assert folder.rows("select status, error from penstock.runs where kind = 'flow'") == [
        ("interrupted", "interrupted by Ctrl-C")
    ]
    assert folder.rows("select distinct status from penstock.jobs") == [("interrupted",)]
    assert folder.rows("select run_id from penstock.flow_locks") == [(None,)]


def test_a_flow_that_is_killed_takes_its_processes_with_it(folder: FlowFolder) -> None:
    folder.jobs(hangs=HANGS)
    folder.main("etl.start()\netl.run(hangs, left, parallel=2)\netl.end()", jobs="hangs, left")
    running = folder.start(variables=SECRET)
    pid = int(until(lambda: _text(folder.path / "pid"), "the job runs"))
    running.kill()
    running.wait()
    until(lambda: _is_gone(pid), "its process ends")
    running.communicate()


def test_a_function_of_the_main_is_found_by_its_name(folder: FlowFolder) -> None:
    folder.main(
        "etl.start()\netl.run(here, there, parallel=2)\netl.end()",
        head="def here(job):\n    job.tally.notes.append('here')\n\n\n"
        "def there(job):\n    job.tally.notes.append('there')\n",
    )
    done = folder.run(variables=SECRET)
    assert done.returncode == 0, done.stderr
    assert "  here\n" in done.stdout
    assert "  there\n" in done.stdout


def test_a_function_that_has_no_name_elsewhere_is_wrong_use(folder: FlowFolder) -> None:
    def inner(job: Job) -> None:
        raise AssertionError(job)

    env = choose({**folder.env, "crm": {}}, "dev", folder.path)
    etl = Etl(env=env, say=lambda _: None)
    etl.start()
    with pytest.raises(UsageError, match=r"^inner: with parallel= a job is a module"):
        etl.run(inner, inner, parallel=2)
    with pytest.raises(UsageError, match="parallel is a number of processes from 1, not 0"):
        etl.run(inner, parallel=0)
    etl.end()


def test_settings_that_another_process_cannot_have_fail_the_job(folder: FlowFolder) -> None:
    folder.main(
        "etl.start()\nos.environ.pop('CRM_PASSWORD')\netl.run(left, parallel=2)\netl.end()",
        head="import os\n",
        jobs="left",
    )
    done = folder.run(variables=SECRET)
    assert done.returncode == 1
    said = "crm.password: the variable CRM_PASSWORD is not set, nor is it in .env"
    assert f"left: failed: {said}" in done.stdout
    assert folder.rows("select job, status, error from penstock.jobs") == [("left", "failed", said)]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
