"""integers, numerics and floats: declared marks, rounding, reasons, and properties."""

from __future__ import annotations

import struct
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.loading.types.registry import check_for
from penstock.model.options import Grammar
from tests.fixtures.columns import column
from tests.unit.loading.types.outcome import Outcome, outcomes


def of(type_sql: str, *texts: str, grammar: Grammar | None = None) -> list[str | None]:
    """The value, or the code where refused."""
    found = outcomes(check_for(column(type_sql), grammar or Grammar()), texts)
    return [outcome.code or outcome.value for outcome in found]


def one(type_sql: str, text: str, grammar: Grammar | None = None) -> Outcome:
    return outcomes(check_for(column(type_sql), grammar or Grammar()), [text])[0]


@pytest.mark.parametrize(
    ("numbers", "text", "value"),
    [
        ("1.234,56", "1.234,56", "1234.56"),
        ("1.234,56", "1234,56", "1234.56"),
        ("1.234,56", "-1.234.567,8", "-1234567.80"),
        ("1.234,56", "+1.234", "1234.00"),
        ("1.234,56", "1.23", "22P02"),
        ("1.234,56", "1.2345,6", "22P02"),
        ("1.234,56", "1234.567", "22P02"),
        ("1.234,56", "1,234.56", "22P02"),
        ("1.234,56", "1.234,5.6", "22P02"),
        ("1.234,56", "1,2,3", "22P02"),
        ("1.234,56", ".234", "22P02"),
        ("1.234,56", "0,005", "scale"),
        ("1.234,56", " ,5 ", "0.50"),
        ("1 234,56", "1 234 567,10", "1234567.10"),
        ("1 234,56", "1\u00a0234,10", "22P02"),
        ("1\u00a0234,56", "1\u00a0234,10", "1234.10"),
        ("1'234.56", "1'234.5", "1234.50"),
        ("1,234.56", "1,234", "1234.00"),
        ("1,234.56", "1,23", "22P02"),
        ("1,234.56", "12,34,567", "22P02"),
        ("1234,56", "1234,56", "1234.56"),
        ("1234,56", "1.234,56", "22P02"),
        ("1234,56", "1234.56", "22P02"),
    ],
)
def test_declared_marks_are_read_in_well_placed_groups_only(
    numbers: str, text: str, value: str
) -> None:
    assert of("numeric(10,2)", text, grammar=Grammar(numbers=numbers)) == [value]
    free = of("numeric", text, grammar=Grammar(numbers=numbers))[0]
    assert free is not None
    if value == "22P02":
        assert free == value
    elif value == "scale":
        assert Decimal(free) == Decimal("0.005")
    else:
        assert Decimal(free) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.234", "1234"),
        ("1.234,0", "1234"),
        ("1.2", "22P02"),
        ("1,5", "22P02"),
        ("1.234,", "1234"),
    ],
)
def test_integers_follow_declared_marks(text: str, value: str) -> None:
    assert of("integer", text, grammar=Grammar(numbers="1.234,56")) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.234,5", "1234.5"),
        ("1,5e3", "1500.0"),
        ("1.5", "22P02"),
        ("1.000", "1000.0"),
        ("0,0", "0.0"),
    ],
)
def test_floats_follow_declared_marks(text: str, value: str) -> None:
    assert of("double precision", text, grammar=Grammar(numbers="1.234,56")) == [value]


@pytest.mark.parametrize(
    "numbers", ["", "1234", "1,234", "x", "1.234.56", "1;234,56", "12,34,56.7"]
)
def test_an_example_that_shows_no_marks_is_wrong_use(numbers: str) -> None:
    with pytest.raises(UsageError, match="--numbers"):
        check_for(column("integer"), Grammar(numbers=numbers))


@pytest.mark.parametrize(
    ("type_sql", "text", "value"),
    [
        ("numeric(10,2)", "7.345", "7.35"),
        ("numeric(10,2)", "-7.345", "-7.35"),
        ("numeric(10,2)", "7.344999", "7.34"),
        ("numeric(10,2)", "0.005", "0.01"),
        ("numeric(10,2)", "0.004", "0.00"),
        ("numeric(10,2)", "99999999.994", "99999999.99"),
        ("numeric(10,2)", "99999999.995", "22003"),
        ("numeric(10,2)", "-99999999.995", "22003"),
        ("numeric(3,0)", "2.5", "3"),
        ("numeric(3,0)", "999.5", "22003"),
        ("numeric(5,-2)", "150", "200"),
        ("numeric(5,-2)", "149.99", "100"),
        ("numeric(5,-2)", "9999949", "9999900"),
        ("numeric(5,-2)", "9999950", "22003"),
        ("numeric(60,30)", "0." + "0" * 30 + "5", "0." + "0" * 29 + "1"),
        ("integer", "1.5", "22P02"),
    ],
)
def test_rounding_is_half_away_from_zero_and_checked_again(
    type_sql: str, text: str, value: str
) -> None:
    outcome = one(type_sql, text, Grammar(round=True))
    assert (outcome.code or outcome.value) == value
    assert outcome.change == ("rounded" if outcome.code is None else None)


def test_exact_values_do_not_count_as_rounded() -> None:
    assert one("numeric(10,2)", " 7.300 ", Grammar(round=True)) == Outcome("7.30")


BEYOND = "is out of range: numeric has 131072 digits before the decimal mark and 16383 after it"


@pytest.mark.parametrize(
    ("type_sql", "text", "code", "reason"),
    [
        ("numeric(10,2)", "7.349", "scale", "7.349 has 3 decimals, numeric(10,2) keeps 2: --round"),
        ("numeric(10,0)", "7.5", "scale", "7.5 has 1 decimal, numeric(10,0) keeps 0: --round"),
        (
            "numeric(10,2)",
            "100000000",
            "22003",
            "100000000 is out of range: numeric(10,2) has 8 digits before the decimal mark",
        ),
        ("numeric(10,2)", "1e2", "22P02", "1e2 is written with an exponent, a number is not"),
        ("numeric", "1e131073", "22003", f"1e131073 {BEYOND}"),
        ("numeric", "-1.5E-99999", "22003", f"-1.5E-99999 {BEYOND}"),
        ("numeric(10,2)", "1e99999999999999999999", "22003", f"1e99999999999999999999 {BEYOND}"),
        ("numeric", "1e131071", "22P02", "1e131071 is written with an exponent, a number is not"),
        ("numeric", "NaN", "22P02", "NaN is not a finite number: --null NaN"),
        ("numeric", "1.234,56", "22P02", '1.234,56 is not a number: --numbers "1.234,56"'),
        (
            "integer",
            "1,234",
            "22P02",
            '1,234 is not an integer: --numbers "1.234,56" or --numbers "1,234.56"',
        ),
        ("integer", "NA", "22P02", "NA is not an integer: --null NA"),
        ("integer", "1.5", "22P02", "1.5 is not a whole number, integer keeps no decimals"),
        ("integer", "", "22P02", "the empty text is not an integer: --empty null"),
        (
            "smallint",
            "40000",
            "22003",
            "40000 is out of range of smallint (-32768 to 32767)",
        ),
        ("real", "1e39", "22003", "1e39 is out of range: too large for real"),
        (
            "double precision",
            "1e-400",
            "22003",
            "1e-400 is out of range: too small for double precision",
        ),
    ],
)
def test_reasons_name_value_rule_and_option(
    type_sql: str, text: str, code: str, reason: str
) -> None:
    assert one(type_sql, text) == Outcome(None, code, reason)


def test_a_long_value_is_shown_short() -> None:
    reason = one("integer", "9" * 5000).reason
    assert reason is not None
    assert len(reason) < 120


def test_blank_texts_are_null_where_empty_means_null() -> None:
    assert one("integer", "  ", Grammar(empty="null")) == Outcome(None)


PLAIN = st.from_regex(r"[+-]?([0-9]{1,12}(\.[0-9]{0,6})?|\.[0-9]{1,6})", fullmatch=True)


@given(st.lists(PLAIN, max_size=30), st.booleans())
def test_fixed_numerics_agree_with_decimal(texts: list[str], rounding: bool) -> None:
    expected: list[str | None] = []
    for text in texts:
        value = Decimal(text)
        rounded = value.quantize(Decimal("0.01"), ROUND_HALF_UP)
        if abs(value) >= 10**8 or (rounding and abs(rounded) >= 10**8):
            expected.append("22003")
        elif rounded != value and not rounding:
            expected.append("scale")
        else:
            expected.append(str(rounded if rounded else abs(rounded)))
    assert of("numeric(10,2)", *texts, grammar=Grammar(round=rounding)) == expected


@given(st.lists(PLAIN | st.text("0123456789+-.eE, \t", max_size=8), max_size=30))
def test_numerics_without_precision_keep_every_digit(texts: list[str]) -> None:
    for text, found in zip(texts, of("numeric", *texts), strict=True):
        if found == "22P02":
            assert "e" in text.lower() or "," in text or not _is_decimal(text)
        else:
            assert found is not None
            wanted = Decimal(text.strip(" \t"))
            if found == "22003":  # PostgreSQL 8.1.2: digits before and after the decimal point
                assert wanted.adjusted() >= 131072 or wanted.as_tuple().exponent < -16383  # type: ignore[operator]
                continue
            assert Decimal(found) == wanted
            assert Decimal(found).as_tuple().exponent == wanted.as_tuple().exponent


def _is_decimal(text: str) -> bool:
    try:
        Decimal(text.strip(" \t"))
    except ArithmeticError:
        return False
    return True


@given(st.lists(st.integers(-(2**33), 2**33).map(str) | st.text("0123456789+-. ", max_size=11)))
def test_integers_agree_with_int(texts: list[str]) -> None:
    for text, found in zip(texts, of("integer", *texts), strict=True):
        try:
            value = int(text)
        except ValueError:
            if found == "22P02":
                continue
            value = int(Decimal(text.strip()))  # decimals that are all zero: `5.`
            assert value == Decimal(text.strip())
        assert found == (str(value) if -(2**31) <= value < 2**31 else "22003")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_doubles_come_back_as_they_were_written(values: list[float]) -> None:
    found = of("double precision", *map(repr, values))
    assert [struct.pack("d", float(text or "x")) for text in found] == [
        struct.pack("d", value) for value in values
    ]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_reals_are_rounded_once(values: list[float]) -> None:
    # A text a hair beyond the midpoint of two reals must not be rounded by way of double.
    def above(value: float) -> float:
        bits = struct.unpack("<i", struct.pack("<f", abs(value)))[0]
        found: float = struct.unpack("<f", struct.pack("<i", bits + 1))[0]
        return found

    usable = [abs(v) for v in values if 1e-30 < abs(v) < 1e30]
    texts = [
        format(
            (Decimal(value) + Decimal(above(value))) / 2 + Decimal(value) * Decimal("1e-26"), "e"
        )
        for value in usable
    ]
    found = [float(text or "x") for text in of("real", *texts)]
    assert [struct.pack("f", value) for value in found] == [
        struct.pack("f", above(value)) for value in usable
    ]
