"""What is to be sent, and what came of it. Not for: sending (`sending`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from penstock.connectors.sending import Response, Writer
from penstock.errors import ConnectorError
from penstock.flow.outgoing import Row
from penstock.ledger.sends import Place
from penstock.model.batch import ROW, Malformed
from penstock.model.options import Budget
from penstock.model.result import LoadResult
from penstock.model.table import TableName

#: Outcomes of rows that did not arrive, or not surely.
FAILED = ("refused", "unknown", "not_sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of a send.

    Attributes:
        result: Its books: `inserted` are records that are new there, `updated` others that were
            taken, `quarantined` those that were refused, are unknown, or were not sent.
        table: Connector and module, for people: `crm companies`.
        counts: Outcome -> rows.
        stopped: Why not everything was tried; empty where it was.
        error: Why nothing more can be sent; None where it can.
        frame: See `responses`.
    """

    result: LoadResult
    table: str
    counts: Mapping[str, int]
    stopped: str
    error: ConnectorError | None = None
    frame: pl.DataFrame = field(repr=False)

    def responses(self) -> pl.DataFrame:
        """One row for each input row, in its order.

        `_row` (Int64), `key`, `outcome` (`sent`, `unchanged`, `refused`, `unknown`, `not_sent`),
        `target_id`, `code`, `reason` (String).
        """
        return self.frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One send: what, where to, and when to stop.

    Attributes:
        writer: Sends.
        place: Where to, for the ledger.
        name: The connector's.
        mode: How records are written.
        rows: What is sent.
        source: The rows as they were read, for error files; with `_row`.
        origins: Source and record of each row.
        malformed: Records that never became rows, with source and record.
        only_changed: True: records that were last accepted as they are now are not sent.
        stop_after: So many failures one after the other end it; None: they do not.
        budget: More failures than that end it.
        dry_run: True: nothing is sent.
    """

    writer: Writer
    place: Place
    name: str
    mode: str
    rows: Sequence[Row]
    source: pl.DataFrame
    origins: Sequence[tuple[str, int]]
    malformed: Sequence[tuple[Malformed, tuple[str, int]]] = ()
    only_changed: bool = False
    stop_after: int | None = 25
    budget: Budget
    dry_run: bool = False

    @property
    def table(self) -> TableName:
        """What stands for the module in the ledger; no schema has such a name."""
        module = self.place.module
        return TableName(f"rest:{self.name}", module if self.mode != "link" else f"{module} links")


def frame_of(
    rows: pl.Series, keys: Sequence[str | None], responses: Sequence[Response]
) -> pl.DataFrame:
    """The frame of `Sent.responses`."""
    return pl.DataFrame(
        {
            ROW: rows,
            "key": keys,
            "outcome": [one.outcome for one in responses],
            "target_id": [one.target_id for one in responses],
            "code": [one.code for one in responses],
            "reason": [one.reason for one in responses],
        },
        schema={
            ROW: pl.Int64(),
            **dict.fromkeys(("key", "outcome", "target_id", "code", "reason"), pl.String()),
        },
    )
