"""Whatever a grammar accepts, PostgreSQL takes, and reads as it would read the text itself.

The texts are those of the differential test with a few characters changed by a seeded generator.
"""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest
from psycopg import sql

from penstock.loading.types.registry import check_for
from penstock.model.options import Grammar
from tests.fixtures.columns import column
from tests.fixtures.literals import LITERALS, SETUP
from tests.fixtures.postgres import Database
from tests.unit.loading.types.outcome import outcomes

_LONGEST, _COUNT = 200, 200
_MARKS = " {}[](),\"\\:.-+0123456789abNULTe=>'/\t\n"


def mutated(type_sql: str) -> list[str]:
    """Texts near the listed ones: characters put in, taken out, exchanged, two texts joined."""
    chance = random.Random(type_sql)
    known = [text for text, accepted in LITERALS[type_sql] if accepted and len(text) < _LONGEST]
    found = set()
    for _ in range(_COUNT):
        text = chance.choice(known)
        for _ in range(chance.randint(1, 3)):
            place, mark = chance.randint(0, len(text)), chance.choice(_MARKS)
            other = chance.choice(known)
            head, tail = text[:place], text[place:]
            texts = (head + mark + tail, head + tail[1:], head + mark + tail[1:])
            text = chance.choice((*texts, head + other[chance.randint(0, len(other)) :]))
        found.add(text)
    return sorted(found)


def read(connection: psycopg.Connection[Any], type_sql: str, text: str) -> str | None:
    """The text as PostgreSQL stores and shows it; None where it refuses."""
    query = sql.SQL("select (%s::text::{})::text").format(sql.SQL(type_sql))
    try:
        row = connection.execute(query, [text]).fetchone()
    except psycopg.Error:
        return None
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("type_sql", LITERALS)
def test_what_is_accepted_is_what_postgresql_reads(database: Database, type_sql: str) -> None:
    texts = mutated(type_sql)
    wrong = []
    with database.connect() as connection:
        connection.execute(SETUP.get(type_sql, "").encode())
        connection.execute("set datestyle = 'ISO, YMD'; set timezone = 'UTC'")
        found = outcomes(check_for(column(type_sql), Grammar()), texts)
        for text, outcome in zip(texts, found, strict=True):
            if outcome.value is None:
                continue
            sent = read(connection, type_sql, outcome.value)
            # PostgreSQL takes no blanks around some types, and no JSON array.
            if sent is None or read(connection, type_sql, text) not in (sent, None):
                wrong.append((text, outcome.value))
    assert wrong == []
