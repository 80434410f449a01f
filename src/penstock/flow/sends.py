"""`Connection.send`: a job's rows are made records, sent, and booked in its tally.

Not for: the steps of sending (`sending`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
import psycopg

from penstock.connectors.protocol import Connector
from penstock.connectors.sending import Writer
from penstock.errors import ConnectorError, UsageError
from penstock.flow.outgoing import rows_of
from penstock.flow.sending import send_rows
from penstock.flow.sent import Sending, Sent
from penstock.flow.tally import Tally
from penstock.ledger.sends import Place
from penstock.loading.load import budget_from
from penstock.model.batch import ROW, file_of, record_of

if TYPE_CHECKING:
    from penstock.mapping.map import Map


class Sender(Protocol):
    """What of a job is needed here; see `job.Job`."""

    tally: Tally
    dry_run: bool
    flow: str
    ledger: Callable[[], psycopg.Connection[Any]] | None


def send(
    job: Sender,
    connector: Connector,
    frame: pl.DataFrame,
    module: str,
    transform: Map | None = None,
    *,
    mode: str = "create",
    key: str | list[str] | tuple[str, ...] = (),
    only_changed: bool = False,
    stop_after: int | None = 25,
    max_failures: str | int | float = "all",
) -> Sent:
    """Send rows to a module of another system; every one of them is accounted for.

    Args:
        job: Whose rows they are.
        connector: Has `writer(module, mode, key)`.
        frame: The rows.
        module: Its name in the connector's settings.
        transform: How fields are made; default: the columns as they are.
        mode: `create`, `update`, `upsert` or `link`.
        key: Fields that a record is known by; default: as declared.
        only_changed: True: only records whose content differs from what was last accepted.
        stop_after: So many failures one after the other end it; None: they do not.
        max_failures: `"5%"`, a number or `"all"`: more failures than that end it.

    Raises:
        UsageError: Nothing can be sent there, or not so.
        ConnectorError: The system cannot be reached, or refuses the login; what was sent until
            then is booked.
    """
    make: Any = getattr(connector, "writer", None)
    if make is None:
        raise UsageError(f"{connector.name}: nothing can be sent there; to a database, load")
    writer: Writer = make(module, mode, (key,) if isinstance(key, str) else tuple(key))
    budget = budget_from(max_failures)
    if stop_after is not None and stop_after < 1:
        raise UsageError("stop_after must be 1 or more, or None")
    where = f"{connector.name} {module}"
    if only_changed and not writer.key:
        raise UsageError(f"{where}: only_changed needs a key: say key=")
    with job.tally.undone_on_error():
        frame = job.tally.traced(frame, where)
        sending = Sending(
            writer=writer,
            place=Place(
                job.flow, connector.where(), module, "link" if mode == "link" else "record"
            ),
            name=connector.name,
            mode=mode,
            only_changed=only_changed,
            stop_after=stop_after,
            budget=budget,
            dry_run=job.dry_run,
            **_what(job, frame, transform, writer.key, where),
        )
    return _booked(job, send_rows(sending, job.ledger), frame.get_column(ROW))


def _booked(job: Sender, sent: Sent, rows: pl.Series) -> Sent:
    """Book a send in the job's tally.

    Raises:
        ConnectorError: It could not go on.
    """
    job.tally.reached(rows, sent.result)
    if sent.error is not None:
        counted = ", ".join(f"{count:,} {name}" for name, count in sent.counts.items() if count)
        raise ConnectorError(
            f"{sent.error.message}; {sent.table}: {counted}",
            code=sent.error.code,
            advice=sent.error.advice,
        )
    if sent.stopped:
        job.tally.notes.append(f"{sent.table}: stopped: {sent.stopped}")
    return sent


def _what(
    job: Sender, frame: pl.DataFrame, transform: Map | None, key: Sequence[str], where: str
) -> dict[str, Any]:
    """The rows as records, and where each came from: parts of a `Sending`.

    Raises:
        UsageError: The rows lack a field of the key.
    """
    names, lost = job.tally.names, job.tally.malformed_of(frame)
    made, faults = frame, None
    if transform is not None:
        mapped = transform.apply(frame)
        made, faults = mapped.frame, mapped.faults
    absent = [name for name in key if name not in made.columns]
    if absent:
        have = ", ".join(name for name in made.columns if name != ROW)
        raise UsageError(
            f"{where}: the rows have no {', '.join(absent)}, which is the key; they have {have}"
        )
    origins = [
        ("frame", number) if row is None else (names.get(file_of(row), "frame"), record_of(row))
        for number, row in enumerate(made.get_column(ROW), start=1)
    ]
    return {
        "rows": rows_of(made, faults, key),
        "source": frame if made.height == frame.height else made,
        "origins": origins,
        "malformed": [
            (one, (names.get(file_of(one.row), "?"), record_of(one.row))) for one in lost
        ],
    }
