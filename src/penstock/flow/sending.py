"""Sends a job's rows to another system, and keeps the books of each. Not for: how it is asked.

What is about to be sent is noted before, and what was accepted soon after: after a kill at any
moment the ledger knows what may have arrived. A row that did not arrive is a reject.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars as pl
import psycopg

from penstock.connectors.sending import Answered, Outgoing, Response
from penstock.errors import ConnectorError, PenstockError, UsageError
from penstock.flow.outgoing import Fault, Row
from penstock.flow.sent import FAILED, Sending, Sent, frame_of
from penstock.ledger import rejects, runs, sends
from penstock.ledger.runs import RunRecord
from penstock.ledger.sends import Known, Taken
from penstock.loading.spool import SCHEMA, Spool
from penstock.model.batch import LINE, ROW, Malformed
from penstock.model.result import LoadResult


class Send:
    """Carries out one send.

    Args:
        sending: What.
        connection: To the ledger, in autocommit, for this send alone.
    """

    def __init__(self, sending: Sending, connection: psycopg.Connection[Any]) -> None:
        self._its = sending
        self._connection = connection
        self._run = RunRecord("send", f"{sending.name} {sending.place.module}")
        self._load_id = str(uuid.uuid4())
        self._responses: list[Response | None] = [None] * len(sending.rows)
        self._known: dict[str, Known] = {}
        self._accepted: dict[str, bytes] = {}
        self._flying: tuple[int, ...] = ()
        self._in_a_row = 0
        self._failures = len(sending.malformed)
        self._stopped = ""
        self._error: ConnectorError | None = None
        self._began = time.perf_counter()

    def run(self) -> Sent:
        """Send everything that is to be sent.

        Where the other system cannot be reached or refuses the login, `error` says so, and what
        was sent until then is booked.
        """
        its, connection = self._its, self._connection
        runs.begin_run(connection, self._run, its.place.target)
        runs.begin_load(
            connection,
            self._run,
            self._load_id,
            table=its.table,
            mode=its.mode,
            sources=list(dict.fromkeys(source for source, _ in its.origins)),
        )
        try:
            self._judge()
            self._send_all()
            sent = self._finish()
        except BaseException as error:
            # Whatever it was: what is known is kept, and the error goes on.
            with suppress(psycopg.Error, PenstockError):
                ctrl_c = isinstance(error, KeyboardInterrupt)
                said = "interrupted by Ctrl-C" if ctrl_c else str(error) or type(error).__name__
                self._finish(said)
            raise
        return sent

    def _judge(self) -> None:
        """Rows that are refused before anything is sent."""
        for place, row in enumerate(self._its.rows):
            if row.faults:
                first = row.faults[0]
                said = "; ".join(f"{one.column}: {one.reason}" for one in row.faults)
                self._responses[place] = Response(outcome="refused", code=first.code, reason=said)
                self._failures += 1
        keys = [row.record.key for row in self._its.rows if row.record and row.record.key]
        if keys:
            self._known = sends.known(self._connection, self._its.place, keys)

    def _send_all(self) -> None:
        chunk: dict[int, Outgoing] = {}
        keys: set[str] = set()
        for place, row in enumerate(self._its.rows):
            one = row.record
            if one is None:
                continue
            if one.key in keys or len(chunk) >= self._its.writer.size:
                self._flush(chunk)
                chunk, keys = {}, set()
            if self._over():
                break
            response = self._not_needed(row)
            if response is not None:
                self._take(place, response)
                continue
            chunk[place] = one
            if one.key is not None:
                keys.add(one.key)
        if not self._over():
            self._flush(chunk)

    def _not_needed(self, row: Row) -> Response | None:
        """What is known of a record without sending it; None: it is to be sent."""
        its, one = self._its, row.record
        assert one is not None  # noqa: S101  the caller asked
        if its.dry_run:
            return Response(outcome="not_sent", code="dry_run", reason="nothing is sent in a trial")
        if one.key is None:
            return None
        if its.writer.repeatable and self._accepted.get(one.key) == row.hash:
            said = "an earlier row of this send was the same"
            return Response(outcome="unchanged", reason=said)
        known = self._known.get(one.key)
        if known is None or one.key in self._accepted:
            return None
        if not known.in_the_air and its.only_changed and known.hash == row.hash:
            return Response(outcome="unchanged", target_id=known.target_id)
        if not known.in_the_air or its.writer.repeatable:
            return None
        return self._arrived(row, one)

    def _arrived(self, row: Row, one: Outgoing) -> Response | None:
        """A run that was cut off has sent this record: is it there?"""
        try:
            found = self._its.writer.look_up(one)
        except ConnectorError as error:
            self._error = error
            return Response(outcome="unknown", code="unknown", reason=error.message)
        if found is not None and found.outcome == "sent" and one.key is not None:
            self._accepted[one.key] = row.hash
            taken = [Taken(one.key, row.hash, found.target_id)]
            sends.book(self._connection, self._its.place, self._load_id, taken, [])
        return found

    def _flush(self, chunk: Mapping[int, Outgoing]) -> None:
        """Send a chunk, the intention noted before, the outcome booked at once."""
        if not chunk:
            return
        its, rows = self._its, self._its.rows
        contents = {one.key: rows[place].hash for place, one in chunk.items() if one.key}
        sends.intend(self._connection, its.place, self._load_id, contents)
        self._flying = tuple(chunk)
        answered: Answered = its.writer.send(list(chunk.values()))
        self._flying = ()
        taken, let_go = [], []
        pairs = zip(chunk.items(), answered.responses, strict=True)
        for (place, one), response in pairs:
            self._take(place, response)
            if one.key is None:
                continue
            if response.outcome == "sent":
                taken.append(Taken(one.key, rows[place].hash, response.target_id))
                self._accepted[one.key] = rows[place].hash
            elif response.outcome != "unknown":
                let_go.append(one.key)
        sends.book(self._connection, its.place, self._load_id, taken, let_go)
        self._error = answered.error

    def _take(self, place: int, response: Response) -> None:
        self._responses[place] = response
        if response.code == "dry_run":
            return
        if response.outcome in FAILED:
            self._failures += 1
            self._in_a_row += 1
        else:
            self._in_a_row = 0

    def _over(self) -> bool:
        """True where nothing more is sent."""
        its, read = self._its, len(self._its.rows) + len(self._its.malformed)
        if self._error is not None:
            self._stopped = self._error.message
        elif its.stop_after is not None and self._in_a_row >= its.stop_after:
            self._stopped = f"{self._in_a_row:,} failures one after the other"
        elif not its.budget.allows(self._failures, read):
            self._stopped = f"{self._failures:,} of {read:,} rows failed, allowed are {its.budget}"
        return bool(self._stopped)

    def _finish(self, broken: str = "") -> Sent:
        its, error = self._its, broken or (self._error.message if self._error else "")
        reason = f"stopped before it: {error or self._stopped}"
        rest = Response(outcome="not_sent", code="not_sent", reason=reason)
        lost = Response(outcome="unknown", code="unknown", reason=f"it may have arrived: {error}")
        for place in self._flying:
            self._responses[place] = lost
        responses = [one or rest for one in self._responses]
        spool = Spool(lambda number: self._origin(number))
        self._fill(spool, responses, failed=bool(error))
        counts: Counter[str] = Counter(one.outcome for one in responses)
        result = self._result(counts, responses, spool)
        status = "dry_run" if its.dry_run else "failed" if error else "succeeded"
        taken = list(self._accepted)
        with self._connection.transaction():
            if spool.rows and not its.dry_run:
                rejects.write(
                    self._connection, self._load_id, its.table, spool.frames(), self._origin
                )
            if taken:
                sends.resolve(self._connection, self._load_id, its.table, taken)
            runs.finish_load(self._connection, result, status, error or None)
            runs.finish_run(self._connection, self._run, status, error or None)
        spool.close()
        keys = [row.record.key if row.record else None for row in its.rows]
        return Sent(
            result=result,
            table=f"{its.name} {its.table.table}",
            counts={name: counts.get(name, 0) for name in ("sent", "unchanged", *FAILED)},
            stopped=self._stopped,
            error=self._error,
            frame=frame_of(its.source.get_column(ROW), keys, responses),
        )

    def _result(
        self, counts: Mapping[str, int], responses: Sequence[Response], spool: Spool
    ) -> LoadResult:
        its = self._its
        created = sum(
            one.outcome == "sent" and (one.created or its.mode == "create") for one in responses
        )
        tried = counts.get("not_sent", 0) if its.dry_run else 0
        failed = sum(counts.get(name, 0) for name in FAILED) - tried
        return LoadResult(
            run_id=self._run.run_id,
            load_id=self._load_id,
            target=its.place.target,
            table=str(its.table),
            mode=its.mode,
            read=len(responses) + len(its.malformed),
            inserted=created,
            updated=counts.get("sent", 0) - created,
            unchanged=counts.get("unchanged", 0),
            ignored=tried,
            quarantined=failed + len(its.malformed),
            seconds=time.perf_counter() - self._began,
            strategy=f"sent to {its.place.target}, {its.writer.size:,} together",
            reasons=spool.reasons(),
            warnings=(f"stopped: {self._stopped}",) if self._stopped else (),
            dry_run=its.dry_run,
        )

    def _origin(self, number: int) -> tuple[str, int]:
        """Source and record of a row, by its number from 1; malformed ones come after."""
        place, rows = number - 1, len(self._its.origins)
        return self._its.origins[place] if place < rows else self._its.malformed[place - rows][1]

    def _fill(self, spool: Spool, responses: Sequence[Response], *, failed: bool) -> None:
        """The rows that did not arrive; where the send failed as a whole, only those it tried."""
        wanted = ("refused", "unknown") if failed else FAILED
        places = [
            place
            for place, one in enumerate(responses)
            if one.outcome in wanted and one.code != "dry_run"
        ]
        faults = [self._its.rows[place].faults or _fault(responses[place]) for place in places]
        records = [self._its.rows[place].record for place in places]
        texts = self._its.source[places].drop(ROW)
        spool.add(
            pl.DataFrame(
                {
                    ROW: [place + 1 for place in places],
                    LINE: [0] * len(places),
                    "raw": [b""] * len(places),
                    "values": texts.select(pl.struct(pl.all()).struct.json_encode()).to_series(),
                    "columns": [[one.column for one in several] for several in faults],
                    "codes": [[one.code for one in several] for several in faults],
                    "reasons": [[one.reason for one in several] for several in faults],
                    "bad": [[one.value for one in several] for several in faults],
                    "key": [[one.key] if one is not None and one.key else None for one in records],
                },
                schema=dict(SCHEMA),
            )
        )
        first = len(responses) + 1
        spool.add_malformed(
            [
                Malformed(first + number, one.line, one.raw, one.code, one.reason)
                for number, (one, _) in enumerate(self._its.malformed)
            ]
        )


def _fault(response: Response) -> Sequence[Fault]:
    return [Fault("", response.code, response.reason)]


def send_rows(sending: Sending, ledger: Callable[[], psycopg.Connection[Any]] | None) -> Sent:
    """Send, with a connection to the ledger of its own.

    Raises:
        UsageError: There is no ledger.
    """
    if ledger is None:
        raise UsageError(f"{sending.name}: sending needs the ledger, which a flow has")
    with ledger() as connection:
        return Send(sending, connection).run()
