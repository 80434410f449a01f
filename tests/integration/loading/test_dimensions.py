"""The date dimension, held against PostgreSQL's own calendar."""

from __future__ import annotations

from datetime import date

import pytest

from penstock import UsageError
from penstock.loading.dimensions import make_date_dimension
from tests.fixtures.postgres import Database

ODD_DAYS = """
select day from dim_date where day is not null and (
    date_key <> to_char(day, 'YYYYMMDD')::int
    or year <> extract(year from day) or quarter <> extract(quarter from day)
    or month <> extract(month from day) or month_name <> to_char(day, 'FMMonth')
    or iso_year <> extract(isoyear from day) or iso_week <> extract(week from day)
    or day_of_month <> extract(day from day) or day_of_year <> extract(doy from day)
    or weekday <> extract(isodow from day) or weekday_name <> to_char(day, 'FMDay')
    or is_weekend <> (extract(isodow from day) in (6, 7))
    or first_of_month <> date_trunc('month', day)
    or last_of_month <> date_trunc('month', day) + interval '1 month - 1 day')
"""


def test_every_day_is_what_postgresql_says_of_it(database: Database) -> None:
    result = make_date_dimension(
        database.engine(), first=date(1999, 12, 1), last=date(2030, 1, 31), unknown=True
    )
    with database.connect() as connection:
        assert connection.execute(ODD_DAYS).fetchall() == []
        found = connection.execute(
            "select count(*), min(day)::text, max(day)::text, min(date_key) from dim_date"
        ).fetchone()
        days = connection.execute("select '2030-01-31'::date - '1999-12-01'::date + 1").fetchone()
    assert days is not None
    assert found == (days[0] + 1, "1999-12-01", "2030-01-31", -1)
    assert result.inserted == days[0] + 1


def test_made_again_with_other_bounds_it_adds_what_is_missing(database: Database) -> None:
    for last, inserted, ignored in ((date(2024, 1, 31), 31, 0), (date(2024, 2, 29), 29, 31)):
        result = make_date_dimension(database.url, "days", first=date(2024, 1, 1), last=last)
        assert (result.inserted, result.ignored) == (inserted, ignored)


def test_bounds_that_make_no_sense_are_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="No days"):
        make_date_dimension(database.url, first=date(2024, 1, 2), last=date(2024, 1, 1))
