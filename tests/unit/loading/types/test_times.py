"""dates, timestamps and zones: declared patterns, precision, daylight saving, and properties."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.loading.types.registry import check_for
from penstock.model.options import Grammar
from tests.fixtures.columns import column
from tests.unit.loading.types.outcome import Outcome, outcomes

BERLIN = Grammar(timezone="Europe/Berlin")


def of(type_sql: str, *texts: str, grammar: Grammar | None = None) -> list[str | None]:
    """The value, or the code where refused."""
    found = outcomes(check_for(column(type_sql), grammar or Grammar()), texts)
    return [outcome.code or outcome.value for outcome in found]


def one(type_sql: str, text: str, grammar: Grammar | None = None) -> Outcome:
    return outcomes(check_for(column(type_sql), grammar or Grammar()), [text])[0]


@pytest.mark.parametrize(
    ("dates", "text", "value"),
    [
        ("DD/MM/YYYY", "09/01/2024", "2024-01-09"),
        ("DD/MM/YYYY", "9/1/2024", "22007"),
        ("DD/MM/YYYY", "09/01/24", "22007"),
        ("DD/MM/YYYY", "01/1/ 2024", "22007"),
        ("DD/MM/YYYY", "01/1/+2024", "22007"),
        ("DD/MM/YYYY", "13/13/2024", "22008"),
        ("DD/MM/YYYY", "31/04/2024", "22008"),
        ("DD/MM/YYYY", "2024-01-09", "22007"),
        ("DD/MM/YYYY", "09/01/2024 00:00:00", "2024-01-09"),
        ("MM/DD/YYYY", "09/01/2024", "2024-09-01"),
        ("D/M/YYYY", "9/1/2024", "2024-01-09"),
        ("D/M/YYYY", "09/01/2024", "2024-01-09"),
        ("D/M/YYYY", "009/1/2024", "22007"),
        ("M/D/YYYY", "12/1/2010 0:00", "2010-12-01"),
        ("DD.MM.YYYY", "09.01.2024", "2024-01-09"),
        ("DD.MM.YYYY", "09-01-2024", "22007"),
        ("YYYYMMDD", "20240109", "2024-01-09"),
        ("YYYYMMDD", "2024109", "22007"),
        ("YYYY MM DD", "2024 01 09", "2024-01-09"),
        ("YYYY MM DD", "2024\t01\t09", "22007"),
        ("YYYY-M-D", "2024-1-9", "2024-01-09"),
    ],
)
def test_dates_follow_the_declared_pattern_and_no_other(dates: str, text: str, value: str) -> None:
    assert of("date", text, grammar=Grammar(dates=dates)) == [value]
    moment = of("timestamp", text, grammar=Grammar(dates=dates))
    assert moment == [value if len(value) == 5 else value + " 00:00:00.000000"]


@pytest.mark.parametrize(
    "dates",
    ["", "YYYY-MM", "DD/MM/YY", "YYYY-MM-DD-DD", "yyyy-mm-dd", "YYYYMD", "DDMYYYY", "YYYY-DD-MM-",
     "YYYY--MM-DD", "%Y-%m-%d", "YYYY:MM:DD", "MMM DD YYYY"],
)  # fmt: skip
def test_a_senseless_pattern_is_wrong_use(dates: str) -> None:
    with pytest.raises(UsageError, match="--dates"):
        check_for(column("date"), Grammar(dates=dates))


@pytest.mark.parametrize(
    ("type_sql", "text", "code", "reason"),
    [
        (
            "date",
            "09/01/2024",
            "22007",
            "09/01/2024 is not written as YYYY-MM-DD: --dates DD/MM/YYYY or MM/DD/YYYY",
        ),
        (
            "date",
            "31/01/2024",
            "22007",
            "31/01/2024 is not written as YYYY-MM-DD: --dates DD/MM/YYYY or D/M/YYYY",
        ),
        ("date", "2024-02-30", "22008", "there is no day 2024-02-30 (YYYY-MM-DD)"),
        ("date", "0000-00-00", "22008", "0000-00-00 is no day: --null 0000-00-00"),
        (
            "date",
            "infinity",
            "22007",
            "infinity is not a date of the calendar: --null infinity",
        ),
        ("date", "NULL", "22007", "NULL is not written as YYYY-MM-DD: --null NULL"),
        (
            "date",
            "2024-01-09 10:30:00",
            "22007",
            "2024-01-09 10:30:00 has a time of day, which date does not keep",
        ),
        (
            "date",
            "2024-01-09T00:00:00Z",
            "offset",
            "2024-01-09T00:00:00Z has an offset, which date does not keep",
        ),
        (
            "timestamp",
            "2024-01-09 24:00:00",
            "22008",
            "2024-01-09 24:00:00 has the time 24:00, which is 00:00 of the next day",
        ),
        (
            "timestamp",
            "2016-12-31 23:59:60",
            "22008",
            "2016-12-31 23:59:60 is a leap second,"
            " which PostgreSQL would move into the next minute",
        ),
        (
            "timestamp(3)",
            "2024-01-09 10:30:00.12345",
            "scale",
            "2024-01-09 10:30:00.12345 has 5 digits after the seconds,"
            " timestamp(3) keeps 3: --round",
        ),
        (
            "timestamptz",
            "2024-01-09 10:30:00",
            "timezone",
            "2024-01-09 10:30:00 has no offset, timestamptz needs one: --timezone Europe/Berlin"
            " (the zone of the times)",
        ),
        (
            "timestamptz",
            "2024-01-09 10:30:00+16",
            "22009",
            "2024-01-09 10:30:00+16 has an offset beyond 15:59",
        ),
        (
            "timestamp",
            "9/1/2024 8:26",
            "22007",
            "9/1/2024 is not written as YYYY-MM-DD: --dates D/M/YYYY or M/D/YYYY",
        ),
    ],
)
def test_reasons_name_value_rule_and_option(
    type_sql: str, text: str, code: str, reason: str
) -> None:
    assert one(type_sql, text) == Outcome(None, code, reason)


def test_an_offset_is_refused_where_it_would_be_lost() -> None:
    assert one("timestamp", "2024-01-09T10:30:00+01:00").code == "offset"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-01-09T12:00:00Z", "2024-01-09 12:00:00"),
        ("2024-01-09 12:00:00 UTC", "2024-01-09 12:00:00"),
        ("2024-01-09 12:00:00+0530", "2024-01-09 06:30:00"),
        ("2024-01-09 12:00:00-03:30", "2024-01-09 15:30:00"),
        ("2024-01-09 12:00:00-00:30", "2024-01-09 12:30:00"),
        ("2024-01-09 12:00+01", "2024-01-09 11:00:00"),
        ("2024-01-01 00:30:00.5+01:00", "2023-12-31 23:30:00.5"),
    ],
)
@pytest.mark.parametrize("grammar", [Grammar(), BERLIN])
def test_an_offset_is_taken_exactly_whatever_zone_is_declared(
    text: str, utc: str, grammar: Grammar
) -> None:
    found = one("timestamptz", text, grammar)
    assert found.value is not None
    expected = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert datetime.fromisoformat(found.value) == expected


def test_local_time_that_does_not_exist_or_exists_twice_is_refused() -> None:
    texts = [
        "2024-03-31 01:59:59",
        "2024-03-31 02:00:00",
        "2024-03-31 02:59:59.999",
        "2024-03-31 03:00:00",
        "2024-10-27 01:59:59",
        "2024-10-27 02:00:00",
        "2024-10-27 02:59:59",
        "2024-10-27 03:00:00",
    ]
    assert of("timestamptz", *texts, grammar=BERLIN) == [
        "2024-03-31 00:59:59.000000+00:00",
        "dst_gap",
        "dst_gap",
        "2024-03-31 01:00:00.000000+00:00",
        "2024-10-26 23:59:59.000000+00:00",
        "dst_overlap",
        "dst_overlap",
        "2024-10-27 02:00:00.000000+00:00",
    ]


def test_a_day_that_begins_in_a_gap_has_no_midnight() -> None:
    grammar = Grammar(timezone="America/Sao_Paulo")
    assert of("timestamptz", "2018-11-04", "2018-11-05", grammar=grammar) == [
        "dst_gap",
        "2018-11-05 02:00:00.000000+00:00",
    ]


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - local times
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC",
         "America/Sao_Paulo", "Pacific/Apia"]
    ),
)  # fmt: skip
def test_zones_agree_with_zoneinfo_in_every_century(local: datetime, zone: str) -> None:
    _agrees_with_zoneinfo(local, zone)


@given(
    st.integers(1980, 2400),
    st.sampled_from([3, 4, 10, 11]),
    st.integers(0, 30 * 24 * 4),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_changes_of_the_clock_agree_with_zoneinfo(
    year: int, month: int, quarters: int, zone: str
) -> None:
    start = datetime(year, month, 1)  # noqa: DTZ001 - local times
    _agrees_with_zoneinfo(start + timedelta(minutes=15 * quarters), zone)


def _agrees_with_zoneinfo(local: datetime, zone: str) -> None:
    rules = ZoneInfo(zone)
    before, after = (local.replace(tzinfo=rules, fold=fold).utcoffset() for fold in (0, 1))
    assert before is not None
    assert after is not None
    [found] = of("timestamptz", local.isoformat(" "), grammar=Grammar(timezone=zone))
    if before == after:
        assert found is not None
        assert datetime.fromisoformat(found) == (local - before).replace(tzinfo=UTC)
    else:
        assert found == ("dst_gap" if before < after else "dst_overlap")


@pytest.mark.parametrize("zone", ["", "Nowhere/City", "+01:00", "europe/berlin", "CET+1", "../UTC"])
def test_a_name_that_is_no_zone_is_wrong_use(zone: str) -> None:
    with pytest.raises(UsageError, match="--timezone"):
        check_for(column("timestamptz"), Grammar(timezone=zone))


@pytest.mark.parametrize(
    ("type_sql", "text", "value"),
    [
        ("timestamp", "2024-01-09 10:30:00.1234567", "2024-01-09 10:30:00.123457"),
        ("timestamp", "2024-01-09 10:30:00.1234564", "2024-01-09 10:30:00.123456"),
        ("timestamp", "2024-12-31 23:59:59.9999999", "2025-01-01 00:00:00.000000"),
        ("timestamp(3)", "2024-01-09 10:30:00.1235", "2024-01-09 10:30:00.124000"),
        ("timestamp(3)", "2024-01-09 10:30:00.1225", "2024-01-09 10:30:00.123000"),
        ("timestamp(0)", "2024-01-09 10:30:00.5", "2024-01-09 10:30:01.000000"),
        ("timestamp(0)", "1999-01-09 10:30:00.5", "1999-01-09 10:30:00.000000"),
        ("timestamp(0)", "9999-12-31 23:59:59.5", "22008"),
    ],
)
def test_seconds_are_rounded_as_postgresql_rounds_them(
    type_sql: str, text: str, value: str
) -> None:
    outcome = one(type_sql, text, Grammar(round=True))
    assert (outcome.code or outcome.value) == value
    assert outcome.change == ("rounded" if outcome.code is None else None)


DAYS = st.dates() | st.dates(date(1, 1, 1), date(120, 1, 1))


@given(st.lists(DAYS.map(str) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True)))
def test_dates_agree_with_the_standard_library(texts: list[str]) -> None:
    for text, found in zip(texts, of("date", *texts), strict=True):
        try:
            expected = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007
        except ValueError:
            assert found in ("22007", "22008")
        else:
            assert found == expected.isoformat()


@given(st.lists(st.text("0123456789-+/ T:.Z", max_size=20) | st.text(max_size=12)))
def test_no_text_is_taken_for_a_date_that_it_does_not_show(texts: list[str]) -> None:
    for text, found in zip(texts, of("date", *texts), strict=True):
        assert found in ("22007", "22008", "22009", "22P02", "offset") or text.strip(
            " \t\r\n"
        ).startswith(found or "?")


@given(st.lists(st.datetimes(), max_size=20), st.sampled_from([" ", "T"]))
def test_timestamps_agree_with_the_standard_library(values: list[datetime], mark: str) -> None:
    found = of("timestamp", *[value.isoformat(mark) for value in values])
    assert [datetime.fromisoformat(text or "") for text in found] == values


@pytest.mark.parametrize(
    ("type_sql", "text", "value"),
    [
        ("time", "8:26", "08:26:00"),
        ("time", "12:34:56.1200", "12:34:56.12"),
        ("time", "12:34:56.000", "12:34:56"),
        ("time", "12:34:56.5" + "0" * 200, "12:34:56.5"),
        ("time", "24:00", "22008"),
        ("time", "23:59:60", "22008"),
        ("time", "12:34:56.1234567", "scale"),
        ("time(3)", "12:34:56.1234", "scale"),
        ("time", "12:34+01", "offset"),
        ("time", "now", "22007"),
        ("time", "12:34 PM", "22007"),
        ("time", "2024-01-09 12:34", "22007"),
        ("time", "", "22P02"),
        ("timetz", "8:26Z", "08:26:00+00:00"),
        ("timetz", "12:34:56.50 -0330", "12:34:56.5-03:30"),
        ("timetz", "12:34:56 UTC", "12:34:56+00:00"),
        ("timetz", "12:34:56+16:00", "22009"),
        ("timetz", "12:34:56", "timezone"),
    ],
)
def test_times_of_day_are_canonical_text(type_sql: str, text: str, value: str) -> None:
    assert of(type_sql, text) == [value]


def test_times_of_day_are_never_rounded_and_say_so() -> None:
    assert one("time(0)", "23:59:59.5", Grammar(round=True)) == Outcome(
        None,
        "scale",
        "23:59:59.5 has 1 digit after the seconds, time(0) keeps 0:"
        " write fewer (--round does not hold for times of day)",
    )


@given(st.times())
def test_every_time_of_day_is_kept(clock: time) -> None:
    text = clock.isoformat()
    bare = text.rstrip("0") if "." in text else text
    assert of("time", text) == [bare]
    assert of("timetz", text + "+05:30") == [bare + "+05:30"]


def test_an_interval_says_which_decimals_would_be_rounded() -> None:
    assert one("interval", "1 day 1.2345 ms") == Outcome(
        None, "scale", "1 day 1.2345 ms has the decimals .2345 ms, which interval would round"
    )
    assert of("interval", " 1 day ", "", "1.50 s") == ["1 day", "22P02", "1.50 s"]
