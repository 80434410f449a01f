"""The plan of a flow, and flows of which a part is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.fixtures.flows import FlowFolder
from tests.integration.cli.program import environment, penstock

LOADS = '''"""Takes {name} in.

More of it.
"""


def run(job):
    found = job.connect("drops").read("{name}*.csv")
    job.connect("warehouse").load(found, "{name}", mode="upsert", key="id", create=True)
'''
FAILS = "retries = 3\nbackoff = 0.5\n\n\ndef run(job):\n    raise ValueError('no')\n"
STEPS = """etl.start()
etl.fetch("drops", "/out/*.csv")
outcome = etl.run(customers, offers)
print("a line of the flow's own", outcome.failed, outcome.results[0].record.loaded)
etl.run(prices, here, parallel=2, mail=True)
etl.mail(outcome.error_files, to="sales")
etl.backup("*.csv")
etl.purge(days=30)
etl.end()"""


@pytest.fixture
def folder(flow_folder: FlowFolder) -> FlowFolder:
    names = ("customers", "offers")
    flow_folder.jobs(prices=FAILS, **{name: LOADS.format(name=name) for name in names})
    for name in names:
        flow_folder.drop(f"{name}.csv", "id\n1\n2\n")
    flow_folder.main(STEPS, head="def here(job):\n    pass\n", jobs="customers, offers, prices")
    return flow_folder


def job(number: int, name: str, **more: object) -> dict[str, object]:
    usual = {
        "number": number,
        "job": name,
        "module": f"jobs.{name}",
        "file": f"jobs/{name}.py",
        "docs": f"Takes {name} in.",
        "after": [],
        "retries": 0,
        "backoff": 1.0,
        "left_out": "",
    }
    return usual | more


def test_the_plan_has_every_step_and_connects_to_nothing(folder: FlowFolder) -> None:
    folder.env["dev"]["warehouse"] = {
        "kind": "postgres",
        "host": "db.invalid",
        "database": "shop",
        "user": "etl",
        "password": "vault:kv/shop#password",
    }
    folder.env["dev"]["token"] = "enc:nonsense"
    before = sorted(folder.path.rglob("*"))
    done = folder.run("--plan", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "a line of the flow's own False 0\n"
    here = {"module": "__main__", "file": "main.py", "docs": ""}
    assert json.loads(done.stdout) == {
        "flow": "shop/main",
        "environment": "dev",
        "steps": [
            {"step": "start"},
            {"step": "fetch", "source": "drops", "pattern": "/out/*.csv", "to": "data/import"},
            {
                "step": "run",
                "parallel": 1,
                "mail": False,
                "jobs": [job(1, "customers"), job(2, "offers", after=["customers"])],
            },
            {
                "step": "run",
                "parallel": 2,
                "mail": True,
                "jobs": [
                    job(3, "prices", docs="", retries=3, backoff=0.5),
                    job(4, "here", **here),
                ],
            },
            {"step": "mail", "to": "sales"},
            {"step": "backup", "pattern": "*.csv"},
            {"step": "purge", "days": 30},
            {"step": "end"},
        ],
    }
    after = [path for path in sorted(folder.path.rglob("*")) if "__pycache__" not in path.parts]
    assert after == sorted([*before, folder.path / "config.py"]), "nothing is written"


def test_people_read_the_plan_too(folder: FlowFolder) -> None:
    done = folder.run("--plan", "--from", "offers")
    assert done.stdout.splitlines() == [
        "shop/main, dev",
        "  1  start",
        "  2  fetch   drops /out/*.csv -> data/import",
        "  3  run     customers (jobs/customers.py): Takes customers in."
        " Left out: before offers (--from).",
        "             offers (jobs/offers.py): Takes offers in. After customers.",
        "  4  run     side by side, 2 at a time:",
        "             prices (jobs/prices.py) Up to 4 attempts.",
        "             here (main.py)",
        "  5  mail    to sales",
        "  6  backup  *.csv",
        "  7  purge   30 days",
        "  8  end",
    ]


def test_penstock_run_shows_the_plan(folder: FlowFolder) -> None:
    folder.write("config.py", f"env = {folder.env!r}\n")
    done = penstock(folder.path, "run", "--plan", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"][0] == {"step": "start"}


@pytest.mark.parametrize(
    "program", [["main.py", "--plan"], ["main.py", "--plan", "--json"], ["-m", "penstock", "run"]]
)
def test_a_plan_that_is_not_read_to_its_end_ends_quietly(
    folder: FlowFolder, program: list[str]
) -> None:
    folder.write("config.py", f"env = {folder.env!r}\n")
    words = program if "--plan" in program else [*program, "--plan", "--json"]
    unread, written = os.pipe()
    os.close(unread)
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder.path,
            env=environment(),
            stdout=written,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(written)
    assert done.returncode == 141
    assert done.stderr == b"a line of the flow's own False 0\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--only", "custmers"],
            "--only: this flow has no job 'custmers', did you mean customers?",
        ),
        (["--from", "offer"], "--from: this flow has no job 'offer', did you mean offers?"),
        (["--plan", "--from", "zzz"], "--from: this flow has no job 'zzz'\nIts jobs: customers,"),
        (
            ["--from", "prices", "--only", "offers"],
            "--from prices --only offers: nothing is left to run, as offers comes before prices. "
            "From prices on: prices, here",
        ),
        (["--plan", "--from", "offers", "--only", "customers"], "nothing is left to run"),
        (["--json"], "--json belongs to --plan"),
        (["--plan", "--resume", "1"], "leave --resume out"),
        (
            ["--resume", "1234"],
            "--resume: there is no run of shop/main whose id begins with '1234'",
        ),
    ],
)
def test_what_is_not_there_is_named_before_anything_is_done(
    folder: FlowFolder, words: list[str], said: str
) -> None:
    done = folder.run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder.path / "logs").glob("*.jsonl"))


def test_a_flow_that_asks_for_more_than_a_plan_has_is_told(folder: FlowFolder) -> None:
    folder.main("etl.start()\netl.abandon(None)")
    done = folder.run("--plan")
    assert done.returncode == 2
    assert done.stderr == "The flow cannot be planned: it asks for etl.abandon\n"


def test_from_a_job_on_leaves_out_and_books_what_is_before_it(folder: FlowFolder) -> None:
    folder.main("etl.start()\netl.run(customers, offers)\netl.end()", jobs="customers, offers")
    done = folder.run("--from", "offers")
    assert done.returncode == 0, done.stderr
    assert "customers: before offers (--from)\noffers: 2 read, 2 loaded" in done.stdout
    assert folder.rows("select number, job, status, error from penstock.jobs order by 1") == [
        (1, "customers", "skipped", "before offers (--from)"),
        (2, "offers", "succeeded", None),
    ]
    assert folder.rows("select id from offers order by 1") == [(1,), (2,)]
    assert folder.rows("select to_regclass('customers')") == [(None,)]


def test_a_run_that_resumed_can_be_resumed(folder: FlowFolder) -> None:
    folder.main(
        "etl.start()\netl.run(customers, prices, offers)\netl.end()",
        jobs="customers, offers, prices",
    )
    folder.jobs(prices=FAILS.replace("retries = 3", "retries = 0"))
    assert folder.run().returncode == 1
    ((first,),) = folder.rows("select run_id::text from penstock.runs where kind = 'flow'")
    done = folder.run("--resume", first[:8])
    assert f"customers: done by run {first[:8]} (--resume)" in done.stdout
    assert done.returncode == 1
    ((second,),) = folder.rows(
        "select run_id::text from penstock.runs where kind = 'flow' "
        "order by started_at desc limit 1"
    )
    folder.jobs(prices="def run(job):\n    pass\n")
    done = folder.run("--resume", second[:8])
    assert f"customers: done by run {first[:8]} (--resume)" in done.stdout
    assert done.returncode == 0
    assert folder.rows("select id from offers order by 1") == [(1,), (2,)]


def test_importing_a_main_has_no_effect(folder: FlowFolder) -> None:
    folder.write("config.py", f"env = {folder.env!r}\n")
    before = sorted(folder.path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", "import main"], cwd=folder.path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    after = [path for path in sorted(folder.path.rglob("*")) if "__pycache__" not in path.parts]
    assert after == before
