"""Writes `results.md`: what was measured, against what was promised; a section for each server.

Not for: measuring.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from bench.measured import Measured

_MB = 1_000_000
_TITLE = """# Measurements

Written by `make bench`; by hand only wrong figures come in. Whole processes are timed by the wall
clock, from their start to their end, on files that are in the page cache, against a server on the
same machine that is set as in production (fsync on). The contestants of a group take turns, each
round begins with another one. Before each run the tables are emptied and a checkpoint is made;
after each, the rows in the table are counted. Ratios are those of medians. The package has its
byte code, as pip leaves it. What is there for its memory alone is run once.

Where the time of the missed goals goes, on these two cores: a whole process pays some tenths of a
second for Python and its imports, which a million rows do not spread thin. Within the load the
client (read, check, encode) and the server (COPY) keep both cores busy at once, so that only less
work per row helps; then come the keys, built again and checked (a fifth of the load), and
ANALYZE. No check was given up for a number. A load above `--max-lock` reads and checks everything
before it locks, and pays for that by not overlapping with the server. The modes that go by a key
add one join of all rows with the table; what they stage of more than 8 MiB is an unlogged table, so
that the server joins on both cores (docs/adr/0010-large-stages-are-unlogged.md). `sync` finds what
is gone in the same join; `scd2` arranges versions besides.

The machine is shared, and a load that keeps two cores busy feels it more than a bare copy that
keeps one: in an earlier run of the same day the load itself took 1.80 times a bare copy instead of
2.07, and no cause was found in what changed on its way since.

Of events: what is done by hand keeps no raw bytes, no books, and nothing of a bad event. The
pipeline writes four rows for each: what came, its two ids, and the target's. A replay looks each
row up in the target and compares it, which costs more than half of writing it. One INSERT a
request is quicker than the receiver where a commit costs next to nothing, as on this disk. What
receiver and worker take in half an hour is in `steady.md`.
"""
_SECTION = re.compile(r"(?m)^(?=## PostgreSQL )")
_PACKAGES = ("penstock", "polars", "psycopg", "sqlalchemy", "pandas", "dlt", "pyarrow")
#: Contestants that others of their group are compared with.
_FIRST = {"usual": "bare", "big": "big-bare", "modes": "modes-bare", "large": "large-bare"}


@dataclass(frozen=True)
class Goal:
    """A promise.

    Attributes:
        says: In words.
        most: What must not be passed; of a ratio or of seconds.
        one: The contestant.
        other: What it is compared with; empty: with nothing.
        least: True where more is better, and `most` the least.
        minus: True where it is the difference of the two, in seconds.
        on_15: What must not be passed on PostgreSQL 15, where that is another figure.
        times: What the first one's figure is multiplied by: it had so many times less to do.
    """

    says: str
    most: float
    one: str
    other: str = ""
    least: bool = False
    minus: bool = False
    on_15: float | None = None
    times: float = 1.0

    def line(self, measured: Mapping[str, Measured], major: str) -> str | None:
        """The goal, what was measured, and whether it is met; None where it was not measured."""
        if self.one not in measured or (self.other and self.other not in measured):
            return None
        value = measured[self.one].median * self.times
        if self.minus:
            value -= measured[self.other].median
        elif self.other:
            value /= measured[self.other].median
        most = self.on_15 if self.on_15 is not None and major == "15" else self.most
        met = value >= most if self.least else value <= most
        unit = "x" if self.other and not self.minus else "s"
        sign = ">=" if self.least else "<="
        return f"| {self.says} | {sign} {most:g} {unit} | {value:.2f} {unit} | {_met(met)} |"


GOALS = (
    Goal("as owner / bare `\\copy`", 2.2, "owner", "bare", on_15=1.8),
    Goal("the load itself / bare `\\copy`", 1.7, "itself", "bare"),
    Goal("constrained `\\copy` / as owner", 4.0, "constrained", "owner", least=True),
    Goal("the big load / bare `\\copy`, `--max-lock 120`", 1.5, "big", "big-bare"),
    Goal("unprivileged role / constrained `\\copy`", 1.1, "loader", "constrained"),
    Goal("1 % bad rows / clean, as owner", 1.5, "bad", "owner"),
    Goal("1 % bad rows / clean, the big load, staged", 1.5, "big-staged-bad", "big-staged"),
    Goal("1 % bad rows / clean, the big load, `--max-lock 120`", 1.5, "big-bad", "big"),
    Goal("upsert, all unchanged / bare `\\copy`", 3.0, "upsert-same", "modes-bare"),
    Goal("upsert, 1 % changed / bare `\\copy`", 3.5, "upsert-some", "modes-bare"),
    Goal("sync, 1 % changed / bare `\\copy`", 3.5, "sync-some", "modes-bare"),
    Goal("sync of the big file / bare `\\copy`", 3.5, "large-sync", "large-bare"),
    Goal("scd2, 1 % changed / bare `\\copy`", 4.0, "scd2-some", "modes-bare"),
    Goal("Parquet / CSV", 1.0, "parquet", "modes-csv"),
    Goal("NDJSON / CSV", 1.6, "ndjson", "modes-csv"),
    Goal("dlt merge / upsert, all unchanged", 4.0, "dlt-merge", "upsert-same", least=True),
    Goal("a flow of 20 rows - the bare load", 0.5, "few-flow", "few-bare", minus=True),
    Goal("a flow with nothing to do", 1.0, "idle"),
    Goal("a job from table to table / COPY to COPY", 3.0, "copy-flow", "copy-psql"),
    Goal("`etl.fetch` / `sftp`", 3.0, "fetch", "sftp"),
    Goal("events, frame transform / plain SQL", 0.45, "events-frame", "events-sql"),
    Goal("events, transform of one / plain SQL", 0.9, "events-dict", "events-sql"),
    Goal("replay, nothing changed / the first load", 0.5, "events-replay", "events-frame"),
    Goal(
        "ten times dlt of 100,000 / events", 8.0, "events-dlt", "events-frame", least=True, times=10
    ),
    Goal("the queue, 100,000 no-op events", 10.0, "events-queue"),
    Goal(
        "twenty times procrastinate of 5,000 / the queue",
        40.0,
        "events-jobs",
        "events-queue",
        least=True,
        times=20,
    ),
    Goal("webhooks, 10,000 (2,000 a second)", 5.0, "events-hooks"),
    Goal("one INSERT a request / webhooks", 4.0, "events-hooks-hand", "events-hooks", least=True),
    Goal("webhooks at 500 a second, 99 of 100", 0.1, "events-hooks-late"),
    Goal("accepted until visible at 200 a second, 99 of 100", 1.0, "events-visible"),
    Goal("20 rows", 1.0, "twenty"),
    Goal("`rejects list` of 1,000,000 rejects", 0.5, "rejects"),
    Goal("`penstock --help`", 0.3, "help"),
)
#: Bytes of memory that no load may pass, with many rows in any mode and format, and otherwise.
_MOST_OF_MANY, _MOST_MEMORY = 450 * _MB, 400 * _MB
#: Those that are none of Penstock's.
_OTHERS = ("bare", "constrained", "pandas", "dlt", "dlt-merge", "help", "copy-psql", "sftp")


def section(
    server: str, settings: Mapping[str, str], measured: Sequence[Measured], *, rounds: int
) -> str:
    """The section of one server.

    Args:
        server: Its version and origin.
        settings: What it was started with.
        measured: The figures.
        rounds: How often each was run.
    """
    by_name = {one.contestant.name: one for one in measured}
    lines = [
        f"## PostgreSQL {server}",
        "",
        f"{time.strftime('%Y-%m-%d')}, {rounds} rounds. {_machine()}. {_versions()}. "
        f"Server: {', '.join(f'{k} = {v}' for k, v in settings.items())}.",
        "",
        *_table(measured, by_name),
        "",
        *_goals(by_name, server.partition(".")[0]),
        *_profile(by_name),
    ]
    return "\n".join(lines) + "\n"


def _table(measured: Sequence[Measured], by_name: Mapping[str, Measured]) -> list[str]:
    lines = [
        "| what | rows | seconds (median) | least to most | rows/s | peak MB | x bare |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in measured:
        who, seconds = one.contestant, one.median
        first = by_name.get(_FIRST.get(who.group, ""))
        lines.append(
            f"| {who.says} | {f'{who.rows:,}' if who.rows else ''} | {seconds:.2f} "
            f"| {min(one.seconds):.2f} to {max(one.seconds):.2f} "
            f"| {f'{who.rows / seconds:,.0f}' if who.rows else ''} | {one.peak / _MB:,.0f} "
            f"| {f'{seconds / first.median:.2f}' if first else ''} |"
        )
    return [
        *lines,
        "",
        "Peak MB is the most of any round, of the process with those that it called, not of the "
        f"server; what is below {_own_size() / _MB:,.0f} cannot be told from the measuring "
        "process, of which each is a copy for a moment.",
    ]


def _goals(by_name: Mapping[str, Measured], major: str) -> list[str]:
    found = [line for goal in GOALS if (line := goal.line(by_name, major)) is not None]
    ours = [
        one for name, one in by_name.items() if name not in _OTHERS and not name.endswith("-bare")
    ]
    many = [one for one in ours if one.contestant.group == "memory"]
    # The rows of a job are a frame of its own making: they are in memory as a whole.
    rest = [one for one in ours if one not in many and one.contestant.group != "flows"]
    for says, loads, bytes_ in (
        ("any load", rest, _MOST_MEMORY),
        ("every mode and format, many rows", many, _MOST_OF_MANY),
    ):
        if loads:
            most = max(loads, key=lambda one: one.peak)
            found.append(
                f"| memory of {says} (most: {most.contestant.name}) | <= {bytes_ / _MB:.0f} MB "
                f"| {most.peak / _MB:,.0f} MB | {_met(most.peak <= bytes_)} |"
            )
    if not found:
        return []
    return ["| goal | | measured | |", "|---|---|---|---|", *found, ""]


def _profile(by_name: Mapping[str, Measured]) -> list[str]:
    """Where the time of the load itself goes: medians of each step."""
    itself = by_name.get("itself")
    if itself is None:
        return []
    names = list(dict.fromkeys(name for steps in itself.steps for name in steps))
    seconds = {name: median(s.get(name, 0.0) for s in itself.steps) for name in names}
    whole = sum(seconds.values())
    lines = ["| step of the load itself | seconds | share |", "|---|--:|--:|"]
    lines += [f"| {n} | {s:.3f} | {s / whole:.0%} |" for n, s in seconds.items()]
    return [*lines, ""]


def write(path: Path, text: str) -> None:
    """Put the section into the file, in place of the one of the same server."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    title = text.partition("\n")[0]
    kept = [part for part in _SECTION.split(before) if part.startswith("## PostgreSQL ")]
    others = [part.strip() for part in kept if part.partition("\n")[0] != title]
    sections = sorted([*others, text.strip()], reverse=True)
    path.write_text("\n\n".join([_TITLE.strip(), *sections]) + "\n", encoding="utf-8")


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _machine() -> str:
    found = re.search(r"(?m)^model name\s*: (.*)$", _text(Path("/proc/cpuinfo")))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[2]
    return (
        f"{os.cpu_count()} cores ({found[1] if found else platform.machine()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, load average of 15 minutes {load:.1f}"
    )


def _versions() -> str:
    known = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(known)


def _own_size() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", _text(Path("/proc/self/status")))
    return int(found[1]) * 1024 if found else 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
