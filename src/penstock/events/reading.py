"""Reads the columns that tell rows apart as the load reads them: key, time and version.

`07` and `7` are one whole number, a UUID is the same in any case: what PostgreSQL takes for one
value must be one key, and a version that the load accepts must count. Not for: the load itself.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from penstock.events.pipeline import Pipeline
from penstock.loading.load import options_from
from penstock.loading.types.typed import to_text
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW
from penstock.model.table import Column, TableSpec

#: What a version may be; a column of another type says nothing that can be compared here.
WHOLE, MOMENTS = ("int2", "int4", "int8", "numeric"), ("timestamptz", "timestamp", "date")
#: Their text is their value, whatever the grammar is.
_TEXTS = ("text", "varchar")
#: Between the columns of a key: U+001F, "information separator one"; written so within one.
_BETWEEN, _ESCAPE = "\x1f", "\x1d"
_ESCAPED = ((_ESCAPE, f"{_ESCAPE}0"), (_BETWEEN, f"{_ESCAPE}1"))


class Reading:
    """Reads columns of one pipeline's rows.

    Args:
        pipeline: The declaration, with the grammar of its load.
        spec: Its target.
    """

    def __init__(self, pipeline: Pipeline, spec: TableSpec) -> None:
        self._keys = pipeline.keys
        self._columns = {column.name: column for column in spec.columns}
        self._grammar = options_from(**pipeline.options).grammar

    def values(self, given: pl.Series) -> pl.Series:
        """A column as the load types it; NULL where it refuses the value.

        Args:
            given: Of the transform, with the name of the column.
        """
        column = replace(self._columns[given.name], name="v", nullable=True)
        rows = pl.int_range(len(given), dtype=pl.Int64, eager=True).alias(ROW)
        text = to_text(given.to_frame()).to_series().alias("v")
        frame = pl.DataFrame([text, rows]).with_columns(pl.lit(0, dtype=pl.Int64).alias(LINE))
        typed = () if given.dtype == pl.String else ("v",)
        good = Validator([column], self._grammar, typed).check(frame).good
        found = good["v"]
        if good.height < len(given):
            places = rows.to_frame().join(good, on=ROW, how="left", maintain_order="left")
            found = places["v"]
        return found.alias(given.name)

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The key's columns (String), each value written in one way; NULL where it is.

        Args:
            frame: Has the key's columns, of any plain type.
        """
        return pl.DataFrame([self._written(frame[name]) for name in self._keys])

    def _written(self, given: pl.Series) -> pl.Series:
        column = self._columns[given.name]
        text = given.cast(pl.String)
        if column.base in _TEXTS:
            return text
        found = self.values(given)
        written = _canonical(column, found.cast(pl.String))
        # What the load refuses keeps its text: the load says why.
        return written.zip_with(written.is_not_null(), text).alias(given.name)


def versions(column: Column, values: pl.Series) -> pl.Series:
    """Versions as Int64, times as microseconds since 1970; NULL where one is not such a number.

    Args:
        column: Whose; of a type among `WHOLE` and `MOMENTS`.
        values: As the load types them.
    """
    if column.base in MOMENTS:
        return (
            values.cast(pl.Datetime("us")).dt.epoch("us")
            if values.dtype.is_temporal()
            else (pl.Series(values.name, [None] * len(values), dtype=pl.Int64))
        )
    whole = _canonical(column, values.cast(pl.String))
    return whole.cast(pl.Int64, strict=False)


def joined(keys: pl.DataFrame) -> pl.Series:
    """Keys as one text each; NULL where a part is."""
    parts = [pl.col(name) for name in keys.columns]
    for old, new in _ESCAPED:
        parts = [part.str.replace_all(old, new, literal=True) for part in parts]
    return keys.select(key=pl.concat_str(parts, separator=_BETWEEN))["key"]


def parted(key: str) -> list[str]:
    """The columns of a key that was joined."""
    parts = key.split(_BETWEEN)
    for old, new in reversed(_ESCAPED):
        parts = [part.replace(new, old) for part in parts]
    return parts


def _canonical(column: Column, text: pl.Series) -> pl.Series:
    """Equal where PostgreSQL says so."""
    if column.base == "bpchar":
        return text.str.strip_chars_end(" ")
    if column.base == "numeric":
        short = text.str.replace(r"(\.\d*?)0+$", "$1").str.strip_chars_end(".")
        return short.replace("-0", "0")
    return text
