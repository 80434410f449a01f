"""Makes refused rows out of a batch and its faults. Not for: finding faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from penstock.loading.inputs import Origin
from penstock.loading.spool import SCHEMA
from penstock.model.batch import LINE, ROW, Batch
from penstock.model.options import Grammar, LoadOptions
from penstock.model.table import TableSpec

#: How a key's raw text must look to be compared with the table later; other keys stay unknown.
_PLAIN: Mapping[str, str] = {
    "int2": r"^-?\d{1,5}$",
    "int4": r"^-?\d{1,10}$",
    "int8": r"^-?\d{1,18}$",
    "text": r"(?s)^.*$",
    "varchar": r"(?s)^.*$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}


@dataclass(frozen=True, slots=True)
class ReadableKey:
    """A primary key whose raw texts say which row they mean.

    Attributes:
        bases: Column -> its type, a key of `_PLAIN`.
        null: Texts that mean NULL.
        trim: True: blanks around a text are not of the value.
    """

    bases: Mapping[str, str]
    null: tuple[str, ...]
    trim: bool


def readable_key(spec: TableSpec, reading: LoadOptions) -> ReadableKey | None:
    """The table's primary key, where the texts of the input are those that the table shows.

    They are not where a column is looked up, or a date is written in a form of its own.
    """
    grammar = reading.grammar
    if spec.primary_key is None:
        return None
    bases = {}
    for name in spec.primary_key.columns:
        base = spec.column(name).base
        if name in reading.lookups or base not in _PLAIN:
            return None
        if base == "date" and grammar.dates != Grammar().dates:
            return None
        bases[name] = base
    return ReadableKey(bases, grammar.null, grammar.trim)


#: Stands for the refused value in a reason that is made before the row is read again; a character
#: that no text of people has (Unicode, private use).
VALUE = "\ue000"


def refused_rows(
    batch: Batch,
    bad: pl.DataFrame,
    faults: pl.DataFrame,
    by_target: Mapping[str, str],
    key: ReadableKey | None,
) -> pl.DataFrame:
    """Refused rows of a batch in the form of the spool, in input order.

    Args:
        batch: Where they came from.
        bad: `position` in the batch's frame, `_row`, `_line`.
        faults: `_row`, `column`, `code`, `reason`, `value`; one row a fault.
        by_target: Target column -> source column.
        key: The target's, where it can be read.
    """
    bad = bad.sort("position")
    source = batch.frame[bad["position"]].drop(ROW, LINE)
    rows = bad.select(ROW, LINE).with_columns(
        raw=pl.Series(batch.raw(bad["position"].to_list()), dtype=pl.Binary)
    )
    joined = _joined(rows, source, faults, by_target, key)
    if batch.faults is None:
        return joined
    places = {place: number for number, place in enumerate(bad["position"].to_list())}
    return joined.with_columns(_unmade(joined["values"], places, batch.faults))


def _unmade(values: pl.Series, places: Mapping[int, int], faults: pl.DataFrame) -> pl.Series:
    """Where a map could not make a field, the value that it could not make it of.

    The field itself is empty there: loaded again as it is, it would be NULL, which nobody said.
    """
    texts = values.to_list()
    for position, column, value in faults.select("position", "column", "value").iter_rows():
        number = places.get(position)
        if number is None or value is None:
            continue
        fields = json.loads(texts[number], parse_float=str, parse_int=str)
        if column in fields and fields[column] is None:
            texts[number] = json.dumps(fields | {column: value}, ensure_ascii=False)
    return pl.Series(values.name, texts, dtype=pl.String)


def refused_later(
    origins: Mapping[int, Origin],
    faults: pl.DataFrame,
    by_target: Mapping[str, str],
    key: ReadableKey | None,
) -> pl.DataFrame:
    """Refused rows that the database found, in the form of the spool, in input order.

    Args:
        origins: `_row` -> line, raw bytes and source texts, read again.
        faults: `_row`, `column`, `code`, `reason`; `VALUE` in a reason stands for the row's value.
        by_target: Target column -> source column.
        key: The target's, where it can be read.
    """
    order = sorted(origins)
    rows = pl.DataFrame(
        {
            ROW: order,
            LINE: [origins[row][0] for row in order],
            "raw": [origins[row][1] for row in order],
        },
        schema={ROW: pl.Int64(), LINE: pl.Int64(), "raw": pl.Binary()},
    )
    names = list(origins[order[0]][2]) if order else []
    source = pl.DataFrame(
        [[origins[row][2].get(name) for name in names] for row in order],
        schema=dict.fromkeys(names, pl.String()),
        orient="row",
    )
    told = faults.select(ROW, "column", "reason").iter_rows()
    values, reasons = [], []
    for row, columns, reason in told:
        names = [by_target[name] for name in columns.split(", ") if name in by_target]
        texts = [origins[row][2].get(name) for name in names]
        value = ", ".join("NULL" if text is None else text for text in texts)
        values.append(value if any(text is not None for text in texts) else None)
        reasons.append(reason.replace(VALUE, value))
    faults = faults.with_columns(
        pl.Series("value", values, dtype=pl.String), pl.Series("reason", reasons, dtype=pl.String)
    )
    return _joined(rows, source, faults, by_target, key)


def _joined(
    rows: pl.DataFrame,
    source: pl.DataFrame,
    faults: pl.DataFrame,
    by_target: Mapping[str, str],
    key: ReadableKey | None,
) -> pl.DataFrame:
    gathered = faults.group_by(ROW, maintain_order=True).agg(
        columns="column", codes="code", reasons="reason", bad="value"
    )
    return (
        rows.with_columns(
            values=source.select(pl.struct(pl.all()).struct.json_encode()).to_series(),
            key=_keys(source, by_target, key),
        )
        .join(gathered, on=ROW, how="left", maintain_order="left")
        .select(*SCHEMA)
    )


def _keys(source: pl.DataFrame, by_target: Mapping[str, str], key: ReadableKey | None) -> pl.Series:
    """The primary key, where each of its texts is plainly readable: one key is written one way."""
    if key is None or any(name not in by_target for name in key.bases):
        return pl.repeat(None, source.height, dtype=pl.List(pl.String), eager=True)
    texts, plain = [], []
    for name, base in key.bases.items():
        text = pl.col(by_target[name]).cast(pl.String)
        texts.append(_canonical(text, base))
        plain.append(text.str.contains(_PLAIN[base]).fill_null(value=False))
        plain.append(~text.is_in(list(key.null)).fill_null(value=False))
        if key.trim:
            plain.append((text == text.str.strip_chars()).fill_null(value=False))
    return source.select(
        pl.when(pl.all_horizontal(plain)).then(pl.concat_list(texts)).alias("key")
    ).to_series()


def _canonical(text: pl.Expr, base: str) -> pl.Expr:
    """07 and 7 are one integer, and a uuid is the same in capitals."""
    if base.startswith("int"):
        return text.cast(pl.Int64, strict=False).cast(pl.String)
    return text.str.to_lowercase() if base == "uuid" else text
