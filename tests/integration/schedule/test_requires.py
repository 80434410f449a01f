"""A flow that requires another one to be fresh."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.errors import TryAgain
from penstock.flow.beginning import begin, requirements
from penstock.ledger.flows import FlowRun
from penstock.project.environment import choose
from tests.integration.schedule.conftest import FLOW, Project


@pytest.fixture
def flows(project: Project) -> Project:
    project.go()
    project.main("companies", text=FLOW)
    return project


def offers(project: Project, requires: Any) -> None:
    project.main("offers", text=FLOW, more=f"requires = {requires!r}")


def make_old(project: Project, age: str) -> None:
    project.rows(
        f"update penstock.runs set finished_at = finished_at - interval '{age}' "
        "where command = 'shop/companies' returning 1"
    )


def test_a_flow_does_not_start_before_what_it_requires_has_succeeded(flows: Project) -> None:
    offers(flows, [("companies", "24h")])
    done = flows.run_main("offers")
    assert done.returncode == 75
    assert (
        "shop/offers requires companies, not older than 24h: it has never succeeded. Nothing was "
        "done. Run it: penstock run companies.py -e dev." in done.stderr
    )
    assert flows.rows("select 1 from penstock.runs") == []
    assert flows.run_main("companies").returncode == 0
    assert flows.run_main("offers").returncode == 0
    assert flows.begun() == ["companies", "offers"]


@pytest.mark.parametrize(
    ("required", "age", "fresh"),
    [
        ("24h", "23 hours 59 minutes", True),
        ("24h", "24 hours 1 minute", False),
        ("90m", "89 minutes", True),
        ("90m", "91 minutes", False),
        ("1.5d", "35 hours", True),
        ("7d", "8 days", False),
    ],
)
def test_the_age_of_the_last_success_decides(
    flows: Project, required: str, age: str, fresh: bool
) -> None:
    flows.rows(
        "insert into penstock.runs (run_id, kind, command, target, host, process, version, status, "
        "finished_at) values (gen_random_uuid(), 'flow', 'shop/companies', '', '', 1, '', "
        f"'succeeded', now() - interval '{age}') returning 1"
    )
    env = choose({"project": "shop", "dev": {}}, "dev", flows.folder)
    told = nullcontext() if fresh else pytest.raises(TryAgain, match="it succeeded last on")
    with flows.connect() as connection, told:
        begin(
            connection, FlowRun("shop/offers"), env, requirements([("companies", required)]), print
        )


def test_what_is_required_is_run_first_where_the_main_says_so(flows: Project) -> None:
    offers(flows, [("companies", "24h", "run")])
    assert flows.run_main("offers").returncode == 0
    assert flows.run_main("offers").returncode == 0, "it is fresh now"
    assert flows.begun() == ["companies", "offers", "offers"]
    make_old(flows, "25 hours")
    assert flows.run_main("offers").returncode == 0
    assert flows.begun() == ["companies", "offers", "offers", "companies", "offers"]


def test_a_dry_run_runs_nothing_else(flows: Project) -> None:
    env = choose({"project": "shop", "dev": {}}, "dev", flows.folder)
    required = requirements([("companies", "24h", "run")])
    run = FlowRun("shop/offers")
    with flows.connect() as connection, pytest.raises(TryAgain, match="never succeeded"):
        begin(connection, run, env, required, print, dry_run=True)
    assert flows.begun() == []


def test_a_required_flow_that_fails_keeps_this_one_from_starting(flows: Project) -> None:
    flows.main("companies", text=FLOW, more="raise SystemExit(1)")
    offers(flows, [("companies", "24h", "run")])
    done = flows.run_main("offers")
    assert done.returncode == 75
    assert "It was run, and ended with exit code 1." in done.stderr
    assert flows.begun() == []


def test_flows_that_require_one_another_are_told_and_do_not_run_for_ever(flows: Project) -> None:
    flows.main("companies", text=FLOW, more='requires = [("offers", "1h", "run")]')
    offers(flows, [("companies", "1h", "run")])
    done = flows.run_main("offers")
    assert done.returncode == 75
    assert "Flows require one another: offers -> companies -> offers" in done.stderr
    assert flows.begun() == []


def test_a_start_of_a_scheduler_is_that_of_the_flow_and_not_of_what_it_requires(
    flows: Project,
) -> None:
    (flows.folder / "companies.py").write_text(
        FLOW.format(schedule=[], missed="skip", more=""), encoding="utf-8"
    )
    offers(flows, [("companies", "24h", "run")])
    at = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
    flows.once(at)
    (done,) = flows.once(at + timedelta(minutes=5)).done
    assert done.exit_code == 0
    assert flows.begun() == ["companies", "offers"]
    joined = "select r.command from penstock.schedules join penstock.runs r using (run_id)"
    assert flows.rows(joined) == [("shop/offers",)]


def test_wrong_requirements_are_told_all_at_once(flows: Project) -> None:
    offers(flows, [("companies", "24"), "companies", ("companies", "1h", "wait"), ("x", "1h")])
    done = flows.run_main("offers")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("requires: ")]
    assert [line.partition(" must be")[0] for line in lines] == [
        "requires: ('companies', '24')",
        "requires: 'companies'",
        "requires: ('companies', '1h', 'wait')",
    ]


def test_a_required_flow_that_does_not_exist_is_told(flows: Project) -> None:
    offers(flows, [("customers", "1h", "run")])
    done = flows.run_main("offers")
    assert done.returncode == 2
    assert "There is no main customers.py" in done.stderr
