"""Schedules for cron, systemd and Kubernetes: their texts by hand."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.schedule.export import Installed, crontab, kubernetes, systemd
from penstock.schedule.mains import Main
from penstock.schedule.times import Cron

WHERE = Installed(
    project="Shop", folder=Path("/srv/50% shop"), environment="prod", python="/srv/venv/bin/python"
)


def main(
    *texts: str, name: str = "main", zone: str = "Europe/Madrid", missed: str = "run once"
) -> Main:
    crons = tuple(Cron(text) for text in texts)
    return Main(path=Path(f"{name}.py"), crons=crons, timezone=zone, zone=UTC, missed=missed)


def test_a_crontab_has_a_line_for_each_expression_under_its_time_zone() -> None:
    mains = [
        main("0 6 * * MON-FRI", "*/5 7-18 * * 7"),
        main("5/20 0 1,2,3 JAN *", name="b", zone="UTC"),
    ]
    command = r"cd '/srv/50\% shop' && /srv/venv/bin/python {}.py -e prod"
    assert [line for line in crontab(mains, WHERE).splitlines() if line[0] != "#"] == [
        "CRON_TZ=Europe/Madrid",
        f"0 6 * * 1-5  {command.format('main')}",
        f"*/5 7-18 * * 0  {command.format('main')}",
        "CRON_TZ=UTC",
        f"5,25,45 0 1-3 1 *  {command.format('b')}",
    ]


def test_systemd_has_a_service_and_a_timer_for_each_main() -> None:
    units = systemd([main("0 5 20 * *", "*/30 7-18 * * 1-5", "0 6 13 * 5", missed="skip")], WHERE)
    assert list(units) == ["penstock-shop-main.service", "penstock-shop-main.timer"]
    service, timer = units.values()
    assert "ExecStart=/srv/venv/bin/python main.py -e prod\n" in service
    assert "WorkingDirectory=/srv/50%% shop\n" in service
    calendar = [line for line in timer.splitlines() if line.startswith("OnCalendar")]
    assert calendar == [
        "OnCalendar=*-*-20 05:00:00 Europe/Madrid",
        "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 07..18:00,30:00 Europe/Madrid",
        # The 13th, and every Friday.
        "OnCalendar=*-*-13 06:00:00 Europe/Madrid",
        "OnCalendar=Fri *-*-* 06:00:00 Europe/Madrid",
    ]
    assert "Persistent=false\n" in timer


def test_kubernetes_has_a_cron_job_for_each_expression() -> None:
    text = kubernetes([main("0 6 * * 7", "0 19 * * *", zone="UTC", missed="skip")], WHERE, "shop:7")
    first, second = text.split("---\n")
    assert '  name: "shop-main-1"\n' in first
    assert '  name: "shop-main-2"\n' in second
    assert '  schedule: "0 6 * * 0"\n  timeZone: "Etc/UTC"\n' in first
    assert "  startingDeadlineSeconds: 60\n" in first
    assert 'image: "shop:7"' in first
    assert 'command: ["python", "main.py", "-e", "prod"]' in first
    assert "startingDeadlineSeconds" not in kubernetes([main("0 6 * * *")], WHERE, "shop:7")


def test_what_others_do_not_know_is_refused_all_at_once() -> None:
    mains = [main("0 0 L * *", "0 6 * * WED,FRI"), main("0 6 * * 5#2", "0 6 * * 5L", name="b")]
    for refused in (crontab, systemd):
        with pytest.raises(UsageError) as told:
            refused(mains, WHERE)
        assert [line.partition(": L")[0] for line in told.value.message.splitlines()] == [
            "main.py: '0 0 L * *'",
            "b.py: '0 6 * * 5#2'",
            "b.py: '0 6 * * 5L'",
        ]


def test_what_kubernetes_understands_otherwise_is_refused_there_alone() -> None:
    mains = [main("0 6 */2 * 1")]
    with pytest.raises(UsageError, match=r"either there, and both here"):
        kubernetes(mains, WHERE, "shop")
    assert "0 6 */2 * 1  cd" in crontab(mains, WHERE)
    assert "OnCalendar=Mon *-*-1,3,5,7,9,11," in systemd(mains, WHERE)["penstock-shop-main.timer"]
