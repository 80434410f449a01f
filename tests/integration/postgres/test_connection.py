"""How a connection is opened, and what is said when it is not."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit, urlunsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from penstock.errors import TargetError, TryAgain, UsageError
from penstock.postgres.connection import connect, normalise, target_of
from tests.fixtures.postgres import Database


def replaced(url: str, **parts: str) -> str:
    return urlunsplit(urlsplit(url)._replace(**parts))


def test_a_wrong_password_is_no_reason_to_try_again(database: Database) -> None:
    role = database.role("someone")
    wrong = role.url.replace(urlsplit(role.url).password or "", "canary-secret")
    with pytest.raises(TargetError, match="password") as caught:
        connect(wrong)
    assert "canary-secret" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_database_that_is_not_there_is_said_so(database: Database) -> None:
    with pytest.raises(TargetError, match="no_such_database"):
        connect(replaced(database.url, path="/no_such_database"))


def test_a_server_that_does_not_answer_may_answer_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TryAgain) as caught:
        connect(f"postgresql://someone:canary-secret@127.0.0.1:{port}/shop")
    assert "canary-secret" not in str(caught.value)
    assert caught.value.exit_code == 75


def test_an_unreadable_connection_string_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        normalise("postgresql://u:canary-secret%zz@host/d")
    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "mode"),
    [
        ("postgresql://u@db.example.com/shop", "verify-full"),
        ("host=10.1.2.3 user=u", "verify-full"),
        ("postgresql://u@db.example.com/shop?sslmode=require", "require"),
        ("postgresql://u@localhost/shop", None),
        ("postgresql://u@127.0.0.1/shop", None),
        ("postgresql://u@[::1]/shop", None),
        ("host=/var/run/postgresql", None),
        ("dbname=shop", None),
    ],
)
def test_certificates_are_verified_unless_the_server_is_this_machine(
    dsn: str, mode: str | None
) -> None:
    assert conninfo_to_dict(normalise(dsn)).get("sslmode") == mode


def test_a_host_of_the_environment_is_verified_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert conninfo_to_dict(normalise("dbname=shop"))["sslmode"] == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert "sslmode" not in conninfo_to_dict(normalise("dbname=shop"))


def test_a_target_shows_no_password(database: Database) -> None:
    with target_of(database.url) as target:
        assert (urlsplit(database.url).password or "-") not in repr(target)
        assert target.label.endswith(f"/{database.name}")
