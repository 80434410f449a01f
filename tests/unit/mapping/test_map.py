"""What a map refuses when it is made, and against source and table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from penstock import SAME, Field, Lookup, Map, UsageError, checks
from penstock.model.table import Column, TableName, TableSpec


def column(name: str, number: int, **how: Any) -> Column:
    return Column(name=name, number=number, type="text", base="text", **how)


ACCOUNTS = TableSpec(
    name=TableName("public", "accounts"),
    oid=1,
    kind="r",
    columns=(
        column("id", 1, nullable=False, has_default=True),
        column("code", 2, nullable=False),
        column("email", 3),
        column("unit_price", 4),
        column("search", 5, generated=True),
    ),
)


def refused(make: Any) -> str:
    with pytest.raises(UsageError) as caught:
        make()
    return caught.value.message


def test_all_mistakes_of_a_map_are_said_at_once() -> None:
    message = refused(
        lambda: Map(
            {
                "top": pl.col("price").max(),
                "day": pl.col("day").str.to_date(),
                "code": Field("c", clean="wash", dates="YY"),
                "sector": Lookup("s", {"a": 1}, missing="default"),
                "nothing": None,  # type: ignore[dict-item]
                "other": SAME,
            }
        )
    )
    lines = message.splitlines()
    assert lines[0] == "The map has 7 mistakes:"
    fields = [line.strip().partition(":")[0] for line in lines[1:]]
    assert fields == ["top", "day", "code", "code", "sector", "nothing", "other"]
    assert "pl.lit(...)" in message


def test_a_field_that_is_written_twice_is_said_for_python_keeps_only_the_last() -> None:
    message = refused(lambda: Map({"a": "x", "b": "y", "a": "z"}))  # noqa: F601
    assert "a: two sources for one field" in message
    assert "b:" not in message


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (Field("a", on_error="null", required=True), "required=True"),
        (Field("a", on_error="default"), "needs default="),
        (Field("a", on_error="skip"), "none of reject"),  # type: ignore[arg-type]
        (Field("a", round=-1), "round=-1"),
        (Field("a", type=pl.Decimal), "pl.Decimal(10, 2)"),
        (Field("a", type=pl.Binary), "is none of"),
        (Field("a", type=pl.Int64, default="many"), "default='many'"),
        (Field("a", numbers="1,234"), "numbers='1,234'"),
        (Field("a", dates="DD/MM/YYYY", numbers="1,5"), "two ways"),
        (Field("a", check=checks.Check(lambda v: v.is_unique(), "x")), "is_unique"),
        (Field("^a.*$"), "pattern"),
        (Lookup("a", pl.DataFrame({"k": ["x"]}), key="k", value="v"), "no column v"),
        (Lookup("a", pl.DataFrame({"k": ["x"]})), "key="),
        (Lookup(["a", "b"], {"x": 1}), "tuples of 2"),
        (Lookup("a", {"x": 1, 2: 1}), "one type"),
        (Lookup("a", {}, match="any"), "match='any'"),  # type: ignore[arg-type]
        (Lookup(pl.col("a").max(), {}), "max"),
        (Lookup("a", {"x": 1}, missing="default", default=0.5), "default=0.5"),
        (Field("a", type=pl.Decimal(5, 2), default=Decimal("0.005")), "Decimal('0.005')"),
    ],
)
def test_a_mistake_in_a_declaration_names_the_field_and_the_remedy(
    field: Field | Lookup, said: str
) -> None:
    message = refused(lambda: Map({"target": field}))
    assert "  target: " in message
    assert said in message


def test_a_map_is_checked_against_source_and_table_all_at_once() -> None:
    transform = Map({"emial": "E", "search": "S", "email": "CUST_N", "Email": "E"})
    message = refused(lambda: transform.check(["CUST_NO", "E", "S"], ACCOUNTS))
    assert message.splitlines() == [
        "The map of accounts has 5 mistakes:",
        "  emial: accounts has no such column. Did you mean email?",
        "  search: PostgreSQL generates search: leave it out",
        "  email: the source has no column CUST_N. Did you mean CUST_NO?",
        "  Email: two sources for one field: email is email too",
        "  code: accounts needs a value, and nothing fills it: name a source",
    ]


def test_same_takes_columns_of_the_tables_names_that_are_not_named_otherwise() -> None:
    transform = Map({"*": SAME, "email": "MAIL"})
    bound = transform.check(["_row", "CODE", "Unit Price", "MAIL", "email", "x"], ACCOUNTS)
    assert set(bound.fields) == {"code", "unit_price", "email"}
    assert bound.sources == ("MAIL", "CODE", "Unit Price")
    frame = pl.DataFrame(
        {"CODE": ["c"], "Unit Price": ["1"], "MAIL": ["m"], "email": ["no"], "x": ["no"]}
    )
    made = bound.apply(frame).frame
    assert made.row(0, named=True) == {"_row": 1, "email": "m", "code": "c", "unit_price": "1"}


def test_two_columns_of_one_name_are_two_sources_unless_one_is_exact() -> None:
    transform = Map({"*": SAME})
    message = refused(lambda: transform.check(["CODE", "Co-de"], ACCOUNTS))
    assert "code: two sources for one field: CODE and Co-de" in message
    assert transform.check(["CODE", "code"], ACCOUNTS).sources == ("code",)


def test_an_update_may_leave_needed_columns_out() -> None:
    bound = Map({"email": "E"}).check(["E"], ACCOUNTS, partial=True)
    assert list(bound.fields) == ["email"]
