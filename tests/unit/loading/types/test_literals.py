"""Literals of many values, enums and the like: what a refusal says, and what options reach."""

from __future__ import annotations

import pytest

from penstock.loading.types.registry import check_for
from penstock.model.options import Grammar
from tests.fixtures.columns import column
from tests.unit.loading.types.outcome import Outcome, outcomes


def one(type_sql: str, text: str, grammar: Grammar | None = None) -> Outcome:
    return outcomes(check_for(column(type_sql), grammar or Grammar()), [text])[0]


@pytest.mark.parametrize(
    ("type_sql", "text", "code", "reason"),
    [
        (
            "integer[]",
            "{1,1.5}",
            "22P02",
            "element 2: 1.5 is not a whole number, integer keeps no decimals",
        ),
        (
            "character varying(3)[]",
            '{NULL,"abc "}',
            "22001",
            "element 2: longer than 3 characters: 4: --trim",
        ),
        ("integer[]", "{1,NA}", "22P02", "element 2: NA is not an integer"),
        (
            "integer[]",
            "{1,2",
            "22P02",
            "{1,2 is not an array such as {1,2,NULL}: its last brace is missing",
        ),
        ("int4range", "[5,1]", "22000", "the range from 5 to 1 ends before it begins"),
        (
            "int4range",
            "[1,2147483647]",
            "22003",
            "nothing comes after 2147483647, where the range must end",
        ),
        ("daterange", "[2024-02-30,)", "22008", "there is no day 2024-02-30 (YYYY-MM-DD)"),
        ("mood", "goood", "22P02", "goood is not a label of mood, did you mean good?"),
        ("mood", " good", "22P02", '" good" is not a label of mood: --trim'),
        ("bytea", "abc", "22P02", "abc is not written in hexadecimal, such as \\x00ff"),
        ("bytea", "\\xabc", "22023", "3 hexadecimal digits: the last byte is half a byte"),
        ("hstore", "a=>1,a=>2", "duplicate_key", "the key a stands twice, hstore keeps one"),
        ("tsvector", "a b a", "duplicate_key", "the word a stands twice, tsvector keeps one"),
        (
            "cidr",
            "10.0.0.1/8",
            "22P02",
            "10.0.0.1/8 has bits set behind /8, which no cidr has: make the column inet, or write "
            "the network's own address",
        ),
        ("interval", "5", "22007", "5 is not an interval such as 1 day 02:03:04 or P1DT2H3M4S"),
        ("interval", "1 day 1 day", "22007", "1 day 1 day says its days twice"),
        ("money", "1.005", "scale", "1.005 has 3 decimals, money keeps 2: --round"),
    ],
)
def test_a_refusal_says_which_value_and_why(
    type_sql: str, text: str, code: str, reason: str
) -> None:
    found = one(type_sql, text)
    assert found.code == code
    assert found.reason is not None
    assert found.reason.endswith(reason)


def test_zone_rounding_and_trimming_reach_inside_and_are_counted() -> None:
    grammar = Grammar(round=True, trim=True, timezone="Europe/Berlin")
    assert one("numeric(5,2)[]", "{1.005,2}", grammar) == Outcome("{1.01,2.00}", change="rounded")
    assert one("character(3)[]", '{"abc "}', grammar) == Outcome("{abc}", change="trimmed")
    assert one("mood", " good", grammar) == Outcome("good", change="trimmed")
    assert one("tstzrange", "[2024-07-01 02:00,)", grammar) == Outcome(
        '["2024-07-01 00:00:00.000000000+00:00",)'
    )


def test_declared_dates_and_numbers_do_not_reach_inside() -> None:
    grammar = Grammar(dates="DD/MM/YYYY", numbers="1234,56", null=("NA",), empty="null")
    assert one("numeric(5,2)[]", "{1,5}", grammar).value == "{1.00,5.00}"
    assert one("daterange", "[2024-01-31,)", grammar).value == '["2024-01-31",)'
    assert one("daterange", "[31/01/2024,)", grammar).code == "22007"
    assert one("text[]", '{NA,""}', grammar).value == '{NA,""}'
    assert one("money", "1,5", grammar).value == "1.50"
