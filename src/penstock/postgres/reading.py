r"""Reads a query's rows by COPY, with the types that the server describes. Not for: tables' loads.

COPY's text form is exact for every type of PostgreSQL and keeps NULL (`\N`) apart from every text.
Polars splits it; each column then gets its type. Where a value has no form in that type (infinity,
a year BC, NaN among decimals), the whole column stays the text that PostgreSQL writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from penstock.errors import BalanceError, SourceError
from penstock.postgres.connection import SETTINGS

#: Bytes of COPY's text that become a frame at once.
_PIECE = 8 << 20
#: Pieces that may wait to become frames.
_AHEAD = 2
#: What the forms of values depend on; what a query means depends on none but the time zone.
_FORMS = ("datestyle", "timezone", "intervalstyle", "extra_float_digits", "bytea_output")
#: COPY's text form escapes these (chapter COPY, "Text Format").
_ESCAPED = ["\\\\", "\\b", "\\f", "\\n", "\\r", "\\t", "\\v"]
_MEANT = ["\\", "\b", "\f", "\n", "\r", "\t", "\v"]
#: Digits that a fixed decimal holds.
_DIGITS = 38
#: `atttypmod` of numeric(p, s) is this much more than p << 16 | s.
_VARHDRSZ = 4


class _Unholdable(Exception):
    """A column holds a value that its type has no form for."""

    def __init__(self, place: int) -> None:
        self.place = place


@dataclass(frozen=True, slots=True)
class _Described:
    """A column of a query: its name, type and type modifier."""

    name: str
    oid: int
    modifier: int


def read_query(connection: psycopg.Connection[Any], query: str) -> pl.DataFrame:
    """The rows of a query, read in pieces of some MiB.

    Whole numbers are Int64, numeric Decimal (String where its digits do not fit into 38, or for
    NaN), float4 and float8 Float32 and Float64, bool Boolean, bytea Binary, date Date, time Time,
    timestamp Datetime("us"), timestamptz Datetime("us", "UTC"); all others, uuid, json, intervals,
    arrays and ranges too, are String as PostgreSQL writes them.

    Args:
        connection: In a transaction, whose settings are changed; one snapshot is seen where it is
            REPEATABLE READ.
        query: One statement that gives rows, with its values in it.

    Raises:
        SourceError: Two columns have the same name, or none has one.
        psycopg.Error: The server refuses.
    """
    connection.execute(
        sql.SQL("select {}").format(
            sql.SQL(", ").join(
                sql.SQL("set_config({}, {}, true)").format(name, sql.Literal(SETTINGS[name]))
                for name in _FORMS
            )
        )
    )
    statement = query.strip().rstrip(";").encode()
    columns = _described(connection, statement)
    as_text: set[int] = set()
    while True:
        try:
            return _read(connection, statement, columns, as_text)
        except _Unholdable as odd:
            as_text.add(odd.place)  # the same snapshot is read again


def _described(connection: psycopg.Connection[Any], statement: bytes) -> list[_Described]:
    """The columns of a statement; it is not run."""
    low = connection.pgconn
    result = low.prepare(b"", statement)
    if result.status == ExecStatus.COMMAND_OK:
        result = low.describe_prepared(b"")
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)
    columns = [
        _Described((result.fname(place) or b"").decode(), result.ftype(place), result.fmod(place))
        for place in range(result.nfields)
    ]
    check_names([one.name for one in columns])
    return columns


def check_names(names: Sequence[str]) -> None:
    """Every column of a result needs a name of its own.

    Raises:
        SourceError: There is no column, or a name appears twice or is reserved.
    """
    if not names:
        raise SourceError("The query gives no columns: it must be a select", code="columns")
    for name in names:
        if names.count(name) > 1:
            raise SourceError(
                f'The query gives {names.count(name)} columns named "{name}": '
                "name each its own way with AS",
                code="columns",
            )
        if not name or name == "_row":
            raise SourceError(
                f'The query gives a column named "{name}": give it another name with AS',
                code="columns",
            )


def _read(
    connection: psycopg.Connection[Any],
    statement: bytes,
    columns: Sequence[_Described],
    as_text: set[int],
) -> pl.DataFrame:
    takers = [_text if n in as_text else _taker(one) for n, one in enumerate(columns)]
    schema = _read_as(columns, as_text)
    parts: list[pl.DataFrame] = []
    waiting: deque[Future[pl.DataFrame]] = deque()
    with ThreadPoolExecutor(1) as other:  # one piece becomes a frame while the next one comes
        for text, rows in _pieces(connection, statement, schema):
            waiting.append(
                other.submit(lambda t, n: _typed(_split(t, n, schema), takers), text, rows)
            )
            if len(waiting) > _AHEAD:
                parts.append(waiting.popleft().result())
        parts += [one.result() for one in waiting]
    if not parts:
        parts = [_typed(pl.DataFrame(schema=schema), takers)]
    for place, one in enumerate(parts[0].columns):
        kinds = [part.schema[one] for part in parts]
        if isinstance(kinds[0], pl.Decimal) and len(set(kinds)) > 1:
            parts = _widened(parts, one, place)
    frame = pl.concat(parts, rechunk=True)
    frame.columns = [one.name for one in columns]
    return frame


def _pieces(
    connection: psycopg.Connection[Any], statement: bytes, schema: Mapping[str, Any]
) -> Iterator[tuple[bytearray, int]]:
    """The rows as text with a header, some MiB at a time, and how many."""
    # The header keeps a byte order mark that is data from standing first, where it would be lost.
    header = "\t".join(schema).encode() + b"\n"
    copying = b"copy (" + statement + b"\n) to stdout"  # its last line may be a comment
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        text, rows = bytearray(header), 0
        for line in _rows(connection.pgconn, copy):
            text += line
            rows += 1
            if len(text) >= _PIECE:
                yield text, rows
                text, rows = bytearray(header), 0
        if rows:
            yield text, rows


def _rows(low: PGconn, copy: psycopg.Copy) -> Iterator[bytes | bytearray | memoryview]:
    """Each row of a COPY. What has arrived is taken at once: to wait costs more than a row."""
    take = low.get_copy_data
    while line := copy.read():
        yield line
        size, more = take(1)
        while size > 0:
            yield more
            size, more = take(1)
        if size < 0:  # the end: what came of the statement is next
            while (result := low.get_result()) is not None:
                if result.status != ExecStatus.COMMAND_OK:
                    raise psycopg.errors.error_from_result(result)
            return


def _split(text: bytearray, rows: int, schema: Mapping[str, Any]) -> pl.DataFrame:
    frame = pl.read_csv(
        bytes(text),
        separator="\t",
        quote_char=None,
        schema=dict(schema),
        infer_schema=False,
        null_values="\\N",
        empty_string_is_null=False,
    )
    if frame.height != rows:
        raise BalanceError(
            f"the server sent {rows:,} rows, and {frame.height:,} were read", code="balance"
        )
    return frame


def _read_as(columns: Sequence[_Described], as_text: set[int]) -> dict[str, Any]:
    kinds = [
        pl.String if place in as_text else _READ_AS.get(one.oid, pl.String)
        for place, one in enumerate(columns)
    ]
    return {str(place): kind for place, kind in enumerate(kinds)}


def _typed(part: pl.DataFrame, takers: Sequence[Callable[[pl.Series], pl.Series]]) -> pl.DataFrame:
    taken = []
    for place, (series, take) in enumerate(zip(part.get_columns(), takers, strict=True)):
        found = take(series)
        if found.null_count() > series.null_count():
            raise _Unholdable(place)
        taken.append(found.alias(series.name))
    return pl.DataFrame(taken)


def _widened(parts: Sequence[pl.DataFrame], name: str, place: int) -> list[pl.DataFrame]:
    """The parts with one scale for a decimal column whose scale differed."""
    scale = max(_scale(part.schema[name]) for part in parts)
    widened = [
        part.get_column(name).cast(pl.Decimal(_DIGITS, scale), strict=False) for part in parts
    ]
    for part, one in zip(parts, widened, strict=True):
        if one.null_count() > part.get_column(name).null_count():
            raise _Unholdable(place)
    return [part.with_columns(one) for part, one in zip(parts, widened, strict=True)]


def _scale(kind: pl.DataType) -> int:
    assert isinstance(kind, pl.Decimal)  # noqa: S101  the caller asked
    return kind.scale


def _taker(column: _Described) -> Callable[[pl.Series], pl.Series]:
    """What gives a column its type."""
    if column.oid != _NUMERIC:
        return _TAKERS.get(column.oid, _same if column.oid in _READ_AS else _text)
    if column.modifier < _VARHDRSZ:
        return _numeric
    packed = column.modifier - _VARHDRSZ
    precision, scale = packed >> 16, packed & 0x7FF
    if precision > _DIGITS or scale > precision:  # also a negative scale, in 11 bits
        return _numeric
    return lambda series: series.cast(pl.Decimal(precision, scale), strict=False)


def _same(series: pl.Series) -> pl.Series:
    return series


def _text(series: pl.Series) -> pl.Series:
    escaped = series.str.contains("\\", literal=True)
    return series.str.replace_many(_ESCAPED, _MEANT) if escaped.any() else series


def _numeric(series: pl.Series) -> pl.Series:
    """Decimals of the largest scale that is there."""
    scale = series.str.split(".").list.get(1, null_on_oob=True).str.len_bytes().max()
    shown = min(int(scale), _DIGITS) if isinstance(scale, int) else 0
    found = series.cast(pl.Decimal(_DIGITS, shown), strict=False)
    if isinstance(scale, int) and scale > _DIGITS:
        return found.clear(len(series))
    return found


def _bool(series: pl.Series) -> pl.Series:
    return series == "t"


def _date(series: pl.Series) -> pl.Series:
    return series.str.to_date("%Y-%m-%d", strict=False)


def _time(series: pl.Series) -> pl.Series:
    return series.str.to_time("%H:%M:%S%.f", strict=False)


def _timestamp(series: pl.Series) -> pl.Series:
    return series.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")


def _timestamptz(series: pl.Series) -> pl.Series:
    ours = series.str.strip_suffix("+00")  # the session's time zone is UTC
    return _timestamp(ours).dt.replace_time_zone("UTC")


def _binary(series: pl.Series) -> pl.Series:
    return series.str.slice(len("\\\\x")).str.decode("hex")


_NUMERIC = 1700
#: Types that Polars reads itself: bigint, smallint, integer, oid, double precision.
_READ_AS: dict[int, type[pl.DataType]] = {
    20: pl.Int64,
    21: pl.Int64,
    23: pl.Int64,
    26: pl.Int64,
    700: pl.Float32,
    701: pl.Float64,
}
#: By the type's number in pg_type, which is the same in every database.
_TAKERS: dict[int, Callable[[pl.Series], pl.Series]] = {
    16: _bool,
    17: _binary,
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _timestamptz,
}
