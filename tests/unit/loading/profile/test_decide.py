"""What a profile makes of tables of texts: types, ways of writing, and the rows that decide."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from penstock.errors import SourceError
from penstock.loading.inputs import inputs_of
from penstock.loading.profile import column
from penstock.loading.profile.decide import Decision, Written, decide, how_written
from penstock.loading.profile.facts import Profile
from penstock.loading.profile.reading import profile
from penstock.model.options import Grammar, LoadOptions

PLAIN = Grammar()
UUID = "c9e9c616-612e-7696-a6ce-cc1b78e51061"


def looked_at(
    columns: dict[str, list[str | None]], grammar: Grammar = PLAIN, batch: int = 0
) -> Profile:
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))
    frames = [frame] if not batch else list(frame.iter_slices(batch))
    return profile(inputs_of(frames, LoadOptions(), Path), grammar)


def decided(values: list[str | None], grammar: Grammar = PLAIN, batch: int = 0) -> Decision:
    return decide(looked_at({"v": values}, grammar, batch).columns[0], grammar)


def written(columns: dict[str, list[str | None]], grammar: Grammar = PLAIN) -> Written:
    return how_written(looked_at(columns, grammar), grammar)


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize(
    ("values", "type_name", "said"),
    [
        (["true", "False"], "boolean", "only false and true"),
        (["Y", "n"], "boolean", "only n and y"),
        (["on", "off", None], "boolean", "only off and on"),
        (["true"], "boolean", "only true"),
        (["F", "F"], "text", "fits no other type (row 1: F)"),
        (["yes", "off"], "text", "fits no other type (row 1: yes)"),
        (["0", "1"], "integer", "whole numbers from 0 to 1 (row 2: 1)"),
        (["12", "-2147483648"], "integer", "from -2147483648 to 12 (row 2: -2147483648)"),
        (["2147483647"], "integer", "row 1: 2147483647"),
        (["5", "2147483648"], "bigint", "beyond integer (row 2: 2147483648)"),
        (["-9223372036854775808"], "bigint", "beyond integer"),
        (["9223372036854775808", "1"], "numeric(19,0)", "beyond bigint (row 1: 922"),
        (["17850.0", "3.0"], "integer", "from 3 to 17850"),
        (["12.00", "7.00"], "numeric(4,2)", "2 digits (row 1: 12.00)"),
        (["1", "10.5", "0.125"], "numeric(5,3)", "3 decimals (row 3: 0.125)"),
        (["0.05"], "numeric(2,2)", "0 digits"),
        ([".5", "-.25"], "numeric(2,2)", "2 decimals (row 2: -.25)"),
        (["+7", " 8 "], "integer", "whole numbers from 7 to 8"),
        (["1e5", "2.5"], "double precision", "exponents (row 1: 1e5)"),
        (["007", "8"], "text", "leading zeros (row 1: 007)"),
        (["1", "2", "-03"], "text", "leading zeros (row 3: -03)"),
        (["1", "2", "x3"], "text", "fits no other type (row 3: x3)"),
        (["2024-02-29", "2023-01-01"], "date", "written YYYY-MM-DD"),
        (["2024-02-30"], "text", "fits no other type (row 1: 2024-02-30)"),
        (["20240131"], "integer", "20240131"),
        (["2024-01-01", "2024-01-01 08:30"], "timestamp", "time of day (row 2: 2024-01-01 08:30)"),
        (["2024-01-01T08:30:00.123456"], "timestamp", "time of day"),
        (["2024-01-01 00:00:00Z", "2024-01-01 00:00:00+01"], "timestamptz", "an offset"),
        (["2024-01-01 00:00:00Z", "2024-01-01 00:00:00"], "text", "fits no other type (row 2:"),
        ([UUID, UUID.upper()], "uuid", "every value"),
        (["d41d8cd98f00b204e9800998ecf8427e"], "text", "fits no other type"),
        (['{"a": 1}', "[1, 2]"], "jsonb", "every value"),
        (['{"a": 1, "a": 2}'], "text", "fits no other type"),
        ([None, None], "text", "no values"),
        ([None, "NA", ""], "text", "no values"),
        (["NA", "1", "-", r"\N", "nan", "2"], "integer", "whole numbers from 1 to 2"),
        (["n/a", "hello"], "text", "fits no other type (row 2: hello)"),
    ],
)  # fmt: skip
def test_a_type_and_the_row_that_decides(
    values: list[str | None], type_name: str, said: str, batch: int
) -> None:
    found = decided(values, batch=batch)
    assert (found.type, said in str(found)) == (type_name, True), str(found)


@pytest.mark.parametrize(
    ("values", "grammar", "type_name"),
    [
        (["31/12/2024", "01/02/2024"], Grammar(dates="DD/MM/YYYY"), "date"),
        (["31.12.2024 07:00"], Grammar(dates="DD.MM.YYYY"), "timestamp"),
        (["20240131"], Grammar(dates="YYYYMMDD"), "date"),
        (["2024/1/31"], Grammar(dates="YYYY/M/D"), "date"),
        (["1.234,5", "7"], Grammar(numbers="1.234,56"), "numeric(5,1)"),
        (["1.234"], Grammar(numbers="1.234,56"), "integer"),
        (["1 234,5"], Grammar(numbers="1 234,56"), "numeric(5,1)"),
        (["1'234.5"], Grammar(numbers="1'234.56"), "numeric(5,1)"),
        (["?", "x", "1"], Grammar(null=("x",)), "integer"),
    ],
)
def test_declared_ways_of_writing_decide(
    values: list[str | None], grammar: Grammar, type_name: str
) -> None:
    assert decided(values, grammar).type == type_name


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["31/12/2024"], "dates by --dates DD/MM/YYYY"),
        (["1/2/2024"], "dates by --dates D/M/YYYY or --dates M/D/YYYY"),
        (["1.234,5"], 'numbers by --numbers "1.234,56"'),
        (["1.234"], '1.234 may be a whole number: --numbers "1.234,56"'),
        (["1.5"], ""),
        (["0.125"], ""),
        (["word"], ""),
    ],
)
def test_what_another_declaration_would_make_of_it_is_noted(
    values: list[str | None], note: str
) -> None:
    assert decided(values).note == note


def test_a_part_above_12_says_which_comes_first() -> None:
    found = written({"d": ["01/02/2024", "03/04/2024", "25/12/2024"]})
    assert found.grammar.dates == "DD/MM/YYYY"
    assert found.because["dates"] == "d, row 3: 25/12/2024"
    assert written({"d": ["01/02/2024", "12/25/2024"]}).grammar.dates == "MM/DD/YYYY"


def test_one_column_decides_for_the_others() -> None:
    found = written({"a": ["01/02/2024"], "b": ["31/01/2024"], "c": ["1.234"], "d": ["1.234,5"]})
    assert found.grammar.dates == "DD/MM/YYYY"
    assert found.grammar.numbers == "1.234,56"
    assert found.open == ()


def test_what_no_row_decides_is_open() -> None:
    found = written({"d": ["01/02/2024", "03/04/2024"], "n": ["1.234", "5.678"]})
    assert (found.grammar.dates, found.grammar.numbers) == ("YYYY-MM-DD", "1234.56")
    assert "--dates DD/MM/YYYY or --dates MM/DD/YYYY" in found.open[0]
    assert '--numbers "1234.56" or --numbers "1.234,56"' in found.open[1]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["1,5", "2"], "1234,56"),
        (["1.234,56", "99,9"], "1.234,56"),
        (["1,234.56"], "1,234.56"),
        (["1,234,567"], "1,234.56"),
        (["12 345"], "1 234,56"),
        (["1'234"], "1'234.56"),
        (["1.5", "1,5"], "1234.56"),
        (["5", "6"], "1234.56"),
    ],
)
def test_marks_of_numbers(values: list[str | None], numbers: str) -> None:
    assert written({"n": values}).grammar.numbers == numbers


def test_words_for_null_are_proposed_where_they_keep_a_column_from_its_type() -> None:
    found = written({"n": ["1", "NA", "", "-"], "t": ["a", "N/A", "", "b"]})
    assert found.grammar.null == ("NA", "-")
    assert found.grammar.empty == "null"
    assert found.because["null"] == "NA: n, row 2; -: n, row 4"
    assert written({"t": ["a", "N/A", "", "b"]}).grammar == PLAIN


def test_columns_that_a_table_keeps_as_text_have_no_say() -> None:
    facts = looked_at({"code": ["1", "NA"], "day": ["31/12/2024"] * 2, "n": ["1,5", "2"]})
    found = how_written(facts, PLAIN, {"code": frozenset(), "n": frozenset({"number"})})
    assert found.grammar == Grammar(numbers="1234,56")


def test_different_values_and_nulls_are_counted() -> None:
    facts = looked_at({"a": ["1", "2", "3"], "b": ["x", None, "x"]}, batch=2)
    assert [(c.rows, c.nulls, c.distinct, c.unique) for c in facts.columns] == [
        (3, 0, 3, True),
        (3, 1, 1, False),
    ]


def test_nobody_counts_more_different_values_than_memory_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(column, "MOST_DISTINCT", 40)
    facts = looked_at({"a": [str(n) for n in range(100)]}, batch=10).columns[0]
    assert (facts.rows, facts.distinct, facts.unique) == (100, None, None)


def test_typed_columns_keep_their_types_under_any_declaration() -> None:
    frame = pl.DataFrame({"n": [1.5, 2.25], "b": [True, False], "t": ["1,5", "2,0"]})
    grammar = Grammar(numbers="1234,56", dates="DD/MM/YYYY")
    facts = profile(inputs_of(frame, LoadOptions(), Path), grammar)
    assert [decide(one, grammar).type for one in facts.columns] == [
        "numeric(3,2)",
        "boolean",
        "numeric(2,1)",
    ]


def test_names_that_polars_takes_for_patterns_are_names() -> None:
    facts = looked_at({"*": ["1"], "^x$": ["2024-01-01"]})
    assert [decide(one, PLAIN).type for one in facts.columns] == ["integer", "date"]


def test_of_several_files_the_one_is_named(tmp_path: Path) -> None:
    for name, text in (("a.csv", "n,day\n1,01/02/2024\n"), ("b.csv", "day,n\n31/01/2024,1.25\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    names = [tmp_path / "a.csv", tmp_path / "b.csv"]
    facts = profile(inputs_of(names, LoadOptions(), Path), PLAIN)
    found = how_written(facts, PLAIN)
    assert found.because["dates"] == f"day, {tmp_path}/b.csv line 2: 31/01/2024"
    assert f"({tmp_path}/b.csv line 2: 1.25)" in str(decide(facts.columns[0], found.grammar))


def test_other_columns_in_another_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("a,c\n1,2\n", encoding="utf-8")
    with pytest.raises(SourceError, match="b, c"):
        profile(inputs_of([tmp_path / "a.csv", tmp_path / "b.csv"], LoadOptions(), Path), PLAIN)
