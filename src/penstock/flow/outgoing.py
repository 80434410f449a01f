"""Rows become records to be sent, with key and content hash. Not for: sending them (`sending`)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl

from penstock.connectors.sending import Outgoing
from penstock.model.batch import ROW


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is refused.

    Attributes:
        column: The field; empty: the whole row.
        code: An HTTP status, the other system's code or a rule name.
        reason: In plain words.
        value: The field's value, as text.
    """

    column: str
    code: str
    reason: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row on its way.

    Attributes:
        record: What is sent, and its key; None where it cannot be.
        hash: Of the content.
        faults: Why it is refused before it is sent.
    """

    record: Outgoing | None
    hash: bytes
    faults: Sequence[Fault]


def rows_of(frame: pl.DataFrame, faults: pl.DataFrame | None, key: Sequence[str]) -> list[Row]:
    """The rows of a frame as records of JSON.

    Decimals become texts, which are exact; dates and times become ISO 8601.

    Args:
        frame: The fields.
        faults: What a map refused: `position`, `column`, `code`, `reason`, `value`.
        key: The fields that a record is known by.
    """
    refused: dict[int, list[Fault]] = {}
    if faults is not None:
        for position, *rest in faults.select(
            "position", "column", "code", "reason", "value"
        ).iter_rows():
            refused.setdefault(position, []).append(Fault(*rest))
    fields = frame.drop(ROW)
    return [
        _row(values, refused.get(position, []), key)
        for position, values in enumerate(fields.iter_rows(named=True))
    ]


def _row(values: Mapping[str, Any], faults: list[Fault], key: Sequence[str]) -> Row:
    record = {}
    for name, value in values.items():
        try:
            record[name] = _json(value)
        except ValueError as error:
            faults.append(Fault(name, "type", str(error), str(value)[:200]))
    text = _key(record, key)
    lacking = [name for name in key if record.get(name) in (None, "")]
    if key and text is None and not faults:
        said = f"the key {', '.join(lacking)} is empty"
        faults.append(Fault(", ".join(lacking), "no_key", said))
    if text is not None and "\0" in text:
        faults.append(Fault(", ".join(key), "nul", "the key holds a NUL"))
        text = None
    if faults:
        return Row(None, b"", faults)
    written = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return Row(Outgoing(record=record, key=text), hashlib.sha256(written).digest(), [])


def _key(record: Mapping[str, Any], key: Sequence[str]) -> str | None:
    parts = [record.get(name) for name in key]
    if not key or any(part in (None, "") for part in parts):
        return None
    if len(parts) == 1:
        one = parts[0]
        return one if isinstance(one, str) else json.dumps(one)
    return json.dumps(parts, ensure_ascii=False)


def _json(value: Any) -> Any:
    """A value as JSON has it.

    Raises:
        ValueError: JSON has no such value.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number in JSON")
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    raise ValueError(f"a value of the type {type(value).__name__} cannot be sent as JSON")
