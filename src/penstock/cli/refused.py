"""How refused rows look: to people, and as JSON. Not for: the commands (`rejects`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from penstock.cli.answer import console, plain, show
from penstock.cli.connected import iso, local, rows_text

if TYPE_CHECKING:
    from penstock.ledger.quarantine import RejectGroup, StoredReject

#: Characters of a value that are shown.
_VALUE = 2000


def print_groups(found: Sequence[RejectGroup]) -> None:
    """A table on stderr for each table and status."""
    for part in _by_table(found):
        show(_table_of(part))


def _by_table(found: Sequence[RejectGroup]) -> list[list[RejectGroup]]:
    parts: dict[str, list[RejectGroup]] = {}
    for one in found:
        parts.setdefault(f"{one.table} {one.status}", []).append(one)
    return list(parts.values())


def _table_of(found: Sequence[RejectGroup]) -> Table:

    first = found[0]
    title = f"{plain(str(first.table))}: {rows_text(first.table_rows)} {first.status}"
    if first.status == "waiting" and first.table_awaiting:
        title += f", {first.table_awaiting:,} for {'its' if first.table_rows == 1 else 'their'}"
        title += " parents: later loads try again"
    table = Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("column", overflow="fold", max_width=20)
    table.add_column("code", overflow="fold", max_width=14)
    table.add_column("last seen", no_wrap=True)
    table.add_column("the newest", overflow="fold")
    for one in found:
        place = f"line {one.line:,}" if one.line else f"record {one.record:,}"
        sample = Text(plain(one.reason))
        sample.append(f"\n#{one.reject_id} {plain(one.source)} {place}", "dim")
        table.add_row(
            f"{one.rows:,}",
            Text(plain(one.column) or "whole row", "bold yellow"),
            plain(one.code),
            local(one.last_seen),
            sample,
        )
    return table


def print_reject(one: StoredReject) -> None:
    """One whole reject on stderr."""
    out = console()
    place = f"line {one.line:,}, record {one.record:,}" if one.line else f"record {one.record:,}"
    out.print(
        Text.assemble((f"#{one.reject_id} ", "bold"), f"{plain(str(one.table))}, {_status(one)}")
    )
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", max_width=30, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("from", Text(f"{plain(one.source)} {place}"))
    seen = f"{local(one.first_seen)}, once"
    if one.times > 1:
        seen = f"{local(one.first_seen)} to {local(one.last_seen)}, {one.times} times"
    grid.add_row("seen", Text(seen))
    grid.add_row("load", Text(one.last_load))
    for column, code, reason in zip(one.columns, one.codes, one.reasons, strict=True):
        text = Text.assemble((plain(column) or "whole row", "bold yellow"), f" {plain(code)}: ")
        grid.add_row("refused", text.append(plain(reason)))
    if one.closed_at is not None:
        by = one.discarded_by or f"load {one.closed_by}"
        grid.add_row("closed", Text(f"{local(one.closed_at)} by {plain(by)}"))
    if one.note:
        grid.add_row("note", Text(plain(one.note)))
    values = _values(one)
    for name, value in (values or {}).items():
        shown = Text("NULL", "dim") if value is None else Text(_short(str(value)))
        grid.add_row(Text(plain(name), "bold"), shown)
    if values is None:
        grid.add_row("raw", Text(_short(_raw(one))))
    show(grid)


def _status(one: StoredReject) -> str:
    if one.status == "waiting" and one.awaits_parent:
        return "waiting for its parent: later loads try it again"
    return one.status


def _short(text: str) -> str:
    shown = plain(text[:_VALUE])
    return shown if len(text) <= _VALUE else f"{shown}... ({len(text):,} characters)"


def _raw(one: StoredReject) -> str:
    return one.raw.decode("utf-8", "backslashreplace")


def _values(one: StoredReject) -> dict[str, Any] | None:

    return None if one.raw_values is None else dict(json.loads(one.raw_values))


def group_object(one: RejectGroup) -> dict[str, Any]:
    """As `rejects list --json` gives it."""
    return {
        "table": str(one.table),
        "column": one.column,
        "code": one.code,
        "status": one.status,
        "rows": one.rows,
        "table_rows": one.table_rows,
        "awaiting_parent": one.awaiting,
        "first_seen": iso(one.first_seen),
        "last_seen": iso(one.last_seen),
        "sample": {
            "id": one.reject_id,
            "source": one.source,
            "record": one.record,
            "line": one.line,
            "value": one.value,
            "reason": one.reason,
        },
    }


def reject_object(one: StoredReject) -> dict[str, Any]:
    """As `rejects show --json` gives it."""
    faults = zip(one.columns, one.codes, one.reasons, one.bad_values, strict=True)
    return {
        "id": one.reject_id,
        "table": str(one.table),
        "status": one.status,
        "awaits_parent": one.awaits_parent,
        "source": one.source,
        "record": one.record,
        "line": one.line,
        "load_id": one.load_id,
        "last_load": one.last_load,
        "times": one.times,
        "first_seen": iso(one.first_seen),
        "last_seen": iso(one.last_seen),
        "faults": [
            {"column": column, "code": code, "reason": reason, "value": value}
            for column, code, reason, value in faults
        ],
        "key": one.key,
        "values": _values(one),
        "raw": _raw(one),
        "closed_at": iso(one.closed_at),
        "closed_by": one.closed_by,
        "discarded_by": one.discarded_by,
        "note": one.note,
    }
