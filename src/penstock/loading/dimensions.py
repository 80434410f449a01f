"""Makes and fills a date dimension. Not for: dimensions that come from files (`load`)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from psycopg import sql

from penstock.errors import UsageError
from penstock.loading.together import unit
from penstock.model.options import LoadMode
from penstock.model.result import LoadResult
from penstock.model.table import TableName
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries

if TYPE_CHECKING:
    import sqlalchemy

_SQL = queries("penstock.postgres.sql", "dimensions.sql")
#: The key of the member for "no date known", as dimensional modelling has it (Kimball).
UNKNOWN = -1
_SATURDAY = 6
#: Those of `calendar` follow the locale of the process.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_YEARS = 500
_SCHEMA: dict[str, pl.DataType] = {
    "date_key": pl.Int32(),
    "day": pl.Date(),
    "year": pl.Int16(),
    "quarter": pl.Int16(),
    "month": pl.Int16(),
    "month_name": pl.String(),
    "iso_year": pl.Int16(),
    "iso_week": pl.Int16(),
    "day_of_month": pl.Int16(),
    "day_of_year": pl.Int16(),
    "weekday": pl.Int16(),
    "weekday_name": pl.String(),
    "is_weekend": pl.Boolean(),
    "first_of_month": pl.Date(),
    "last_of_month": pl.Date(),
}


def make_date_dimension(
    where: str | sqlalchemy.Engine,
    table: str = "dim_date",
    *,
    first: date,
    last: date,
    unknown: bool = False,
) -> LoadResult:
    """Create a table of days where it is not there, and insert the days that it lacks.

    Args:
        where: A libpq connection string or a SQLAlchemy Engine.
        table: `table` or `schema.table`.
        first: The first day.
        last: The last day, included.
        unknown: True: also a member with the key -1, for facts without a date.

    Returns:
        The books; days that were there are `ignored`.

    Raises:
        UsageError: `last` is before `first`, or both are more than 500 years apart.
        PenstockError: As for `load_table`.
    """
    if last < first or last.year - first.year > _MOST_YEARS:
        raise UsageError(f"No days from {first} to {last}: give --from and --to, at most 500 years")
    schema, _, name = table.rpartition(".")
    with unit(where) as together:
        together.connection.execute(
            sql.SQL("create table if not exists {} ({})").format(
                qualified(TableName(schema or "public", name)), sql.SQL(_SQL["date_columns"])
            )
        )
        frame = pl.DataFrame(list(_days(first, last, unknown=unknown)), _SCHEMA, orient="row")
        return together.load(frame, table, mode=LoadMode.INSERT_NEW)


def _days(first: date, last: date, *, unknown: bool) -> Iterator[tuple[Any, ...]]:
    if unknown:
        nothing = dict.fromkeys(_SCHEMA)
        names = {"month_name": "unknown", "weekday_name": "unknown"}
        yield tuple((nothing | names | {"date_key": UNKNOWN}).values())
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        iso_year, iso_week, weekday = day.isocalendar()
        yield (
            day.year * 10_000 + day.month * 100 + day.day,
            day,
            day.year,
            (day.month + 2) // 3,
            day.month,
            _MONTHS[day.month - 1],
            iso_year,
            iso_week,
            day.day,
            day.timetuple().tm_yday,
            weekday,
            _WEEKDAYS[weekday - 1],
            weekday >= _SATURDAY,
            day.replace(day=1),
            day.replace(day=monthrange(day.year, day.month)[1]),
        )
