"""What is per-row, and that everything else is refused: unstable parts of Polars, relied on."""

from __future__ import annotations

import polars as pl
import pytest

from penstock.mapping.perrow import unsuited

A, B = pl.col("a"), pl.col("b")


@pytest.mark.parametrize(
    "expression",
    [
        A.str.strip_chars().str.to_lowercase(),
        pl.when(A == "x").then(B).otherwise(pl.lit("y")),
        pl.concat_str(["a", "b"], separator="-"),
        pl.format("{}/{}", A, B),
        pl.coalesce("a", "b"),
        A.str.to_date("%d.%m.%Y"),
        A.str.split(",").list.eval(pl.element().str.to_uppercase()).list.first(),
        A.is_in(["x", "y"]),
        A.replace({"x": "y"}),
        A.replace_strict({"x": "y"}, default=B),
        A.cast(pl.Int64) * 2 + 1,
        pl.max_horizontal("a", "b"),
        pl.lit("erp"),
        A.fill_null("none").alias("other"),
    ],
    ids=str,
)
def test_what_looks_at_one_row_is_taken(expression: pl.Expr) -> None:
    assert unsuited(expression) == []


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        (A.max(), "max"),
        (A.rank(), "rank"),
        (A.shift(1), "shift"),
        (A.cum_sum(), "cum_sum"),
        (A.sum().over("b"), "over"),
        (A.filter(B > 1), "filter"),
        (A.unique(), "unique"),
        (A.explode(), "explode"),
        (A.sort(), "sort"),
        (A.sort_by("b"), "sort_by"),
        (A.len(), "len"),
        (pl.len(), "len"),
        (A.first(), "first"),
        (A.drop_nulls(), "drop_nulls"),
        (A.forward_fill(), "fill_null_with_strategy"),
        (A.rolling_mean(2), "rolling"),
        (A.shuffle(), "shuffle"),
        (A.cumulative_eval(pl.element().sum()), "cumulative_eval"),
        (A.str.join(","), "concat_vertical"),
        (pl.all(), "a choice of several columns"),
        (pl.col("a", "b"), "a choice of several columns"),
        (pl.lit(pl.Series([1, 2])), "a Series"),
        (A.fill_null(A.max()), "max"),
        (pl.when(A.is_unique()).then(B), "is_unique"),
        (A.replace_strict({"x": "y"}, default=B.max()), "max"),
    ],
    ids=str,
)
def test_what_looks_at_several_rows_is_named_with_a_way_out(
    expression: pl.Expr, named: str
) -> None:
    (why,) = unsuited(expression)
    assert named in why.partition(" is not known")[0]
    assert "TRANSFORM" in why
    assert "each=" in why


def test_a_date_without_a_format_is_refused_for_polars_would_guess_it() -> None:
    (why,) = unsuited(A.str.to_date())
    assert "without a format" in why
    assert 'dates="DD.MM.YYYY"' in why


def test_members_from_another_column_are_refused_for_polars_takes_all_its_rows() -> None:
    # What Polars itself calls separable by rows:
    frame = pl.DataFrame({"a": ["x", "z"], "b": ["z", "q"]})
    assert frame.select(A.is_in(pl.col("b"))).to_series().to_list() == [False, True]
    (why,) = unsuited(A.is_in(pl.col("b")))
    assert "another column" in why


def test_a_python_function_in_an_expression_is_refused() -> None:
    (why,) = unsuited(A.map_batches(lambda values: values, return_dtype=pl.String))
    assert "each=function" in why


def test_every_reason_is_given_once() -> None:
    assert len(unsuited(A.max() + B.max() + A.rank())) == 2
