"""Lookup: a value found by a key of the source. Not for: surrogate keys of a load's own tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, cast, runtime_checkable

import polars as pl

from penstock.errors import UsageError
from penstock.mapping.field import source_mistakes, source_of
from penstock.mapping.values import fits, literal

Match = Literal["unique", "first", "last", "all"]
Missing = Literal["reject", "null", "default", "wait"]
_MATCH, _MISSING = ("unique", "first", "last", "all"), ("reject", "null", "default")
#: What a load makes of keys that a table does not have.
_OF_TABLE = ("reject", "null", "wait")
_FOUND, _TIMES, _VALUE = "found", "times", "value"


@runtime_checkable
class Members(Protocol):
    """What knows where members come from, such as a file or a table; asked once for each batch."""

    def frame(self) -> pl.DataFrame:
        """The members as they are now, with the lookup's `key` and `value` columns."""
        ...


@dataclass(frozen=True, eq=False)
class Lookup:
    """A target field whose value is found by a key.

    Keys are compared as they are where both sides have one type, else as text: `1` and `"1"` are
    one key, `1.0` and `"1"` are not. A NULL key finds nothing and is not missing: the value is
    NULL (with `missing="default"`, the default).

    Attributes:
        columns: The source column, or several; each may be a per-row expression.
        members: Key -> value (of several columns: tuples as keys), or a frame, or `Members`; or
            `table.column` of the database that is loaded to: the column is the natural key, the
            value what the field refers to, and the load finds it, as of then.
        key: Of a frame: the column with the key, or several, in the order of `columns`.
        value: Of a frame: the column with the value.
        match: Of several members with one key: `unique` refuses the row (members that are equal
            count once), `first` and `last` take one in the order of the members, `all` makes a
            row of each.
        missing: A key without member: the row is rejected, or the value is NULL, or `default`;
            the latter two are counted. In a table also `wait`: for the row to come.
        default: For `missing="default"`.
    """

    columns: str | pl.Expr | Sequence[str | pl.Expr]
    members: Mapping[Any, Any] | pl.DataFrame | Members | str
    _: KW_ONLY
    key: str | Sequence[str] | None = None
    value: str | None = None
    match: Match = "unique"
    missing: Missing = "reject"
    default: Any = None

    @property
    def sources(self) -> tuple[str | pl.Expr, ...]:
        """The columns as a tuple."""
        if isinstance(self.columns, (str, pl.Expr)):
            return (self.columns,)
        return tuple(self.columns)

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns of a frame as a tuple."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key or ())

    @property
    def table(self) -> str | None:
        """`table.column`, where a load is to look the key up; None: this does it."""
        return self.members if isinstance(self.members, str) else None

    @cached_property
    def expressions(self) -> tuple[pl.Expr, ...]:
        """The sources as expressions."""
        return tuple(source_of(source) for source in self.sources)

    def mistakes(self) -> list[str]:
        """What is wrong with the declaration, a sentence each; empty where nothing is."""
        found = [why for source in self.sources for why in source_mistakes(source)]
        if self.table is not None:
            return found + self._table_mistakes(self.table)
        if self.match not in _MATCH:
            found.append(f"match={self.match!r} is none of {', '.join(_MATCH)}")
        if self.missing not in _MISSING:
            found.append(f"missing={self.missing!r} is none of {', '.join(_MISSING)}")
        if self.missing == "default" and self.default is None:
            found.append('missing="default" needs default=')
        if not self.sources:
            found.append("Lookup needs a source column")
        return found + self._member_mistakes()

    def _table_mistakes(self, table: str) -> list[str]:
        found = []
        if not all(table.rpartition(".")):
            found.append(f'Lookup in a table is written "table.column", not {table!r}')
        if len(self.sources) != 1:
            found.append("Lookup in a table goes by one source column")
        if self.keys or self.value is not None or self.default is not None:
            found.append("Lookup in a table takes no key=, value= or default=")
        if self.match != "unique":
            found.append("Lookup in a table takes no match=: its column must be unique")
        if self.missing not in _OF_TABLE:
            found.append(f"missing={self.missing!r} is none of {', '.join(_OF_TABLE)}")
        return found

    def _member_mistakes(self) -> list[str]:
        if isinstance(self.members, Mapping):
            return self._mapping_mistakes(self.members)
        if not isinstance(self.members, (pl.DataFrame, Members)):
            return ["Lookup takes a dictionary or a frame as its second argument"]
        if not self.keys or self.value is None:
            return ['Lookup in a frame needs key="column" and value="column"']
        if len(self.keys) != len(self.sources):
            return [f"Lookup has {len(self.sources)} source columns and {len(self.keys)} keys"]
        if isinstance(self.members, pl.DataFrame):
            there = self.members.columns
            lost = [name for name in (*self.keys, self.value) if name not in there]
            if not lost:
                return self._default_mistakes(self.members.schema[self.value])
            return [f"Lookup: its frame has no column {name}" for name in lost]
        return []

    def _mapping_mistakes(self, members: Mapping[Any, Any]) -> list[str]:
        if self.keys or self.value is not None:
            return ["Lookup in a dictionary takes no key= and no value="]
        count = len(self.sources)
        if count > 1 and any(not isinstance(k, tuple) or len(k) != count for k in members):
            return [f"Lookup by {count} columns needs tuples of {count} as the dictionary's keys"]
        try:
            made = _of_mapping(members, count)
        except (TypeError, pl.exceptions.PolarsError):
            return ["Lookup: the keys must be of one type, and so must the values"]
        return self._default_mistakes(made.schema[_VALUE])

    def _default_mistakes(self, dtype: pl.DataType) -> list[str]:
        if self.default is None or fits(self.default, dtype):
            return []
        return [f"default={self.default!r} is no {dtype}, which the lookup's values are"]

    @cached_property
    def _standing(self) -> pl.DataFrame | None:
        """The members of a dictionary or frame, made ready once; None for `Members`."""
        if isinstance(self.members, Mapping):
            return self._ready(_of_mapping(self.members, len(self.sources)))
        return self._ready(self.members) if isinstance(self.members, pl.DataFrame) else None

    def _ready(self, members: pl.DataFrame) -> pl.DataFrame:
        """Columns `0`, `1`, ... (keys, not NULL), `value`, `times` (of the key), `found` (true)."""
        names = [str(place) for place in range(len(self.sources))]
        wanted = [*(self.keys or names), self.value or _VALUE]
        lost = [name for name in wanted if name not in members.columns]
        if lost:
            there = ", ".join(members.columns)
            raise UsageError(f"Lookup: its members have no column {lost[0]}; they have {there}")
        frame = members.select(wanted)
        frame.columns = [*names, _VALUE]
        frame = frame.drop_nulls(names).unique(maintain_order=True)
        frame = frame.with_columns(pl.len().over(names).alias(_TIMES), pl.lit(True).alias(_FOUND))
        if self.match == "all":
            return frame
        keep: Literal["first", "last"] = "last" if self.match == "last" else "first"
        return frame.unique(names, keep=keep, maintain_order=True)

    def find(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Look up the keys of rows.

        Args:
            keys: Columns `0`, `1`, ... in the order of `columns`.

        Returns:
            `row` (UInt32, the position in `keys`), `value`, `missing` and `many` (Boolean): one
            row for each of `keys` in its order; with `match="all"` one for each member found.
        """
        members = self._standing
        if members is None:
            members = self._ready(cast("Members", self.members).frame())
        unlike = [name for name in keys.columns if keys.schema[name] != members.schema[name]]
        texts = pl.col(unlike).cast(pl.String)
        found = (
            keys.with_columns(texts)
            .with_row_index("row")
            .join(
                members.with_columns(texts),
                on=keys.columns,
                how="left",
                maintain_order="left_right",
            )
        )
        known = pl.all_horizontal(pl.col(keys.columns).is_not_null())
        missing = known & pl.col(_FOUND).is_null()
        taken = pl.col(_FOUND) & (pl.col(_TIMES) > 1) if self.match == "unique" else pl.lit(False)
        many = taken.fill_null(False)
        value: pl.Expr = pl.when(~many).then(pl.col(_VALUE))
        if self.missing == "default":
            instead = literal(self.default, members.schema[_VALUE])
            value = pl.when(pl.col(_FOUND).is_null()).then(instead).otherwise(value)
        return found.select(
            "row", value.alias("value"), missing.alias("missing"), many.alias("many")
        )


def _of_mapping(members: Mapping[Any, Any], count: int) -> pl.DataFrame:
    keys = [key if count > 1 else (key,) for key in members]
    columns = {str(place): pl.Series([key[place] for key in keys]) for place in range(count)}
    return pl.DataFrame({**columns, _VALUE: pl.Series(list(members.values()))})
