"""The mains of a project that have a schedule, read without running them. Not for: their starts.

`schedule`, `timezone` and `missed` are read from the text of a main, as literals: looking for what
is due imports nothing of the project, and a main with a missing package is found too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from penstock.errors import UsageError
from penstock.schedule.times import Cron, starts

#: What becomes of starts that were due while no scheduler ran.
RUN_ONCE, SKIP = "run once", "skip"
_DEFAULT_ZONE = "UTC"
_NAMES = ("schedule", "timezone", "missed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Main:
    """A main with a schedule.

    Attributes:
        path: The file.
        crons: Its expressions.
        timezone: Name of the time zone that they are in.
        zone: That time zone.
        missed: `run once` or `skip`.
    """

    path: Path
    crons: tuple[Cron, ...]
    timezone: str
    zone: tzinfo
    missed: str

    @property
    def name(self) -> str:
        """The flow's name: the stem of the file."""
        return self.path.stem

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Its starts later than this moment, in order, in UTC."""
        return starts(self.crons, moment, self.zone)


def scheduled(folder: Path, timezone: str | None = None) -> list[Main]:
    """The mains of a project that have a schedule: files in its folder with a flow, by name.

    Args:
        folder: The project.
        timezone: For those that name none; default UTC.

    Raises:
        UsageError: Files or expressions are wrong; all of them are listed.
    """
    found, problems = [], []
    for path in sorted(folder.glob("*.py")):
        try:
            tree = ast.parse(path.read_bytes(), str(path))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            problems.append(f"{path.name}{f', line {line}' if line else ''}: {error.args[0]}")
            continue
        said = dict(_assigned(tree))
        if "schedule" in said and _has_flow(tree):
            reading = _Reading(path, said, problems)
            one = reading.main(timezone or _DEFAULT_ZONE)
            if one.crons:
                found.append(one)
    if problems:
        raise UsageError("\n".join(problems))
    return found


def zone_named(name: Any) -> tzinfo | None:
    """The time zone of this name; None where there is none."""
    if name == _DEFAULT_ZONE:
        return UTC  # also where the system has no time zones
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads what a main says; notes what is wrong instead of stopping."""

    path: Path
    said: dict[str, ast.expr]
    problems: list[str]

    def main(self, timezone: str) -> Main:
        zone, missed = self._value("timezone", timezone), self._value("missed", RUN_ONCE)
        found = zone_named(zone)
        if found is None:
            self._wrong("timezone", f"there is no time zone {zone!r}, such as Europe/Madrid")
        if missed not in (RUN_ONCE, SKIP):
            self._wrong("missed", f'{missed!r} must be "{RUN_ONCE}" or "{SKIP}"')
        crons = tuple(self._crons())
        return Main(
            path=self.path, crons=crons, timezone=str(zone), zone=found or UTC, missed=str(missed)
        )

    def _crons(self) -> Iterator[Cron]:
        texts = self._value("schedule", [])
        if not isinstance(texts, (list, tuple)) or not all(isinstance(one, str) for one in texts):
            self._wrong("schedule", 'it must be a list of texts: ["0 6 * * *"]')
            return
        for text in texts:
            try:
                yield Cron(text)
            except ValueError as error:
                self._wrong("schedule", f"{text!r} is no cron expression: {error}")

    def _value(self, name: str, default: Any) -> Any:
        if name not in self.said:
            return default
        try:
            return ast.literal_eval(self.said[name])
        except ValueError:
            self._wrong(name, "it must be written out, as the file is read and not run")
            return default

    def _wrong(self, name: str, what: str) -> None:
        where = f", line {self.said[name].lineno}" if name in self.said else ""
        self.problems.append(f"{self.path.name}{where}: {name}: {what}")


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for one in targets:
            if isinstance(one, ast.Name) and one.id in _NAMES and node.value is not None:  # type: ignore[attr-defined]
                yield one.id, node.value  # type: ignore[attr-defined]


def _has_flow(tree: ast.Module) -> bool:
    """True where there is a function `flow`, made or imported, or a call of `Etl.main`."""
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names += [one.asname or one.name for one in node.names]
    if "flow" in names:
        return True
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "main"
        and isinstance(node.value, ast.Name)
        and node.value.id == "Etl"
        for node in ast.walk(tree)
    )
