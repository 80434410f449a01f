"""The database of the current folder, as a URL that every library reads."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy
from psycopg.conninfo import make_conninfo

from penstock import database as here
from tests.fixtures.postgres import Database


@pytest.mark.parametrize("form", ["url", "words"])
def test_whatever_names_the_database_a_url_comes_out(
    database: Database, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    said = database.url if form == "url" else make_conninfo(database.url)
    monkeypatch.setenv("PENSTOCK_DSN", said)
    url = here()
    wanted = "select current_database()"
    with psycopg.connect(database.url) as connection:
        name = connection.execute(wanted).fetchone()
    with psycopg.connect(url) as connection:
        assert connection.execute(wanted).fetchone() == name
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    with engine.connect() as joined:
        assert tuple(joined.execute(sqlalchemy.text(wanted)).one()) == name
    engine.dispose()
