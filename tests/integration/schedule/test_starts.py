"""Each start that is due happens once, whoever sees to it; what nobody saw to follows the policy.

The clock is handed to the schedulers; signs of life are made old in the ledger, not waited for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from penstock.ledger import install
from penstock.schedule.scheduler import Scheduler
from tests.fixtures.postgres import OwnCluster
from tests.integration.cli.program import environment
from tests.integration.schedule.conftest import FLOW, Project

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
STATES = "select due_at, status, missed, exit_code from penstock.schedules order by due_at"


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def forget(project: Project) -> None:
    """As if the last signs of life were older than a lease."""
    project.rows(
        "update penstock.schedules set beat = beat - interval '91 seconds' "
        "where status in ('claimed', 'running') returning 1"
    )


def watched_since(project: Project, since: str, flow: str = "shop/main") -> None:
    with project.connect() as connection:
        connection.execute(
            "insert into penstock.schedules (flow, due_at, status) values (%s, %s, 'watched')",
            [flow, since],
        )


def test_two_schedulers_start_each_due_time_once(project: Project) -> None:
    project.main()
    project.main("other", schedule=("*/10 * * * *",))
    now = [NOON]
    meet = threading.Barrier(2, lambda: now.__setitem__(0, now[0] + timedelta(minutes=5)))

    def run() -> None:
        for _ in range(8):
            meet.wait(timeout=60)
            project.once(now[0])

    project.once(NOON)
    pair = [threading.Thread(target=run) for _ in range(2)]
    for one in pair:
        one.start()
    for one in pair:
        one.join()
    booked = project.rows(
        "select flow, due_at, claim::text, exit_code from penstock.schedules "
        "where status = 'ended' order by 1, 2"
    )
    fives = [DUE + timedelta(minutes=5 * number) for number in range(8)]
    assert [(flow, at, code) for flow, at, _, code in booked] == [
        *(("shop/main", at, 0) for at in fives),
        *(("shop/other", at, 0) for at in fives if at.minute % 10 == 0),
    ]
    assert sorted(project.begun()) == sorted(claim for _, _, claim, _ in booked)


def test_two_programs_side_by_side_run_a_flow_once(project: Project) -> None:
    project.main(text=FLOW, schedule=("0 0 * * *",))
    watched_since(project, "2026-01-01 12:00+00")
    project.go()
    pair = [project.program("--once") for _ in range(2)]
    said = [one.communicate(timeout=60)[1] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], said
    assert project.begun() == ["main"]
    (row,) = project.rows(
        "select s.status, s.exit_code, r.status, s.started_at <= s.finished_at, s.missed > 300 "
        "from penstock.schedules s join penstock.runs r using (run_id)"
    )
    assert row == ("ended", 0, "succeeded", True, True)


def test_what_was_due_before_it_was_watched_was_not_missed(project: Project) -> None:
    project.main()
    assert project.once(NOON).done == []
    assert project.once(NOON + timedelta(minutes=4)).done == []
    (done,) = project.once(NOON + timedelta(minutes=5)).done
    assert (done.due.at, done.exit_code) == (DUE, 0)


def test_missed_starts_are_run_once(project: Project) -> None:
    project.main()
    project.once(NOON)
    (done,) = project.once(NOON + timedelta(minutes=17)).done
    assert done.due.at == DUE + timedelta(minutes=10)
    assert project.once(NOON + timedelta(minutes=18)).done == []
    assert project.rows(STATES)[1:] == [(DUE + timedelta(minutes=10), "ended", 2, 0)]
    assert len(project.begun()) == 1
    assert "main: 2 starts were missed; this one stands for them" in project.said


def test_missed_starts_are_left_out_where_the_main_says_so(project: Project) -> None:
    project.main(missed="skip")
    project.once(NOON)
    assert project.once(NOON + timedelta(minutes=17)).done == []
    assert project.rows(STATES)[1:] == [(DUE + timedelta(minutes=10), "skipped", 2, None)]
    (done,) = project.once(NOON + timedelta(minutes=20)).done
    assert done.due.at == DUE + timedelta(minutes=15)


def test_a_flow_that_runs_still_when_due_again_is_booked_as_such(project: Project) -> None:
    project.main(text=FLOW)
    project.once(NOON)
    first = threading.Thread(target=project.once, args=[DUE])
    first.start()
    until(lambda: project.begun() == ["main"], "the flow did not begin")
    (second,) = project.once(DUE + timedelta(minutes=5)).done
    project.go()
    first.join()
    assert second.exit_code == 75
    assert project.rows(STATES)[1:] == [
        (DUE, "ended", 0, 0),
        (DUE + timedelta(minutes=5), "ended", 0, 75),
    ]
    assert project.begun() == ["main"]


def test_a_flow_that_fails_before_it_begins_is_booked_with_its_exit_code(project: Project) -> None:
    project.main(text=FLOW, more="import no_such_package")
    project.once(NOON)
    (done,) = project.once(DUE).done
    assert done.exit_code == 1
    assert project.rows(STATES)[1:] == [(DUE, "ended", 0, 1)]


def killed_after_its_claim(project: Project) -> str:
    """A scheduler claims a start, and is killed before it begins it; gives the claim."""
    driver = textwrap.dedent(
        """
        import os, signal, sys
        from datetime import datetime
        from pathlib import Path
        from penstock.schedule.scheduler import Scheduler
        from tests.integration.schedule.conftest import Project

        Scheduler._begin = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        Project(Path(sys.argv[1]), sys.argv[2]).once(datetime.fromisoformat(sys.argv[3]))
        """
    )
    died = subprocess.run(
        [sys.executable, "-c", driver, project.folder, project.url, DUE.isoformat()],
        env={**environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    ((claim,),) = project.rows(
        "select claim::text from penstock.schedules where status = 'claimed'"
    )
    return str(claim)


def test_a_start_whose_scheduler_was_killed_before_it_is_taken_over_once(project: Project) -> None:
    project.main(text=FLOW)
    project.go()
    project.once(NOON)
    earlier = killed_after_its_claim(project)
    assert project.once(DUE + timedelta(minutes=1)).done == [], "its lease holds"
    forget(project)
    (done,) = project.once(DUE + timedelta(minutes=2)).done
    assert (done.due.at, done.exit_code) == (DUE, 0)
    late = project.run_main(PENSTOCK_START=earlier)
    assert late.returncode == 75
    assert "taken this start over" in late.stderr
    assert project.begun() == ["main"]
    assert project.rows(STATES)[1:] == [(DUE, "ended", 0, 0)]


def test_a_flow_that_was_started_and_not_begun_loses_against_who_took_over_and_only_then(
    project: Project,
) -> None:
    project.main(text=FLOW)
    project.go()
    project.once(NOON)
    earlier = killed_after_its_claim(project)
    assert project.run_main(PENSTOCK_START=earlier).returncode == 0
    forget(project)
    assert project.once(DUE + timedelta(minutes=2)).done == [], "it was begun: never twice"
    assert project.begun() == ["main"]
    assert project.rows(STATES)[1:] == [(DUE, "lost", 0, None)]


def test_a_start_that_was_claimed_and_not_begun_is_left_out_where_the_main_says_so(
    project: Project,
) -> None:
    project.main(missed="skip")
    project.once(NOON)
    killed_after_its_claim(project)
    forget(project)
    assert project.once(DUE + timedelta(minutes=2)).done == []
    assert project.rows(STATES)[1:] == [(DUE, "skipped", 0, None)]
    assert project.begun() == []


def test_a_start_that_a_later_one_overtook_is_left_out(project: Project) -> None:
    project.main()
    project.once(NOON)
    killed_after_its_claim(project)
    assert len(project.once(DUE + timedelta(minutes=5)).done) == 1
    project.rows("update penstock.schedules set status = 'ended' where exit_code = 0 returning 1")
    forget(project)
    assert project.once(DUE + timedelta(minutes=6)).done == []
    assert [row[1] for row in project.rows(STATES)] == ["watched", "skipped", "ended"]


def test_a_flow_goes_on_when_its_scheduler_is_killed_and_is_booked_as_lost(
    project: Project,
) -> None:
    project.main(text=FLOW, schedule=("0 0 * * *",))
    watched_since(project, "2026-01-01 12:00+00")
    program = project.program()
    until(lambda: project.begun() == ["main"], "the flow did not begin")
    program.kill()
    program.wait()
    project.go()
    ended = "select 1 from penstock.runs where kind = 'flow' and status = 'succeeded'"
    until(lambda: bool(project.rows(ended)), "the flow did not end")
    program.communicate(timeout=60)
    forget(project)
    again = project.program("--once")
    assert "lost its scheduler" in again.communicate(timeout=60)[1]
    assert project.begun() == ["main"]
    joined = (
        "select s.status, r.status from penstock.schedules s join penstock.runs r using (run_id)"
    )
    assert project.rows(joined) == [("lost", "succeeded")]


def test_a_stop_waits_for_the_flow_and_a_second_one_interrupts_it(project: Project) -> None:
    project.main(text=FLOW, schedule=("0 0 * * *",))
    watched_since(project, "2026-01-01 12:00+00")
    program = project.program("--json")
    until(lambda: project.begun() == ["main"], "the flow did not begin")
    program.send_signal(signal.SIGTERM)
    assert program.stderr is not None
    said = ""
    while "Once more interrupts" not in said:
        said = program.stderr.readline()
        assert said, "it did not say that it waits"
    program.send_signal(signal.SIGINT)
    answer, rest = program.communicate(timeout=60)
    assert program.returncode == 0
    assert '"exit_code": 130' in answer
    assert "main: ended, exit code 130" in rest
    assert project.rows("select status from penstock.runs where kind = 'flow'") == [
        ("interrupted",)
    ]


def test_a_stop_waits_until_the_flow_has_ended_by_itself(project: Project) -> None:
    project.main(text=FLOW, schedule=("0 0 * * *",))
    watched_since(project, "2026-01-01 12:00+00")
    program = project.program()
    until(lambda: project.begun() == ["main"], "the flow did not begin")
    program.send_signal(signal.SIGTERM)
    project.go()
    _, said = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "main: ended, exit code 0" in said
    assert project.rows(
        "select status, exit_code from penstock.schedules where claim is not null"
    ) == [("ended", 0)]


WAITS = """
import time
from pathlib import Path
schedule = {schedule!r}
missed = {missed!r}

def flow(etl): ...

Path("begun").touch()
while not Path("go").exists():
    time.sleep(0.01)
"""


def test_a_database_that_is_restarted_costs_nothing_and_is_said_once(
    own_cluster: OwnCluster, tmp_path: Path
) -> None:
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        install.ensure(connection, own_cluster.url)
    project = Project(tmp_path, own_cluster.url)
    project.main(text=WAITS)
    now = [NOON]
    scheduler: Scheduler = project.scheduler(lambda: now[0])
    now[0] = DUE
    runs = threading.Thread(target=scheduler.run)
    runs.start()
    until((tmp_path / "begun").exists, "the flow did not begin")
    own_cluster.stop()
    project.go()
    until(lambda: any("does not answer" in one for one in project.said), "it was not noticed")
    own_cluster.start()
    project.url = own_cluster.url
    until(lambda: any("answers again" in one for one in project.said), "it did not come back")
    scheduler.stop()
    runs.join(timeout=30)
    assert project.rows(STATES)[1:] == [(DUE, "ended", 0, 0)]
    assert sum("does not answer" in one for one in project.said) == 1
