"""Which mains have a schedule; none of them is run."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.schedule.mains import scheduled

FLOW = "\ndef flow(etl):\n    raise SystemExit('the flow was run')\n"


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_mains_are_found_without_running_them(tmp_path: Path) -> None:
    write(tmp_path, "main.py", f'import no_such_package\nschedule = ["0 6 * * *"]\n{FLOW}')
    write(
        tmp_path,
        "monthly.py",
        'schedule: list[str] = ["0 5 20 * *", "0 6 1 * *"]\ntimezone = "Europe/Madrid"\n'
        f'missed = "skip"\n{FLOW}',
    )
    write(
        tmp_path, "other.py", 'schedule = ("0 7 * * *",)\nraise SystemExit(Etl.main(load, env))\n'
    )
    write(
        tmp_path,
        "shared.py",
        'from custom import nightly as flow\nschedule = ["0 8 * * *"]\n',
    )
    write(tmp_path, "by_hand.py", FLOW)
    write(tmp_path, "empty.py", f"schedule = []\n{FLOW}")
    write(tmp_path, "no_flow.py", 'schedule = "of something else"\n')
    found = scheduled(tmp_path)
    assert [one.name for one in found] == ["main", "monthly", "other", "shared"]
    assert [one.timezone for one in found] == ["UTC", "Europe/Madrid", "UTC", "UTC"]
    assert [one.missed for one in found] == ["run once", "skip", "run once", "run once"]
    starts = islice(found[1].after(datetime(2026, 6, 10, tzinfo=UTC)), 2)
    assert [one.isoformat() for one in starts] == [
        "2026-06-20T03:00:00+00:00",
        "2026-07-01T04:00:00+00:00",
    ]


def test_the_project_says_the_time_zone_of_mains_that_say_none(tmp_path: Path) -> None:
    write(tmp_path, "main.py", f'schedule = ["0 6 * * *"]\n{FLOW}')
    (main,) = scheduled(tmp_path, "America/New_York")
    assert main.timezone == "America/New_York"
    assert next(main.after(datetime(2026, 1, 1, tzinfo=UTC))).hour == 11


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    write(tmp_path, "a.py", f'schedule = ["0 6 * *", "0 6 * * *", "61 * * * *"]\n{FLOW}')
    write(tmp_path, "b.py", f'schedule = "0 6 * * *"\ntimezone = "Europe/Madriz"\n{FLOW}')
    write(tmp_path, "c.py", f'schedule = times()\nmissed = "never"\n{FLOW}')
    write(tmp_path, "d.py", "schedule = [\n")
    with pytest.raises(UsageError) as told:
        scheduled(tmp_path)
    lines = told.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("a.py, line 1", "a.py, line 1", "b.py, line 2", "b.py, line 1"),
        *("c.py, line 2", "c.py, line 1", "d.py, line 1"),
    ]
    for line, part in zip(
        lines,
        ["'0 6 * *'", "'61 * * * *'", "Europe/Madriz", "list of texts", "never", "written out", ""],
        strict=True,
    ):
        assert part in line


def test_a_time_zone_of_the_project_that_does_not_exist_is_told(tmp_path: Path) -> None:
    write(tmp_path, "main.py", f'schedule = ["0 6 * * *"]\n{FLOW}')
    with pytest.raises(UsageError, match=r"main\.py: timezone: .*Mars/Base"):
        scheduled(tmp_path, "Mars/Base")
