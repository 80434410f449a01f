"""Makes refused rows out of a batch and its faults. Not for: finding faults."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from penstock.loading.inputs import Origin
from penstock.loading.spool import SCHEMA
from penstock.model.batch import LINE, ROW, Batch
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


#: Stands for the refused value in a reason that is made before the row is read again; a character
#: that no text of people has (Unicode, private use).
VALUE = "\ue000"


def refused_rows(
    batch: Batch,
    bad: pl.DataFrame,
    faults: pl.DataFrame,
    by_target: Mapping[str, str],
    spec: TableSpec,
) -> pl.DataFrame:
    """Refused rows of a batch in the form of the spool, in input order.

    Args:
        batch: Where they came from.
        bad: `position` in the batch's frame, `_row`, `_line`.
        faults: `_row`, `column`, `code`, `reason`, `value`; one row a fault.
        by_target: Target column -> source column.
        spec: The target.
    """
    bad = bad.sort("position")
    source = batch.frame[bad["position"]].drop(ROW, LINE)
    rows = bad.select(ROW, LINE).with_columns(
        raw=pl.Series(batch.raw(bad["position"].to_list()), dtype=pl.Binary)
    )
    return _joined(rows, source, faults, by_target, spec)


def refused_later(
    origins: Mapping[int, Origin],
    faults: pl.DataFrame,
    by_target: Mapping[str, str],
    spec: TableSpec,
) -> pl.DataFrame:
    """Refused rows that the database found, in the form of the spool, in input order.

    Args:
        origins: `_row` -> line, raw bytes and source texts, read again.
        faults: `_row`, `column`, `code`, `reason`; `VALUE` in a reason stands for the row's value.
        by_target: Target column -> source column.
        spec: The target.
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
    return _joined(rows, source, faults, by_target, spec)


def _joined(
    rows: pl.DataFrame,
    source: pl.DataFrame,
    faults: pl.DataFrame,
    by_target: Mapping[str, str],
    spec: TableSpec,
) -> pl.DataFrame:
    gathered = faults.group_by(ROW, maintain_order=True).agg(
        columns="column", codes="code", reasons="reason", bad="value"
    )
    return (
        rows.with_columns(
            values=source.select(pl.struct(pl.all()).struct.json_encode()).to_series(),
            key=_keys(source, by_target, spec),
        )
        .join(gathered, on=ROW, how="left", maintain_order="left")
        .select(*SCHEMA)
    )


def _keys(source: pl.DataFrame, by_target: Mapping[str, str], spec: TableSpec) -> pl.Series:
    """The primary key's raw texts, where each is plainly readable."""
    primary = spec.primary_key
    none = pl.repeat(None, source.height, dtype=pl.List(pl.String), eager=True)
    if primary is None or any(name not in by_target for name in primary.columns):
        return none
    texts, plain = [], []
    for name in primary.columns:
        pattern = _PLAIN.get(spec.column(name).base)
        if pattern is None:
            return none
        text = pl.col(by_target[name]).cast(pl.String)
        texts.append(text)
        plain.append(text.str.contains(pattern).fill_null(value=False))
    return source.select(
        pl.when(pl.all_horizontal(plain)).then(pl.concat_list(texts)).alias("key")
    ).to_series()
