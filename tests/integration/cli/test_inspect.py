"""`penstock inspect`, and `load` with `--create`, as a user runs them in 80 columns."""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from penstock import SourceError, inspect
from tests.fixtures.postgres import Database
from tests.integration.cli.program import counted, penstock

SALES = """Kunde;Tag;Betrag;Menge;PLZ
1;31.12.2023;1.234,50;NA;01067
2;01.01.2024;99,90;7;80331
3;02.01.2024;-5,00;12;10115
"""


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    (tmp_path / "umsatz.csv").write_text(SALES, encoding="utf-8")
    return tmp_path


def told(folder: Path, *words: str, **variables: str) -> dict[str, Any]:
    said = penstock(folder, "inspect", *words, "--json", **variables)
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def tables(database: Database) -> list[tuple[str, str]]:
    with database.connect() as connection:
        return connection.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema') order by 1, 2"
        ).fetchall()


def test_without_a_database_a_file_is_explained(sales: Path) -> None:
    said = penstock(sales, "inspect", "umsatz.csv", COLUMNS="80")
    assert (said.returncode, said.stdout) == (0, "")
    assert "encoding utf-8: every line is" in said.stderr
    assert "delimiter ;: the only one in the header" in said.stderr
    assert "Betrag  numeric(6,2)" in said.stderr
    assert "--dates: decided by Tag, line 2: 31.12.2023" in said.stderr
    assert "no database was asked" in said.stderr
    assert "1      2023-12-31  1234.50  NULL   01067" in said.stderr
    assert max(map(len, said.stderr.splitlines())) <= 80


def test_the_proposed_command_creates_and_loads(database: Database, sales: Path) -> None:
    before = tables(database)
    found = told(sales, "umsatz.csv", PENSTOCK_DSN=database.url)
    assert tables(database) == before
    assert (found["exists"], found["refused"]) == (False, None)
    assert [one["type"] for one in found["columns"]] == [
        *("integer", "date", "numeric(6,2)", "integer", "text"),
    ]
    assert found["command"] == [
        *("penstock", "load", "umsatz.csv", "--create", "--dates", "DD.MM.YYYY"),
        *("--numbers", "1.234,56", "--null", "NA"),
    ]
    said = penstock(sales, *found["command"][1:], PENSTOCK_DSN=database.url, COLUMNS="80")
    assert said.returncode == 0, said.stderr
    assert "create table umsatz (" in said.stderr
    assert "-- written DD.MM.YYYY (line 2: 31.12.2023)\n    tag date," in said.stderr
    assert max(map(len, said.stderr.splitlines())) <= 80
    assert counted(database, "umsatz") == 3


def test_a_table_says_which_values_it_would_refuse(database: Database, sales: Path) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table sales (kunde int, tag date, betrag numeric(5,0), menge int not null, "
            "plz text, note text)"
        )
    found = told(sales, "umsatz.csv", "sales", PENSTOCK_DSN=database.url)
    assert (found["exists"], found["refused"], found["rows"]) == (True, 2, 3)
    assert [(r["column"], r["code"], r["rows"]) for r in found["reasons"]] == [
        ("betrag", "scale", 2),
        ("menge", "23502", 1),
    ]
    assert [sample["line"] for sample in found["reasons"][0]["samples"]] == [2, 3]
    assert found["command"][:4] == ["penstock", "load", "umsatz.csv", "sales"]
    assert "--create" not in found["command"]
    assert any("left to NULL or default: note" in note for note in found["notes"])
    assert any("would be refused" in problem for problem in found["problems"])
    said = penstock(sales, "inspect", "umsatz.csv", "sales", PENSTOCK_DSN=database.url)
    assert "betrag numeric(5,0)" in said.stderr
    assert counted(database, "sales") == 0


def test_columns_that_do_not_match_are_told_and_left_out(database: Database, sales: Path) -> None:
    with database.connect() as connection:
        connection.execute("create table umsatz (kunde int, tag date, plz text)")
    found = told(sales, "umsatz.csv", PENSTOCK_DSN=database.url)
    assert any('has no column "Betrag", "Menge"' in problem for problem in found["problems"])
    assert found["command"][-1] == "--ignore-extra"
    assert any("--alter add" in note for note in found["notes"])
    said = penstock(sales, *found["command"][1:], PENSTOCK_DSN=database.url)
    assert said.returncode == 0, said.stderr
    # What a text column has as NA stays: no other column needs the option now.
    assert "--null" not in found["command"]


def test_an_encoding_is_proposed_with_the_line_that_shows_it(tmp_path: Path) -> None:
    text = "name;stadt\nAnn;Bonn\nJosé;Köln\n".encode("cp1252")
    (tmp_path / "leute.csv.gz").write_bytes(gzip.compress(text))
    found = told(tmp_path, "leute.csv.gz")
    assert found["encoding"] == "cp1252"
    assert "line 3" in found["encoding_because"]
    assert "'José;Köln'" in found["encoding_because"]
    assert found["rows"] == 2
    assert found["command"][-2:] == ["--encoding", "cp1252"]


def test_a_wrong_byte_among_rows_of_utf8_proposes_no_other_encoding(tmp_path: Path) -> None:
    rows = [f"{n};Müller" for n in range(1, 199)]
    text = "\n".join(["id;name", *rows]).encode() + b"\n199;J\xe4ger\n"
    (tmp_path / "leute.csv").write_bytes(text)
    found = told(tmp_path, "leute.csv")
    assert found["encoding"] == "utf-8"
    assert "1 record is not: leute.csv line 200: byte 0xE4" in found["encoding_because"]
    assert found["rows"] == 198
    assert "--encoding" not in found["command"]
    assert found["first_rows"][0]["name"] == "Müller"


def test_a_wrong_byte_in_the_header_of_utf8_is_to_be_corrected(tmp_path: Path) -> None:
    text = b"id;stra\xdfe\n" + "1;Müllerweg\n2;Köln\n".encode()
    (tmp_path / "leute.csv").write_bytes(text)
    said = penstock(tmp_path, "inspect", "leute.csv")
    assert said.returncode == 1
    assert "byte 0xDF" in said.stderr
    assert "2 lines show it" in said.stderr
    assert "--encoding" not in said.stderr


def test_a_few_lines_that_could_be_utf8_are_told_where_most_could_not(tmp_path: Path) -> None:
    lines = ["name;stadt", "José;Köln", "«CAFÉ»;Bonn", "Zoë;Plön"]
    (tmp_path / "leute.csv").write_bytes("\n".join(lines).encode("cp1252"))
    found = told(tmp_path, "leute.csv")
    assert found["encoding"] == "cp1252"
    (problem,) = found["problems"]
    assert "1 line could also be UTF-8, such as leute.csv line 3" in problem


def test_a_delimiter_that_only_the_rows_prove_is_declared(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a;b (x, y);c\n1;2;3\n4;5;6\n", encoding="utf-8")
    found = told(tmp_path, "odd.csv")
    assert found["delimiter"] == ";"
    assert shlex.join(found["command"]) == "penstock load odd.csv --create --delimiter ';'"


def test_what_cannot_be_read_or_is_wrong_use_has_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    assert penstock(tmp_path, "inspect", "empty.csv").returncode == 1
    assert penstock(tmp_path, "inspect", "missing.csv").returncode == 1
    assert penstock(tmp_path, "inspect", "empty.csv", "--dates", "DD").returncode == 2
    assert penstock(tmp_path, "inspect").returncode == 2
    with pytest.raises(SourceError, match="empty"):
        inspect(tmp_path / "empty.csv")


def test_a_database_that_does_not_answer_leaves_the_file_explained(sales: Path) -> None:
    nowhere = "postgresql://me@127.0.0.1:1/shop?connect_timeout=2"
    found = told(sales, "umsatz.csv", PENSTOCK_DSN=nowhere)
    assert found["target"] == ""
    assert any("no database was asked" in note for note in found["notes"])
    assert len(found["columns"]) == 5


def test_a_revision_is_written_and_nothing_loaded(database: Database, sales: Path) -> None:
    words = ("load", "umsatz.csv", "--create", "--revision", "0001_umsatz.py")
    before = tables(database)
    said = penstock(sales, *words, "--key", "kunde", "--json", PENSTOCK_DSN=database.url)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["file"] == "0001_umsatz.py"
    assert "Nothing was loaded" in said.stderr
    assert "primary key (kunde)" in (sales / "0001_umsatz.py").read_text(encoding="utf-8")
    assert tables(database) == before
    again = penstock(sales, *words, PENSTOCK_DSN=database.url)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    alone = penstock(sales, "load", "umsatz.csv", "--revision", "x.py", PENSTOCK_DSN=database.url)
    assert alone.returncode == 2
