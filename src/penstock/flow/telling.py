"""Which mails a run sends, each problem once. Not for: what they say (`alerts.mails`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import psycopg

from penstock.alerts.mails import Failure, JobLine, Refused, write_failure, write_refused
from penstock.connectors.smtp import Smtp
from penstock.errors import ConnectorError
from penstock.flow.catching import ErrorFile
from penstock.flow.housekeeping import CORRECTIONS
from penstock.flow.running import JobResult
from penstock.ledger import flows, outbox
from penstock.ledger.flows import FlowRun
from penstock.project.environment import Environment

#: What differs from time to time in one and the same problem: numbers, ids.
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+", re.I)


class Telling:
    """Puts mails into the ledger's outbox, and sends what is due.

    Args:
        ledger: In autocommit.
        mailer: Sends; None: nothing is mailed.
        run: The flow's run.
        env: Its environment.
    """

    def __init__(
        self, ledger: psycopg.Connection[Any], mailer: Smtp | None, run: FlowRun, env: Environment
    ) -> None:
        self._ledger = ledger
        self._mailer = mailer
        self._run = run
        self._env = env

    def refused(self, files: Sequence[ErrorFile], to: str | None = None) -> list[str]:
        """One mail to each of those who are told; a row that was mailed is not mailed again.

        Returns:
            Why others are told than was said: an address is wrong. The rows are not kept from
            people, nor the flow from going on, because of that.
        """
        if self._mailer is None:
            return []
        by_reader: dict[tuple[str, ...], list[ErrorFile]] = {}
        wrong: dict[str, None] = {}
        for one in files:
            try:
                readers = self._mailer.recipients(to or one.to)
            except ConnectorError as error:
                readers = self._mailer.recipients()
                wrong[f"{error.message}: {', '.join(readers)} are told instead"] = None
            by_reader.setdefault(readers, []).append(one)
        for readers, theirs in by_reader.items():
            rows = sum(one.rows for one in theirs)
            noun = "row" if rows == 1 else "rows"
            subject = f"[{self._run.flow} {self._env.name}] {rows:,} {noun} refused"
            message = self._mailer.message(subject, "", readers)
            parts = [
                Refused(
                    job=one.job,
                    table=one.table,
                    rows=one.rows,
                    reasons=one.reasons,
                    path=one.path,
                    unlinked=one.unlinked,
                )
                for one in theirs
            ]
            write_refused(message, self._run.flow, self._env.name, parts, str(CORRECTIONS))
            ids = [number for one in theirs for number in one.ids]
            outbox.put(self._ledger, self._run.run_id, "rejects", message, ids)
        return list(wrong)

    def failure(self, cause: str, results: Sequence[JobResult]) -> None:
        """Tell a failed run; the same problem only once, then at most daily."""
        shape = hashlib.sha256(_VARYING.sub("#", cause).encode()).hexdigest()[:16]
        times, since, tell = outbox.open_incident(
            self._ledger, self._run.flow, shape, self._run.run_id
        )
        if self._mailer is None or not tell:
            return
        short = cause.splitlines()[0][:120]
        subject = f"[{self._run.flow} {self._env.name}] failed: {short}"
        message = self._mailer.message(subject, "", self._mailer.recipients())
        lines = [
            JobLine(
                job=one.record.job,
                status=one.record.status,
                extracted=one.record.extracted,
                loaded=one.record.loaded,
                rejected=one.record.rejected,
            )
            for one in results
        ]
        write_failure(
            message,
            Failure(
                flow=self._run.flow,
                environment=self._env.name,
                run_id=self._run.run_id,
                cause=cause,
                since=since,
                times=times,
                last_success=flows.last_success(self._ledger, self._run.flow),
                jobs=lines,
                rerun=f"python main.py -e {self._env.name} --resume {self._run.run_id[:8]}",
            ),
        )
        outbox.put(self._ledger, self._run.run_id, "failure", message)

    def recovered(self) -> None:
        """Tell that what failed before is over."""
        closed = outbox.close_incidents(self._ledger, self._run.flow)
        if self._mailer is None or not closed:
            return
        since = min(opened for _, opened, _ in closed)
        subject = f"[{self._run.flow} {self._env.name}] works again"
        text = f"{self._run.flow} succeeded. It had failed since {since:%Y-%m-%d %H:%M}.\n"
        message = self._mailer.message(subject, text, self._mailer.recipients())
        outbox.put(self._ledger, self._run.run_id, "recovered", message)

    def send(self) -> list[str]:
        """Send what is due; why the rest waits."""
        if self._mailer is None:
            return []
        _, problems = outbox.send_due(self._ledger, self._mailer.send_bytes)
        return problems
