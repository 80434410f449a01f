"""Refused rows as the text of a COPY: what arrives is what psycopg's own writer would send."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.ledger.rows import copy_rows
from tests.fixtures.postgres import Database

_SCHEMA = {
    "mark": pl.Binary(),
    "source": pl.String(),
    "record": pl.Int64(),
    "codes": pl.List(pl.String()),
    "bad": pl.List(pl.String()),
    "key": pl.List(pl.String()),
    "waits": pl.Boolean(),
}
_TEXT = st.text(
    st.one_of(
        st.sampled_from("\\\"{},\t\n\r'NUL x."),
        st.characters(codec="utf-8", exclude_characters="\0"),
    ),
    max_size=8,
)
_SOME = st.one_of(st.none(), _TEXT, st.just("NULL"), st.just("\\N"), st.just("\\."))
_ROWS = st.lists(
    st.tuples(
        st.binary(max_size=6),
        _TEXT,
        st.integers(-(2**63), 2**63 - 1),
        st.lists(_TEXT, min_size=1, max_size=3),
        st.lists(_SOME, min_size=1, max_size=3),
        st.one_of(st.none(), st.lists(_TEXT, max_size=2)),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def test_every_text_arrives_as_it_is(database: Database) -> None:
    columns = "mark bytea, source text, record bigint, codes text[], bad text[], key text[], w bool"
    with database.connect() as connection:
        connection.execute(f"create temporary table came ({columns})".encode())

        @settings(max_examples=150, deadline=None)
        @given(_ROWS)
        def check(rows: list[tuple[Any, ...]]) -> None:
            connection.execute("truncate came")
            frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
            with connection.cursor() as cursor, cursor.copy("copy came from stdin") as copy:
                copy_rows(connection, copy, frame)
            found = connection.execute("select * from came order by ctid").fetchall()
            assert found == rows

        check()
