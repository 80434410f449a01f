"""Declarations of checks: what they are called, what they default to, what makes no sense."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

import penstock
from penstock import quality
from penstock.errors import UsageError
from penstock.events.pipeline import Pipeline
from penstock.loading.load import options_from
from penstock.quality.declared import Check


def test_the_root_has_the_module_with_its_functions() -> None:
    assert penstock.quality is quality
    assert quality.__all__ == sorted(quality.__all__)


@pytest.mark.parametrize(
    ("check", "name", "columns", "min_rows"),
    [
        (quality.unique("a", "b"), "unique(a, b)", ("a", "b"), 1),
        (quality.not_null("a"), "not_null(a)", ("a",), 1),
        (quality.not_null("a", 0.5), "not_null(a)", ("a",), 20),
        (quality.not_null("a", 0.5, min_rows=3), "not_null(a)", ("a",), 3),
        (quality.accepted("a", {"x"}, name="kinds"), "kinds", ("a",), 1),
        (quality.between("a", 1, None, name="n", min_rows=7), "n", ("a",), 7),
        (quality.fresh("a", timedelta(hours=1)), "fresh(a)", ("a",), 1),
        (quality.row_count("a"), "row_count(a)", ("a",), 1),
        (quality.refers("a", "t.id", 0.99), "refers(a)", ("a",), 20),
        (quality.sql("select 1;\n", name="s"), "s", (), 1),
        (quality.expression(pl.col("a") > pl.col("b"), name="e"), "e", ("a", "b"), 1),
    ],
    ids=lambda one: one.kind if isinstance(one, Check) else "",
)
def test_a_check_knows_its_name_columns_and_fewest_rows(
    check: Check, name: str, columns: tuple[str, ...], min_rows: int
) -> None:
    assert (check.name, check.columns, check.min_rows) == (name, columns, min_rows)
    assert (check.severity, check.stops) == ("fail", True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        check.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: quality.unique(), "name at least one column"),
        (lambda: quality.not_null(""), "texts"),
        (lambda: quality.not_null(7), "texts"),  # type: ignore[arg-type]
        (lambda: quality.not_null("a", 1.01), "at_least: 1.01 is no share from 0 to 1"),
        (lambda: quality.not_null("a", -0.1), "at_least: -0.1"),
        (lambda: quality.not_null("a", True), "at_least: True"),
        (lambda: quality.not_null("a", min_rows=0), "at least 1 row"),
        (lambda: quality.not_null("a", severity="error"), '"error" is not one of fail, warn'),
        (lambda: quality.accepted("a", []), "give a list of values"),
        (lambda: quality.accepted("a", "xy"), "give a list of values"),
        (lambda: quality.accepted("a", ["x", None]), "without None"),
        (lambda: quality.between("a", None, None), "give a least or a most"),
        (lambda: quality.fresh("a", timedelta()), "is a timedelta"),
        (lambda: quality.fresh("a", 3600), "is a timedelta"),  # type: ignore[arg-type]
        (lambda: quality.row_count("a", days=0), "days is a whole number"),
        (lambda: quality.row_count("a", least=2, most=1), "least below most"),
        (lambda: quality.refers("a", "id"), '"id" is not table.column'),
        (lambda: quality.refers("a", "users."), '"users." is not table.column'),
        (lambda: quality.sql(" ; ", name="s"), "give a SELECT"),
        (lambda: quality.expression("a > 1", name="e"), "Polars expression"),  # type: ignore[arg-type]
        (lambda: quality.expression(pl.lit(value=True), name="e"), "it looks at no column"),
        (lambda: quality.expression(pl.col("a").cum_sum() > 1, name="e"), "one row at a time"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_when_it_is_declared(
    make: Callable[[], Check], said: str
) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert said in error.value.message


@pytest.mark.parametrize(
    ("to", "table", "column"),
    [
        ("users.id", "users", "id"),
        ("shop.users.id", "shop.users", "id"),
        ('"My users"."I""d.x"', '"My users"', 'I"d.x'),
    ],
)
def test_what_is_referred_to_is_read_as_sql_writes_it(to: str, table: str, column: str) -> None:
    assert quality.refers("a", to).referred == (table, column)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (quality.not_null("a"), "give a list of checks"),
        ("not_null(a)", "give a list of checks"),
        (["not_null(a)"], "is no check"),
        ([quality.not_null("a"), quality.not_null("a", 0.5)], "two checks are called not_null(a)"),
    ],
)
def test_a_list_of_checks_is_of_checks_with_names_of_their_own(given: Any, said: str) -> None:
    for declare in (
        lambda: options_from(quality=given),
        lambda: Pipeline(name="p", target="t", key="k", transform=dict, checks=given),
    ):
        with pytest.raises(UsageError) as error:
            declare()
        assert said in error.value.message


def test_a_load_refuses_what_is_about_tables_and_a_pipeline_takes_it() -> None:
    checks = [quality.not_null("a"), quality.row_count("at")]
    with pytest.raises(UsageError, match="penstock check"):
        options_from(quality=checks)
    assert Pipeline(name="p", target="t", key="k", transform=dict, checks=checks).checks == checks
