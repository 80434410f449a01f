"""`penstock new map`: a draft that says what is certain, what is near, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock import Map
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

TABLES = """
create table companies (id bigint generated always as identity primary key, code text unique);
create table contacts (
    id bigint generated always as identity primary key, email text not null,
    company_id bigint references companies, since date, amount numeric(10, 2),
    full_name text not null, nickname text);
create table producers (
    id bigint generated always as identity primary key, producer_no text unique);
create table regions (id bigint primary key, name text unique);
create table wines (
    id bigint generated always as identity primary key, name text not null,
    producer_id bigint not null references producers, region_id bigint references regions);
"""
CSV = (
    "E-Mail;COMPANY;SINCE;AMOUNT;FULLNAME_;X\n"
    "a@x.example;A;31.12.2024;1.234,50;Ann;1\nb@x.example;B;01.02.2025;2,00;Bob;2\n"
)


NewMap = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    with database.connect() as connection:
        connection.execute(TABLES)
    (tmp_path / "maps").mkdir()
    (tmp_path / "contacts.csv").write_text(CSV, encoding="utf-8")
    return tmp_path


@pytest.fixture
def new_map(project: Path, database: Database) -> NewMap:
    def run(*words: str) -> tuple[int, str, str]:
        said = penstock(project, "new", "map", *words, PENSTOCK_DSN=database.url)
        return said.returncode, said.stdout, said.stderr

    return run


def test_a_map_is_drafted_from_a_file_and_can_be_used(project: Path, new_map: NewMap) -> None:
    code, output, error = new_map(
        "contacts", "--from", "contacts.csv", "--to", "contacts", "--json"
    )

    assert code == 0, error
    path = Path(json.loads(output)["file"])
    made: dict[str, Map] = {}
    exec(path.read_text(encoding="utf-8"), made)  # noqa: S102  our own draft
    assert set(made["transform"].fields) == {"email", "company_id", "since", "amount", "full_name"}
    assert path.read_text(encoding="utf-8").splitlines()[4:] == [
        "transform = Map({",
        '    # "id": PostgreSQL makes it (generated always as identity)',
        '    "email": "E-Mail",',
        '    "company_id": Lookup("COMPANY", "companies.code"),',
        '    "since": Field("SINCE", dates="DD.MM.YYYY"),',
        '    "amount": Field("AMOUNT", numbers="1.234,56"),',
        '    "full_name": "FULLNAME_",',
        '    # "nickname": "",  # text, may be left out: no column of the source has its name',
        "    # The source also has: X",
        "})",
    ]


def test_a_map_is_drafted_from_a_table(project: Path, new_map: NewMap) -> None:
    code, _, output = new_map("companies", "--from", "contacts", "--to", "companies")

    assert code == 0, output
    text = (project / "maps" / "companies_map.py").read_text(encoding="utf-8")
    assert '    # "id": PostgreSQL makes it (generated always as identity)' in text
    assert '"id":' not in text.replace('# "id":', "")
    assert "id, email, company_id" in text


@pytest.mark.parametrize(
    ("header", "producer"),
    [
        ("name,producer_no,region_id", 'Lookup("producer_no", "producers.producer_no"),'),
        ("name,PRODUCER,region_id", 'Lookup("PRODUCER", "producers.producer_no"),'),
        (
            "name,Producer Code,region_id",
            'Lookup("Producer Code", "producers.producer_no"),'
            "  # the nearest name: is it this one?",
        ),
        (
            "name,PRODUCER ID,region_id",
            'Lookup("PRODUCER ID", "producers.producer_no"),'
            "  # if it holds the producer_no of producers",
        ),
    ],
)
def test_what_refers_to_numbers_of_postgresql_is_looked_up_by_the_natural_key(
    project: Path, new_map: NewMap, header: str, producer: str
) -> None:
    (project / "wines.csv").write_text(f"{header}\nRed,A7,3\n", encoding="utf-8")
    code, _, output = new_map("wines", "--from", "wines.csv", "--to", "wines")
    assert code == 0, output
    lines = (project / "maps" / "wines_map.py").read_text(encoding="utf-8").splitlines()
    assert lines[4:] == [
        "transform = Map({",
        '    # "id": PostgreSQL makes it (generated always as identity)',
        '    "name": "name",',
        f'    "producer_id": {producer}',
        '    "region_id": "region_id",',  # nobody but the source numbers regions
        "})",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("contacts", "--from", "nothing.csv", "--to", "contacts"), "There is no table"),
        (("contacts", "--from", "contacts.csv", "--to", "nothing"), "There is no table nothing"),
        (("Contacts!", "--from", "contacts.csv", "--to", "contacts"), "is no name"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_is_written(
    project: Path, new_map: NewMap, words: tuple[str, ...], said: str
) -> None:
    code, _, output = new_map(*words)

    assert (code, said in output) == (2, True), output
    assert list((project / "maps").iterdir()) == []


def test_a_map_that_is_there_is_not_overwritten(project: Path, new_map: NewMap) -> None:
    (project / "maps" / "contacts_map.py").write_text("mine", encoding="utf-8")

    code, _, output = new_map("contacts", "--from", "contacts.csv", "--to", "contacts")

    assert code == 2
    assert "there already" in output
    assert (project / "maps" / "contacts_map.py").read_text(encoding="utf-8") == "mine"
