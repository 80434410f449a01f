"""Corrected rows of loads by a key that is not the primary one, and of links."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock import Etl, Job, Map, Ref
from penstock.ledger.quarantine import Selection
from penstock.loading.export import export_rejects
from penstock.project.environment import choose
from tests.fixtures.mail import Mailbox
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

Project = Callable[..., Etl]
TABLES = """
create table wines (
    wine_id bigint generated always as identity primary key, code text not null unique,
    price numeric(8,2) not null);
create table producers (
    producer_id bigint generated always as identity primary key, producer_no text not null unique,
    name text not null check (name <> 'bad'), parent_id bigint references producers);
"""
PRODUCERS = "NO;NAME;PARENT\nP1;Aldo;\nP2;bad;P1\nP3;Cosimo;P9\n"
MAP = Map({"producer_no": "NO", "name": "NAME"})


@pytest.fixture
def project(database: Database, mailbox: Mailbox, tmp_path: Path) -> Project:
    with database.connect() as connection:
        connection.execute(TABLES)
    (tmp_path / "data" / "import" / "corrections").mkdir(parents=True)

    def make(said: list[str] | None = None) -> Etl:
        env = {
            "project": "cellar",
            "drops": {"kind": "files", "folder": "data/import"},
            "mail": mailbox.settings,
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        say = print if said is None else said.append
        etl = Etl(env=choose(env, "dev", tmp_path), say=say)
        etl.start()
        return etl

    return make


def run(project: Project, job: Callable[[Job], None]) -> tuple[str, ...]:
    """Run a flow of one job; gives the job's notes."""
    etl = project()
    (result,) = etl.run(job).results
    etl.end()
    assert not result.failed, result.record.error
    return result.notes


def drop(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "data" / "import" / name).write_text(text, encoding="utf-8")


def asked(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def exported(
    database: Database, path: Path, name: str, change: Mapping[str, Mapping[str, str]]
) -> None:
    """What waits, as a file; the rows that the column `name` names get other cells."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        export_rejects(connection, path, Selection())
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, **change.get(row[name], {})} for row in rows)


def corrections(tmp_path: Path) -> Path:
    return tmp_path / "data" / "import" / "corrections" / "rejects.csv"


def wines(mode: str) -> Callable[[Job], None]:
    def wines(job: Job) -> None:
        rows = job.connect("drops").read(f"{mode}.csv")
        loaded = job.connect("warehouse").load(
            rows, "wines", mode=mode, key="code", max_rejects="all"
        )
        job.catch(loaded)

    return wines


def producers(job: Job) -> None:
    rows = job.connect("drops").read("producers.csv", delimiter=";")
    warehouse = job.connect("warehouse")
    loaded = warehouse.load(
        rows, "producers", MAP, key="producer_no", mode="upsert", max_rejects="all"
    )
    linked = warehouse.link(loaded, {"parent_id": Ref("PARENT", "producers.producer_no")})
    job.catch(loaded, linked)


def parents(database: Database) -> dict[str, str | None]:
    return dict(
        asked(
            database,
            "select c.producer_no, p.producer_no from producers c "
            "left join producers p on p.producer_id = c.parent_id",
        )
    )


def test_a_correction_finds_its_row_by_the_key_of_its_load_where_the_table_makes_its_own(
    project: Project, database: Database, tmp_path: Path
) -> None:
    asked(database, "insert into wines (code, price) values ('B', 1), ('X', 9) returning 1")
    drop(tmp_path, "upsert.csv", "code,price\nA,1.00\nB,cheap\nC,dear\n")
    run(project, wines("upsert"))
    path = corrections(tmp_path)
    exported(database, path, "code", {"B": {"price": "2.00"}, "C": {"price": "3.00"}})
    said: list[str] = []
    project(said).end()

    assert "corrections: rejects.csv: 2 rows loaded" in said
    assert asked(database, "select code, price::text from wines order by 1") == [
        ("A", "1.00"),
        ("B", "2.00"),
        ("C", "3.00"),
        ("X", "9.00"),
    ]
    assert asked(database, "select distinct status from penstock.rejects") == [("replayed",)]


def test_rows_of_one_file_are_loaded_each_as_its_own_load_would(
    project: Project, database: Database, tmp_path: Path
) -> None:
    asked(database, "insert into wines (code, price) values ('B', 1), ('N', 1) returning 1")
    drop(tmp_path, "upsert.csv", "code,price\nA,1.00\nB,cheap\n")
    drop(tmp_path, "insert_new.csv", "code,price\nD,4.00\nN,dear\nM,dear\n")
    for mode in ("upsert", "insert_new"):
        run(project, wines(mode))
    right = {"B": {"price": "2.00"}, "N": {"price": "7.00"}, "M": {"price": "8.00"}}
    exported(database, corrections(tmp_path), "code", right)
    project().end()

    # B is updated by the upsert; N is there, and insert_new leaves it as it is.
    assert asked(database, "select code, price::text from wines order by 1") == [
        ("A", "1.00"),
        ("B", "2.00"),
        ("D", "4.00"),
        ("M", "8.00"),
        ("N", "1.00"),
    ]
    assert asked(
        database,
        "select l.mode, l.options ->> 'key' from penstock.loads l join penstock.runs r "
        "using (run_id) where r.kind = 'replay' order by 1",
    ) == [("insert_new", '["code"]'), ("upsert", '["code"]')]


@pytest.mark.parametrize("key", [[], ["--key", "producer_no"]])
def test_rejects_of_a_load_and_of_its_link_are_replayed_from_one_workbook(
    project: Project, database: Database, tmp_path: Path, key: list[str]
) -> None:
    drop(tmp_path, "producers.csv", PRODUCERS)
    run(project, producers)
    right = {"producer_no": "P9", "name": "Nove", "producer_no of producers": "P9"}
    exported(database, tmp_path / "rejects.csv", "producer_no", {"P2": right})
    words = ("rejects", "replay", "rejects.csv", "--mode", "upsert", *key, "--dsn", database.url)
    said = penstock(tmp_path, *words)

    assert said.returncode == 0, said.stderr
    assert parents(database) == {"P1": None, "P3": "P9", "P9": None}


def cells(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Edit the rows of a file of rejects in their place; a column that no row has any more goes."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda row: row["code"] == "C" and row.update(_of="L-0abcdef0"),
            "line 3: reject 2 of this database is another row, by what the file says in _of "
            "(1 of 2 rows)",
        ),
        (
            lambda row: row.update(_id=str(int(row["_id"]) + 100)),
            "line 2: reject 101 of this database is no row, by what the file says in _of "
            "(2 of 2 rows)",
        ),
    ],
)
def test_a_correction_that_was_exported_from_another_ledger_is_refused_and_stays(
    project: Project,
    database: Database,
    tmp_path: Path,
    change: Callable[[dict[str, str]], object],
    said: str,
) -> None:
    drop(tmp_path, "upsert.csv", "code,price\nA,1.00\nB,cheap\nC,dear\n")
    run(project, wines("upsert"))
    path = corrections(tmp_path)
    exported(database, path, "code", {"B": {"price": "2.00"}, "C": {"price": "3.00"}})
    cells(path, change)
    told: list[str] = []
    project(told).end()

    (warning,) = [line for line in told if line.startswith("warning: ")]
    assert said in warning
    assert path.exists()
    assert asked(database, "select code from wines") == [("A",)]
    assert asked(database, "select distinct status from penstock.rejects") == [("waiting",)]


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("_of"),
        lambda row: row.update(_of=f" {row['_of'].upper()} "),
        lambda row: row.update(_of=""),
    ],
)
def test_a_correction_without_a_mark_or_with_its_own_is_loaded(
    project: Project,
    database: Database,
    tmp_path: Path,
    change: Callable[[dict[str, str]], object],
) -> None:
    drop(tmp_path, "upsert.csv", "code,price\nA,1.00\nB,cheap\n")
    run(project, wines("upsert"))
    path = corrections(tmp_path)
    exported(database, path, "code", {"B": {"price": "2.00"}})
    cells(path, change)
    project().end()

    assert asked(database, "select code from wines order by 1") == [("A",), ("B",)]
    assert not path.exists()


def test_references_of_refused_rows_are_told_and_set_when_the_rows_come_again(
    project: Project, database: Database, mailbox: Mailbox, tmp_path: Path
) -> None:
    # P2 is refused and has a parent, P4 is refused and has none.
    drop(tmp_path, "producers.csv", "NO;NAME;PARENT\nP1;Aldo;\nP2;bad;P1\nP4;bad; \nP5;Eno;P1\n")
    notes = run(project, producers)
    assert notes == (
        "producers: 2 linked",
        "producers, parent_id: 1 reference of refused rows is not linked: "
        "set when the rows come again in the source",
    )
    (told,) = mailbox.messages
    body = told.get_body(("plain",))
    assert body is not None
    said = " ".join(str(body.get_content()).split())
    assert "1 references of these rows are not in the file: they are set when the rows" in said
    assert "2 rows were refused" in said  # the reference is no third one

    right = {"P2": {"name": "Bruno"}, "P4": {"name": "Dino"}}
    exported(database, corrections(tmp_path), "producer_no", right)
    run(project, producers)
    assert parents(database) == {"P1": None, "P2": None, "P4": None, "P5": "P1"}
    drop(tmp_path, "producers.csv", "NO;NAME;PARENT\nP2;Bruno;P1\n")
    assert run(project, producers) == ("producers: 1 linked",)
    assert parents(database) == {"P1": None, "P2": "P1", "P4": None, "P5": "P1"}


def test_pairs_of_refused_rows_are_counted_each(
    project: Project, database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create table partners (a bigint, b bigint, primary key (a, b))")
    drop(tmp_path, "producers.csv", "NO;NAME;WITH\nP1;Aldo;\nP2;bad;P1, P3\nP3;Cosimo;P1\n")

    def pairs(job: Job) -> None:
        rows = job.connect("drops").read("producers.csv", delimiter=";")
        warehouse = job.connect("warehouse")
        loaded = warehouse.load(
            rows, "producers", MAP, key="producer_no", mode="upsert", max_rejects="all"
        )
        refs = {
            "a": Ref("NO", "producers.producer_no"),
            "b": Ref("WITH", "producers.producer_no", split=","),
        }
        warehouse.link(loaded, refs, into="partners")

    assert run(project, pairs) == (
        "partners: 1 linked",
        "producers, partners: 2 references of refused rows are not linked: "
        "set when the rows come again in the source",
    )
