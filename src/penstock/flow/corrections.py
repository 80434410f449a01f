"""Loads again what was refused and somebody corrected. Not for: the load itself (`loading`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.places import FileState, local_name, state_of
from penstock.errors import PenstockError
from penstock.flow import housekeeping
from penstock.flow.catching import ErrorFile, reasons_of
from penstock.flow.log import RunLog
from penstock.ledger import flows, outbox
from penstock.ledger.flows import FlowRun
from penstock.ledger.quarantine import Selection
from penstock.loading.export import export_rejects
from penstock.loading.replay import run_replay
from penstock.model.result import ReplayResult

#: What programs that have a file open put beside it.
_LOCKS = ("~$", ".")
_JOB = "corrections"


class Corrections:
    """The corrected files of one run.

    A replay is one transaction, in which each reject is closed with its row: a run that is killed
    leaves the file where it is, and the next one loads no row twice. What is refused again is told
    before the file is moved; after a kill between the two it is told again.

    Args:
        ledger: In autocommit.
        database: Where the rejects are.
        run: The flow's run.
        root: The project's.
        log: Of the run.
    """

    def __init__(
        self,
        ledger: psycopg.Connection[Any],
        database: str,
        run: FlowRun,
        root: Path,
        log: RunLog,
    ) -> None:
        self._ledger, self._database, self._run = ledger, database, run
        self._root, self._log = root, log

    def replay(
        self,
        say: Callable[[str], None],
        tell: Callable[[Sequence[ErrorFile]], None],
        *,
        dry_run: bool,
    ) -> int:
        """Load what lies in `data/import/corrections`; gives how many rows were refused again.

        A file that cannot be replayed stays where it is, and is a warning.

        Args:
            say: Prints a line for people.
            tell: Mails error files.
            dry_run: True: it is rolled back, and no file is moved.
        """
        refused = 0
        for path in sorted((self._root / housekeeping.CORRECTIONS).iterdir()):
            if not path.is_file() or path.name.startswith(_LOCKS):
                continue
            name, state = path.name, state_of(path)
            try:
                result = self._replayed(path, dry_run=dry_run)
            except PenstockError as error:
                said = f"{housekeeping.CORRECTIONS / name} was not replayed: {error.message}"
                say(f"warning: {said}")
                self._log.write("correction", file=name, error=error.message)
                continue
            say(f"corrections: {name}: {_said(result, dry_run=dry_run)}")
            self._log.write(
                "correction", file=name, replayed=result.replayed, refused=result.waiting
            )
            if not dry_run:
                refused += result.waiting
                self._ended(result, path, state, say, tell)
        return refused

    def _ended(
        self,
        result: ReplayResult,
        path: Path,
        state: FileState | None,
        say: Callable[[str], None],
        tell: Callable[[Sequence[ErrorFile]], None],
    ) -> None:
        """Tell what was refused again, and move the file; it stays where one of them fails."""
        try:
            files = self._caught(result, path)
            for one in files:
                say(f"  refused again: {one.path.relative_to(self._root)}")
            tell(files)
            done = {} if state is None else {path: state}
            if not housekeeping.backup(self._root, self._run.run_id, done):
                say(f"  {path.name} was written anew meanwhile: it stays, for the next run")
        except (OSError, PenstockError) as error:
            why = error.strerror if isinstance(error, OSError) else error.message
            say(
                f"warning: {path.name} stays in {housekeeping.CORRECTIONS}: {why}; the "
                "next run tells what was refused again"
            )

    def _replayed(self, path: Path, *, dry_run: bool) -> ReplayResult:
        result = run_replay(
            self._database,
            path,
            lambda _: Selection(ids=()),
            {"dry_run": dry_run},
            command=self._run.flow,
            like_its_load=True,
        )
        runs = sorted({load.run_id for load in result.loads if load.run_id})
        if runs and not dry_run:
            flows.part_of(self._ledger, self._run, _JOB, runs)
        return result

    def _caught(self, result: ReplayResult, file: Path) -> list[ErrorFile]:
        """What was refused again, in new files, for those who were told before."""
        files = []
        for number, load in enumerate(result.loads):
            if not load.quarantined:
                continue
            for place, (to, ids) in enumerate(
                sorted(outbox.mail_anew(self._ledger, [load.load_id]).items())
            ):
                name = f"{self._run.run_id[:8]}-{file.stem}-{number + 1}-{place + 1}.xlsx"
                path = self._root / housekeeping.ERRORS / local_name(name)
                export_rejects(self._ledger, path, Selection(ids=tuple(ids)))
                table = str(load.table)
                files.append(
                    ErrorFile(
                        path=path,
                        job=_JOB,
                        table=table,
                        to=to or None,
                        ids=tuple(ids),
                        reasons=reasons_of(load.reasons),
                    )
                )
        return files


def _said(result: ReplayResult, *, dry_run: bool) -> str:
    verb = "would be loaded" if dry_run else "loaded"
    said = f"{_rows(result.replayed)} {verb}"
    said += f", {result.waiting:,} refused again" if result.waiting else ""
    reasons: dict[str, int] = {}
    for why in result.skipped.values():
        reasons[why] = reasons.get(why, 0) + 1
    told = ", ".join(f"{count:,} {why}" for why, count in sorted(reasons.items()))
    return said + (f"; left out: {told}" if told else "")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
