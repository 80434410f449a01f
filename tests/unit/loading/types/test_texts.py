"""texts, booleans, UUIDs, JSON and the rest: values, changes and reasons."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.loading.types.registry import check_for
from penstock.model.options import Grammar
from penstock.model.table import Column
from tests.fixtures.columns import column
from tests.unit.loading.types.outcome import Outcome, outcomes


def one(type_sql: str, text: str, grammar: Grammar | None = None) -> Outcome:
    return outcomes(check_for(column(type_sql), grammar or Grammar()), [text])[0]


def test_text_is_kept_with_its_blanks() -> None:
    assert one("text", " a \n") == Outcome(" a \n")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (" a\t", Outcome("a", change="trimmed")),
        ("a", Outcome("a")),
        ("\u00a0a", Outcome("\u00a0a")),
        ("   ", Outcome("", change="trimmed")),
        ("a b", Outcome("a b")),
    ],
)
def test_trimming_takes_blanks_and_counts(text: str, outcome: Outcome) -> None:
    assert one("text", text, Grammar(trim=True)) == outcome
    assert one("character varying(5)", text, Grammar(trim=True)) == outcome


def test_a_text_that_trimming_empties_is_null_where_empty_means_null() -> None:
    grammar = Grammar(trim=True, empty="null")
    assert one("text", "  ", grammar) == Outcome(None, change="trimmed")


@pytest.mark.parametrize("type_sql", ["character varying(5)", "character(5)"])
def test_a_longer_text_is_refused_and_told_of_trimming_where_that_would_help(type_sql: str) -> None:
    assert one(type_sql, "abcdefg") == Outcome(None, "22001", "longer than 5 characters: 7")
    assert one(type_sql, "abcde  ") == Outcome(None, "22001", "longer than 5 characters: 7: --trim")
    trimming = Grammar(trim=True)
    assert one(type_sql, " abcdefg", trimming) == Outcome(
        None, "22001", "longer than 5 characters: 7"
    )
    assert one(type_sql, "abcde  ", trimming) == Outcome("abcde", change="trimmed")


@given(st.lists(st.text(max_size=8)))
def test_length_counts_code_points(texts: list[str]) -> None:
    found = outcomes(check_for(column("character varying(5)"), Grammar()), texts)
    assert [outcome.value for outcome in found] == [t if len(t) <= 5 else None for t in texts]


@given(st.lists(st.text(" \t\r\n\u00a0\u2003ab", max_size=6)))
def test_trimming_agrees_with_python(texts: list[str]) -> None:
    found = outcomes(check_for(column("text"), Grammar(trim=True)), texts)
    assert [outcome.value for outcome in found] == [text.strip(" \t\r\n") for text in texts]
    assert [outcome.change is not None for outcome in found] == [
        text != text.strip(" \t\r\n") for text in texts
    ]


@pytest.mark.parametrize(("text", "value"), [("T", "true"), (" oFF ", "false"), ("1", "true")])
def test_booleans_have_postgresqls_words(text: str, value: str) -> None:
    assert one("boolean", text) == Outcome(value)


def test_a_word_that_is_no_boolean_is_told_the_words() -> None:
    reason = "ja is not true or false (true/false, t/f, yes/no, y/n, on/off, 1/0)"
    assert one("boolean", "ja") == Outcome(None, "22P02", reason)


@pytest.mark.parametrize(
    "text",
    [
        "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11 ",
    ],
)
def test_uuids_become_what_postgresql_writes(text: str) -> None:
    assert one("uuid", text) == Outcome("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        (
            '{"a": 1, "a": 2}',
            "duplicate_key",
            "the key a stands twice, jsonb would keep the last",
        ),
        ("[NaN]", "22P02", "not valid JSON: NaN is no JSON number"),
        ('"\\u0000"', "22P05", "\\u0000 cannot be kept as text"),
        ('"\\ud800"', "22P02", "half of a surrogate pair (\\ud800 to \\udfff) stands alone"),
        ("1e131073", "22003", "the number 1e131073 is out of range of numeric"),
        ("[" * 501 + "]" * 501, "54001", "JSON nested deeper than 500 levels"),
        ("", "22P02", "the empty text is not jsonb: --empty null"),
    ],
)
def test_json_that_jsonb_would_not_keep_is_refused(text: str, code: str, reason: str) -> None:
    assert one("jsonb", text) == Outcome(None, code, reason)


def test_brackets_in_strings_are_no_nesting() -> None:
    text = json.dumps("[{" * 600 + '"')
    assert one("jsonb", text) == Outcome(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False).filter(
        lambda value: abs(value) < float("inf")
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_whatever_python_writes_without_nul_is_kept_letter_by_letter(value: object) -> None:
    text = json.dumps(value)
    expected = Outcome(text) if "\\u0000" not in text.replace("\\\\", "") else None
    found = one("jsonb", text)
    assert found == expected or (expected is None and found.code == "22P05")


def test_types_without_a_grammar_are_left_to_the_server() -> None:
    others = [
        Column(name="v", number=1, type="xml[]", base="_xml", element=column("xml")),
        Column(name="v", number=1, type="point", base="point"),
    ]
    for other in others:
        check = check_for(other, Grammar(trim=True))
        assert check.dtype == pl.String
        assert outcomes(check, [" x ", ""]) == [Outcome(" x "), Outcome("")]


def test_a_domain_is_checked_as_the_type_beneath_it() -> None:
    price = Column(
        name="v", number=1, type="price", base="numeric", category="d", precision=6, scale=2
    )
    assert outcomes(check_for(price, Grammar()), ["1.50"])[0].code is None
    assert outcomes(check_for(price, Grammar()), ["1.555"])[0].code == "scale"
