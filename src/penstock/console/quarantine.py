"""Refused rows: why, which, and what to do with them. Not for: the replay itself (`loading`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response, StreamingResponse

from penstock.console.access import note
from penstock.console.guarding import Asked
from penstock.console.rendering import link
from penstock.errors import UsageError
from penstock.ledger import quarantine as kept
from penstock.ledger.quarantine import Selection, StoredReject, texts_of
from penstock.loading.export import export_rejects
from penstock.loading.replay import run_replay
from penstock.model.table import TableName
from penstock.postgres.catalog import split_name

#: Rejects on one page.
_PAGE = 50
_BLOCK = 1 << 20
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def groups(asked: Asked) -> Response:
    """Why rows were refused: by table, column and code, the commonest first."""
    table = _table(asked)
    found = kept.groups(asked.connection, table)
    tables: dict[TableName, dict[str, Any]] = {}
    for one in found:
        part = tables.setdefault(one.table, {"rows": one.table_rows, "groups": []})
        part["groups"].append(one)
    return asked.page("quarantine.html", tables=tables, table=table)


def rejects(asked: Asked) -> Response:
    """The rows of one table, column and code, or those that are numbered."""
    chosen = _selection(asked)
    found = kept.find(asked.connection, chosen, _PAGE)
    return asked.page(
        "rejects.html",
        rejects=[_shown(one, clear=asked.visitor.may("operator")) for one in found],
        number=kept.number(asked.connection, chosen),
        chosen=_named(asked),
        most=_PAGE,
    )


def discard(asked: Asked) -> Response:
    """Close rows for good, with the reason that was given."""
    said = asked.text("note")
    if not said:
        raise UsageError("Say why they are discarded: it stays in the ledger.")
    chosen = _chosen(asked)
    number = kept.discard(asked.connection, chosen, note=said, who=asked.visitor.name)
    note(asked.connection, asked.visitor, "discard", _named(asked) | {"rows": number, "note": said})
    return RedirectResponse(link("/quarantine", table=asked.text("table")), 303)


def replay(asked: Asked) -> Response:
    """Load rows again, as they came or from a corrected file; `try` rolls it back."""
    tried = bool(asked.text("try"))
    options = {"dry_run": tried}
    upload = asked.form.get("file")
    command = f"console: {asked.visitor.name}"
    if isinstance(upload, UploadFile) and upload.filename:
        with tempfile.TemporaryDirectory(prefix="penstock-console-") as folder:
            path = _saved(upload, Path(folder))
            done = run_replay(
                asked.console.engine, path, lambda _: Selection(), options, command=command
            )
    else:
        chosen = _chosen(asked)
        done = run_replay(asked.console.engine, None, lambda _: chosen, options, command=command)
    if not tried:
        counts = {"replayed": done.replayed, "waiting": done.waiting}
        note(asked.connection, asked.visitor, "replay", _named(asked) | counts)
    return asked.page("replayed.html", done=done, tried=tried, chosen=_named(asked))


def export(asked: Asked) -> Response:
    """The rows as a workbook or CSV, to be corrected and brought back."""
    kind = "csv" if asked.text("format") == "csv" else "xlsx"
    folder = tempfile.TemporaryDirectory(prefix="penstock-console-")
    try:
        path = Path(folder.name) / f"rejects.{kind}"
        number = export_rejects(asked.connection, path, _selection(asked))
        note(asked.connection, asked.visitor, "export", _named(asked) | {"rows": number})
    except BaseException:
        # Also Ctrl-C: only the copy goes, the rows stay in the ledger; then the error goes on.
        folder.cleanup()
        raise

    def content() -> Iterator[bytes]:
        with folder, path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    named = {"content-disposition": f'attachment; filename="rejects.{kind}"'}
    media = _XLSX if kind == "xlsx" else "text/csv; charset=utf-8"
    return StreamingResponse(content(), headers=named, media_type=media)


def _saved(upload: UploadFile, folder: Path) -> Path:
    """An upload as a file of our own name: that of the sender's is only looked at for its kind."""
    kind = Path(upload.filename or "").suffix.lower()
    if kind not in (".csv", ".xlsx"):
        raise UsageError("Bring back the .xlsx or .csv file that was exported here.")
    path = folder / f"corrected{kind}"
    with path.open("wb") as file:
        while block := upload.file.read(_BLOCK):
            file.write(block)
    return path


def _table(asked: Asked) -> TableName | None:
    named = asked.text("table")
    if not named:
        return None
    schema, table = split_name(named)
    return TableName(schema or "public", table)


def _selection(asked: Asked) -> Selection:
    """What the address names: a table, a column, a code; what waits of it."""
    ids = asked.text("ids")
    if ids:
        numbers = [one for one in ids.split(",") if one.isdigit() and len(one) < 19]
        return Selection(ids=tuple(map(int, numbers)), statuses=None)
    table = _table(asked)
    if table is None:
        raise UsageError("Say of which table: open it from the quarantine.")
    column = asked.text("column") if "column" in _given(asked) else None
    return Selection(table=table, column=column, code=asked.text("code") or None)


def _chosen(asked: Asked) -> Selection:
    """The rows that are ticked, or all that the page is about."""
    ticked = [int(one) for one in map(str, asked.form.getlist("id")) if one.isdigit()]
    if asked.text("all"):
        return _selection(asked)
    if not ticked:
        raise UsageError("Tick the rows that are meant, or choose all.")
    return replace(Selection(ids=tuple(ticked)), statuses=("waiting",))


def _given(asked: Asked) -> set[str]:
    return {*asked.request.query_params.keys(), *asked.form.keys()}


def _named(asked: Asked) -> dict[str, Any]:
    """What the page is about, for its forms and for the book of what was done."""
    given = _given(asked)
    return {name: asked.text(name) for name in ("table", "column", "code", "ids") if name in given}


def _shown(one: StoredReject, *, clear: bool) -> dict[str, Any]:
    """A reject as the page shows it; who only looks sees no values."""
    faults = dict(zip(one.columns, zip(one.codes, one.reasons, strict=True), strict=False))
    values = texts_of(one.raw_values) if one.raw_values and clear else {}
    raw = one.raw.decode("utf-8", "backslashreplace") if clear and not values else ""
    wrong = {value for value in one.bad_values if value is not None}
    cells = [
        {"name": name, "value": value, "wrong": name in faults or value in wrong}
        for name, value in values.items()
    ]
    return {
        "reject": one,
        "cells": cells,
        "raw": raw,
        "faults": [
            {"column": column, "code": code, "reason": reason if clear else ""}
            for column, code, reason in zip(one.columns, one.codes, one.reasons, strict=True)
        ],
    }
