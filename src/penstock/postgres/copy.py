"""COPY: typed frames to bytes, and bytes to the server. Not for: deciding what is sent.

Binary COPY reinterprets same-width types without any error, so it is used only where every
column is of a pair that `exact` names; the rest goes as CSV, which the server parses itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import arro3.core as arrow
import pgpq
import polars as pl
import psycopg
from psycopg import sql

from penstock.errors import BalanceError
from penstock.model.table import TableName
from penstock.postgres.names import listed

#: Bytes handed to libpq at once: larger pieces make it copy its buffer again and again.
_PIECE = 1 << 18

#: PostgreSQL's type name -> the Polars types whose binary form is exactly that type's.
_EXACT: dict[str, tuple[type[pl.DataType], ...]] = {
    "int2": (pl.Int16,),
    "int4": (pl.Int32,),
    "int8": (pl.Int64,),
    "float4": (pl.Float32,),
    "float8": (pl.Float64,),
    "numeric": (pl.Decimal,),
    "text": (pl.String,),
    "varchar": (pl.String,),
    "bool": (pl.Boolean,),
    "date": (pl.Date,),
    "timestamp": (pl.Datetime,),
    "timestamptz": (pl.Datetime,),
}


def exact(base: str, dtype: pl.DataType) -> bool:
    """True where binary COPY of this pair is exact (each pair has a test of its own)."""
    if not isinstance(dtype, _EXACT.get(base, ())):
        return False
    if isinstance(dtype, pl.Datetime):
        zone = "UTC" if base == "timestamptz" else None
        return dtype.time_unit == "us" and dtype.time_zone == zone
    return True


class Encoder(Protocol):
    """Frames of one schema to the bytes of one COPY."""

    #: The COPY options, such as `format binary`.
    options: sql.SQL

    def encode(self, frame: pl.DataFrame) -> bytes:
        """The next bytes; empty where the encoder still gathers."""
        ...

    def finish(self) -> bytes:
        """The last bytes."""
        ...


class BinaryEncoder:
    """PostgreSQL's binary COPY format (chapter COPY, "Binary Format")."""

    options = sql.SQL("format binary")

    def __init__(self) -> None:
        self._encoder: pgpq.ArrowToPostgresBinaryEncoder | None = None

    def encode(self, frame: pl.DataFrame) -> bytes:
        """The frame's rows; the header comes before the first."""
        table = _arrow(frame)
        head = b""
        if self._encoder is None:
            self._encoder = pgpq.ArrowToPostgresBinaryEncoder(table.schema)
            head = self._encoder.write_header()
        return head + b"".join(self._encoder.write_batch(part) for part in table.to_batches())

    def finish(self) -> bytes:
        """What is still gathered, and the trailer; a COPY of no rows is header and trailer."""
        if self._encoder is None:
            return b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\xff\xff"
        return self._encoder.finish()


def _arrow(frame: pl.DataFrame) -> arrow.Table:
    table = arrow.Table.from_arrow(frame)
    # Polars hands out views of strings and bytes; pgpq knows offsets only.
    large = {
        name: arrow.DataType.large_utf8() if dtype == pl.String else arrow.DataType.large_binary()
        for name, dtype in frame.schema.items()
        if dtype in (pl.String, pl.Binary)
    }
    if not large:
        return table
    fields: list[arrow.Field] = []
    columns = []
    for name in frame.columns:
        field, column = table.field(name), table.column(name)
        if name in large:
            fields.append(arrow.Field(name, large[name], nullable=True))
            columns.append(column.cast(large[name]))
        else:
            fields.append(field)
            columns.append(column)
    return arrow.Table.from_arrays(columns, schema=arrow.Schema(fields))


class CsvEncoder:
    r"""COPY's CSV format: NULL is unquoted and empty, every text is quoted.

    Quoting every text keeps the empty text apart from NULL and `\.` apart from the end of data.
    """

    options = sql.SQL("format csv, null '', encoding 'UTF8'")

    def encode(self, frame: pl.DataFrame) -> bytes:
        """The frame's rows."""
        return frame.write_csv(
            include_header=False,
            quote_style="non_numeric",
            null_value="",
            datetime_format="%Y-%m-%d %H:%M:%S%.6f",
        ).encode()

    def finish(self) -> bytes:
        """Nothing: CSV has no trailer."""
        return b""


def copy_frame(
    connection: psycopg.Connection[Any],
    table: sql.Composable,
    frame: pl.DataFrame,
) -> int:
    """Send a frame into a table of our own, whose columns have exactly its types, by binary COPY.

    Args:
        connection: Inside a transaction.
        table: Quoted by the caller.
        frame: Columns of the table, of pairs that binary COPY holds exactly; Binary for `bytea`.

    Returns:
        The rows that the server says it took.

    Raises:
        BalanceError: They are not those of the frame.
    """
    encoder = BinaryEncoder()
    pieces = [encoder.encode(frame), encoder.finish()]
    taken = copy_in(connection, table, frame.columns, encoder.options, pieces)
    compare_count(table.as_string(connection), frame.height, taken)
    return taken


def copy_in(
    connection: psycopg.Connection[Any],
    table: sql.Composable,
    columns: Sequence[str],
    encoder_options: sql.Composable,
    pieces: Iterable[bytes],
) -> int:
    """Send bytes by COPY ... FROM STDIN.

    Args:
        connection: Inside a transaction.
        table: Quoted by the caller.
        columns: Target columns, in the order of the data.
        encoder_options: `Encoder.options`, perhaps with `freeze`.
        pieces: The bytes; an exception while they are made aborts the COPY.

    Returns:
        The rows that the server says it took.
    """
    statement = sql.SQL("copy {} ({}) from stdin with ({})").format(
        table, listed(columns), encoder_options
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for piece in pieces:
                for start in range(0, len(piece), _PIECE):
                    copy.write(piece[start : start + _PIECE])
        return cursor.rowcount


def compare_count(table: TableName | str, sent: int, taken: int) -> None:
    """Hold the server's count against what was sent.

    Raises:
        BalanceError: They differ: a trigger or rule swallowed or added rows.
    """
    if taken != sent:
        raise BalanceError(
            f"{table}: {sent:,} rows were sent and the server took {taken:,}. A trigger or a rule "
            "on the table swallows or adds rows; a load whose books do not balance is rolled back.",
            code="balance",
        )
