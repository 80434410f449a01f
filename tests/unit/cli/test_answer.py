"""What reaches the terminal and the ledger: no secrets, nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from penstock.cli.answer import command_line, fault, masked, plain
from penstock.cli.database import Database, label_of


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["load", "a.csv", "--dsn", "postgresql://u:s3cret@h/d"], "penstock load a.csv"),
        (["load", "--dsn=host=h password=s3cret", "a.csv"], "penstock load a.csv"),
        (["load", "my file.csv", "--dsn"], "penstock load 'my file.csv'"),
        (["load", "postgres://u:s3c/r@et@h/d"], "penstock load 'postgres://***@h/d'"),
        (["load", "password='s3 cret' host=h"], "penstock load 'password=*** host=h'"),
    ],
)
def test_a_recorded_command_holds_no_secret(arguments: list[str], command: str) -> None:
    assert command_line(arguments) == command


@pytest.mark.parametrize(
    "text", ["postgresql://u:s3cret@h", "x?password=s3cret&y", "PASSWORD = s3cret", "://s3cret@"]
)
def test_secrets_are_masked(text: str) -> None:
    assert "s3cret" not in masked(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 東京 🚰", "Zoë 東京 🚰"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\u202eevil\u200b", r"\u202eevil\u200b"),
        ("\x9b31m", r"\x9b31m"),
        ("\udc80", r"\udc80"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_fault_is_told_in_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_DEBUG", raising=False)
    told = fault(ValueError("no\nway postgresql://u:s3cret@h/d"))
    assert "\n" not in told
    assert "fault of Penstock" in told
    assert "ValueError: no way postgresql://***@h/d" in told
    assert "PENSTOCK_DEBUG=1" in told


def test_the_traceback_of_a_fault_is_shown_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENSTOCK_DEBUG", "1")
    try:
        raise ValueError("postgresql://u:s3cret@h/d")
    except ValueError as error:
        fault(error)
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("conninfo", "label"),
    [
        ("postgresql://u:p@db.example.com:6432/shop", "u@db.example.com:6432/shop"),
        ("host=a,b port=1,2 user=u dbname=d password=p", "u@a:1/d"),
        ("postgresql://u@/d?host=/run/pg", "u@/run/pg:5432/d"),
        ("postgresql://u:p@h", "u@h:5432/u"),
        ("service=shop password=p", "service shop"),
    ],
)
def test_a_label_names_the_database_without_the_password(
    conninfo: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    assert label_of(conninfo) == label


def test_a_database_does_not_show_its_password() -> None:
    assert "s3cret" not in repr(Database("postgresql://u:s3cret@h/d", "u@h:5432/d", "--dsn"))
