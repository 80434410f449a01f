"""Schedules for those who start flows by cron, systemd or Kubernetes. Not for: starting them here.

They start a flow at the same times on ordinary days. When clocks are changed, and when a start was
missed, they do as they do: `docs/howto/schedules.md` says what differs.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UsageError
from penstock.schedule.mains import RUN_ONCE, Main
from penstock.schedule.times import Cron

_DAY_NAMES = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_WEEK = 7
#: The longest name of a CronJob: Kubernetes puts eleven characters behind it.
_LONGEST_NAME = 52
#: Seconds that a missed start may be late where missed ones are left out.
_DEADLINE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """How the flows are run there.

    Attributes:
        project: The project's name.
        folder: Where it lies.
        environment: In which they run.
        python: The program that runs them.
    """

    project: str
    folder: Path
    environment: str
    python: str

    def words(self, main: Main) -> list[str]:
        """The command line."""
        return [self.python, main.path.name, "-e", self.environment]


def crontab(mains: Sequence[Main], where: Installed) -> str:
    """Lines for a crontab, by time zone.

    Raises:
        UsageError: An expression says what cron cannot; all of them are listed.
    """
    _require_plain(mains)
    lines = [
        "# CRON_TZ is known to cronie (Red Hat, SUSE, Arch). Debian's cron ignores it, and takes",
        "# the times as those of the machine.",
    ]
    for zone in dict.fromkeys(main.timezone for main in mains):
        lines.append(f"CRON_TZ={zone}")
        for main in mains:
            if main.timezone == zone:
                command = f"cd {shlex.quote(str(where.folder))} && {shlex.join(where.words(main))}"
                escaped = command.replace("%", r"\%")  # cron makes a line's end of it
                lines += [f"{' '.join(_fields(cron))}  {escaped}" for cron in main.crons]
    return "\n".join(lines) + "\n"


def systemd(mains: Sequence[Main], where: Installed) -> Mapping[str, str]:
    """A service and a timer for each main: name of the unit -> its text.

    Raises:
        UsageError: An expression says what a timer cannot; all of them are listed.
    """
    _require_plain(mains)
    units = {}
    for main in mains:
        stem = f"penstock-{_name(f'{where.project}-{main.name}')}"
        what = f"{where.project}/{main.name} ({where.environment})"
        units[f"{stem}.service"] = "\n".join(
            [
                "[Unit]",
                f"Description=Flow {what}".replace("%", "%%"),
                "",
                "[Service]",
                "Type=oneshot",
                f"WorkingDirectory={where.folder}".replace("%", "%%"),
                f"ExecStart={' '.join(map(_quoted, where.words(main)))}",
                "# 3: rows were refused; 75: it runs already, or what it requires is too old.",
                "SuccessExitStatus=3 75",
                "",
            ]
        )
        units[f"{stem}.timer"] = "\n".join(
            [
                "[Unit]",
                f"Description=Starts of the flow {what}".replace("%", "%%"),
                "",
                "[Timer]",
                *(
                    f"OnCalendar={one} {main.timezone}"
                    for cron in main.crons
                    for one in _calendar(cron)
                ),
                "AccuracySec=1s",
                f"Persistent={'true' if main.missed == RUN_ONCE else 'false'}",
                "",
                "[Install]",
                "WantedBy=timers.target",
                "",
            ]
        )
    return units


def kubernetes(mains: Sequence[Main], where: Installed, image: str) -> str:
    """CronJob manifests, one for each expression.

    Args:
        mains: With schedules.
        where: How they are run; the folder and Python are those of the image.
        image: That runs them.

    Raises:
        UsageError: An expression says what a CronJob cannot; all of them are listed.
    """
    _require_plain(mains, stars=False)
    texts = []
    for main in mains:
        for number, cron in enumerate(main.crons, 1):
            tail = f"-{number}" if len(main.crons) > 1 else ""
            name = _name(f"{where.project}-{main.name}")[: _LONGEST_NAME - len(tail)].rstrip("-")
            texts.append("\n".join(_cron_job(main, cron, name + tail, where, image)))
    return "---\n".join(texts)


def _cron_job(main: Main, cron: Cron, name: str, where: Installed, image: str) -> Iterator[str]:
    # JSON's texts are YAML's.
    yield "apiVersion: batch/v1"
    yield "kind: CronJob"
    yield "metadata:"
    yield f"  name: {json.dumps(name)}"
    yield "spec:"
    yield f"  schedule: {json.dumps(' '.join(_fields(cron)))}"
    yield f"  timeZone: {json.dumps(_zone(main.timezone))}"
    yield "  concurrencyPolicy: Forbid"
    if main.missed != RUN_ONCE:
        yield f"  startingDeadlineSeconds: {_DEADLINE}"
    yield "  jobTemplate:"
    yield "    spec:"
    yield "      backoffLimit: 0"
    yield "      template:"
    yield "        spec:"
    yield "          restartPolicy: Never"
    yield "          containers:"
    yield '            - name: "flow"'
    yield f"              image: {json.dumps(image)}"
    yield f"              command: {json.dumps(['python', *where.words(main)[1:]])}"
    yield ""


def _zone(name: str) -> str:
    return "Etc/UTC" if name == "UTC" else name


def _require_plain(mains: Sequence[Main], *, stars: bool = True) -> None:
    """Refuse what other programs do not know, or understand otherwise.

    Args:
        mains: With schedules.
        stars: True: they know, as cron does, that `*/2` and another restricted day mean both.
    """
    problems = []
    for main in mains:
        for cron in main.crons:
            _, _, day, _, weekday = cron.text.split()
            both = day != "*" and weekday != "*"
            if re.search(r"[L#W]", f"{day} {re.sub('[A-Z]{3}', '', weekday.upper())}".upper()):
                problems.append(f"{main.path.name}: {cron.text!r}: L, W and # are not known there")
            elif both and cron.parsed.day_and and not stars:
                problems.append(
                    f"{main.path.name}: {cron.text!r}: a step of days together with days of the "
                    "week means either there, and both here"
                )
    if problems:
        raise UsageError("\n".join(problems))


def _fields(cron: Cron) -> list[str]:
    """The fields as every cron reads them: numbers, and Sunday is 0."""
    minute, hour, day, month, weekday = cron.text.split()
    parsed = cron.parsed
    days = {int(str(one)) % _WEEK for one in parsed.weekdays}
    return [
        _field(minute, parsed.minutes),
        _field(hour, parsed.hours),
        _field(day, parsed.days),
        _field(month, parsed.months),
        _field(weekday, days),
    ]


def _field(text: str, values: Collection[int]) -> str:
    """`*` and `*/n` stay, as their star means something; all else in numbers."""
    return text if re.fullmatch(r"\*(/\d+)?", text) else _numbers(values, "-")


def _calendar(cron: Cron) -> list[str]:
    """As systemd.time has it; two where the day of the month or that of the week is enough."""
    _, _, day, month, weekday = cron.text.split()
    parsed = cron.parsed
    days = {int(str(one)) % _WEEK for one in parsed.weekdays}
    time = f"{_part(parsed.hours, 24)}:{_part(parsed.minutes, 60)}:00"
    months = "*" if month == "*" else _numbers(parsed.months, "..")
    dates = "*" if day == "*" else _numbers(parsed.days, "..")
    on = "" if len(days) == _WEEK else f"{','.join(_DAY_NAMES[one] for one in sorted(days))} "
    if day != "*" and weekday != "*" and not parsed.day_and:
        return [f"*-{months}-{dates} {time}", f"{on}*-{months}-* {time}"]
    return [f"{on}*-{months}-{dates} {time}"]


def _part(values: Collection[int], whole: int) -> str:
    return "*" if len(values) == whole else _numbers(values, "..", width=2)


def _numbers(values: Collection[int], to: str, width: int = 1) -> str:
    """`1,3-5`: numbers, and ranges of three and more."""
    runs: list[list[int]] = []
    for one in sorted(values):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    parts = []
    for run in runs:
        texts = [f"{one:0{width}d}" for one in run]
        parts += [f"{texts[0]}{to}{texts[-1]}"] if len(texts) > 2 else texts
    return ",".join(parts)


def _quoted(word: str) -> str:
    r"""A word of ExecStart: `%` and `$` mean something there."""
    safe = word.replace("\\", r"\\").replace('"', r"\"").replace("%", "%%").replace("$", "$$")
    return safe if re.fullmatch(r"[\w./@:+=%$-]+", safe) else f'"{safe}"'


def _name(text: str) -> str:
    """Lower case letters, digits and dashes: what Kubernetes takes, and no shell quotes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "flow"
