"""What a group of rows is: those with one value of a column. Not for: which groups fall (`fallen`).

A group is refused as a whole where any of its rows is. Rows are of one group where PostgreSQL takes
their values for equal: 1 and 01 of an integer are, `a` and `A` of a text are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from penstock.errors import UsageError
from penstock.model.batch import ROW
from penstock.model.options import LoadOptions
from penstock.model.table import Column, TableSpec

#: The code of a row that is refused because another one of its group is.
CODE = "group"
#: Types whose equality is that of a text; values of one kind may be compared across tables.
_KINDS: Mapping[str, str] = {
    "int2": "number",
    "int4": "number",
    "int8": "number",
    "numeric": "number",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "uuid": "uuid",
    "date": "date",
}
#: Faults of rows, as `refusals.refused_rows` takes them.
FAULTS: Mapping[str, pl.DataType] = {
    ROW: pl.Int64(),
    "column": pl.String(),
    "code": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}
#: Groups that are refused: the value, as `as_group` writes it, and why.
FALLEN: Mapping[str, pl.DataType] = {"group": pl.String(), "reason": pl.String()}


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Finds the rows of one table that are refused with their groups.

    Attributes:
        column: The target column whose values make the groups.
        fallen: The groups that are refused, in the form of `FALLEN`.
        carried: What was found out about rows when they were read before, in the form of
            `FAULTS`: they keep their reasons.
    """

    column: Column
    fallen: pl.DataFrame
    carried: pl.DataFrame

    def faults(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The faults of those of these typed rows that are refused, in the form of `FAULTS`."""
        own = self.carried.join(rows.select(ROW), on=ROW, how="semi")
        if self.fallen.is_empty():
            return own
        others = rows.join(own.select(ROW), on=ROW, how="anti", maintain_order="left")
        with_them = others.select(ROW, as_group(self.column).alias("group")).join(
            self.fallen, on="group", how="inner", maintain_order="left"
        )
        return pl.concat(
            [
                own,
                with_them.select(
                    ROW,
                    pl.lit(self.column.name).alias("column"),
                    pl.lit(CODE).alias("code"),
                    "reason",
                    pl.col("group").alias("value"),
                ),
            ]
        )


def as_group(column: Column) -> pl.Expr:
    """Typed values of the column as texts that are the same where PostgreSQL has them equal."""
    text = pl.col(column.name).cast(pl.String)
    if column.base == "bpchar":
        return text.str.strip_chars_end(" ")
    if column.base != "numeric":
        return text
    whole = text.str.contains(".", literal=True)
    bare = pl.when(whole).then(text.str.strip_chars_end("0").str.strip_chars_end("."))
    plain = bare.otherwise(text)
    return pl.when(plain == "-0").then(pl.lit("0")).otherwise(plain)


def group_of(spec: TableSpec, options: LoadOptions, supplied: Sequence[Column]) -> Column | None:
    """The column that makes the groups of a table; None where the input does not supply it.

    Raises:
        UsageError: Whether two of its values are equal is not known here.
    """
    column = next((one for one in supplied if one.name == options.group), None)
    if column is None:
        return None
    said = f"--group {column.name}: {column.name} of {spec.name}"
    if column.name in options.lookups:
        raise UsageError(f"{said} is looked up, so that its groups would be those of surrogates")
    if not column.deterministic or kind_of(column) is None:
        why = "under this collation" if kind_of(column) else f"of type {column.type}"
        raise UsageError(
            f"{said} has values {why}, which make no groups. Group by a column of type integer, "
            "numeric, text, uuid or date."
        )
    return column


def kind_of(column: Column) -> str | None:
    """What its values can be compared with; None where their equality is not known here."""
    return "text" if column.kind == "e" else _KINDS.get(column.base)
