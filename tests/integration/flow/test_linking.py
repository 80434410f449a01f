"""LINK, lookups in tables, units, and what became of each row; on a real database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import Etl, Job, Lookup, Map, Ref
from penstock.errors import UsageError
from penstock.project.environment import choose
from tests.fixtures.postgres import Database

Project = Callable[..., Etl]
TABLES = """
create table companies (
    id bigint generated always as identity primary key, code text not null unique,
    name text not null check (name <> 'bad'), parent_id bigint references companies);
create table contacts (
    id bigint generated always as identity primary key, email text not null unique,
    company_id bigint not null references companies);
create table tags (id int primary key, tag text not null unique);
insert into tags values (1, 'new'), (2, 'big');
create table company_tags (
    company_id bigint references companies, tag_id int references tags,
    primary key (company_id, tag_id));
"""
COMPANIES = "CODE;NAME;PARENT;TAGS\nA;Alder;;new, big\nB;Birch;A;big\nC;Cedar;Z;\nD;bad;A;new\n"
MAP = Map({"code": "CODE", "name": "NAME"})
PARENT = {"parent_id": Ref("PARENT", "companies.code")}


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Project:
    with database.connect() as connection:
        connection.execute(TABLES)
    (tmp_path / "data" / "import").mkdir(parents=True)

    def make(**more: Any) -> Etl:
        env = {
            "project": "crm",
            "drops": {"kind": "files", "folder": "data/import"},
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        said: list[str] = []
        etl = Etl(env=choose(env, "dev", tmp_path), say=said.append, **more)
        etl.start()
        return etl

    return make


def drop(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "data" / "import" / name).write_text(text, encoding="utf-8")


def asked(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def parents(database: Database) -> dict[str, str | None]:
    return dict(
        asked(
            database,
            "select c.code, p.code from companies c left join companies p on p.id = c.parent_id",
        )
    )


def load(job: Job) -> Any:
    rows = job.connect("drops").read("companies*.csv", delimiter=";")
    return job.connect("warehouse").load(
        rows, "companies", MAP, key="code", mode="upsert", max_rejects="all"
    )


def test_links_are_set_by_natural_key_when_all_rows_are_there(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)
    linked = []

    def companies(job: Job) -> None:
        warehouse = job.connect("warehouse")
        linked.append(warehouse.link(load(job), PARENT))
        job.catch(linked[0])

    etl = project()
    (result,) = etl.run(companies).results

    # D was refused by the load: there is nothing to link; C's parent is not there yet.
    assert parents(database) == {"A": None, "B": "A", "C": None}
    assert linked[0].missing("parent_id") == ("Z",)
    assert (result.record.extracted, result.record.loaded, result.record.rejected) == (4, 3, 2)
    assert linked[0].responses()["outcome"].to_list() == ["loaded", "loaded", "waits"]
    etl.end()


def test_a_link_that_waits_is_set_when_the_row_has_come(
    project: Project, database: Database, tmp_path: Path
) -> None:
    def companies(job: Job) -> None:
        job.connect("warehouse").link(load(job), PARENT)

    drop(tmp_path, "companies.csv", COMPANIES)
    etl = project()
    etl.run(companies)
    etl.end()
    drop(tmp_path, "companies.csv", "CODE;NAME;PARENT;TAGS\nZ;Zelkova;;\n")
    etl = project()
    etl.run(companies)
    etl.end()

    assert parents(database) == {"A": None, "B": "A", "C": "Z", "Z": None}


def test_an_empty_reference_unlinks(project: Project, database: Database, tmp_path: Path) -> None:
    def companies(job: Job) -> None:
        job.connect("warehouse").link(load(job), PARENT)

    for parent in ("A", ""):
        drop(tmp_path, "companies.csv", f"CODE;NAME;PARENT\nA;Alder;\nB;Birch;{parent}\n")
        etl = project()
        etl.run(companies)
        etl.end()
        assert parents(database)["B"] == (parent or None)


def test_many_to_many_goes_into_a_table_of_pairs_and_again_without_doubles(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)

    def companies(job: Job) -> None:
        pairs = {
            "company_id": Ref("CODE", "companies.code"),
            "tag_id": Ref("TAGS", "tags.tag", split=","),
        }
        linked = job.connect("warehouse").link(load(job), pairs, into="company_tags")
        job.catch(linked)

    for _ in range(2):
        etl = project()
        (result,) = etl.run(companies).results
        assert not result.failed, result.record.error
        etl.end()

    query = (
        "select c.code, t.tag from company_tags j join companies c on c.id = j.company_id "
        "join tags t on t.id = j.tag_id order by 1, 2"
    )
    assert asked(database, query) == [("A", "big"), ("A", "new"), ("B", "big")]


def test_responses_say_what_became_of_each_row_with_the_id_that_it_got(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)
    seen: list[pl.DataFrame] = []

    def companies(job: Job) -> None:
        seen.append(load(job).responses())

    etl = project()
    etl.run(companies)
    etl.end()

    ids = dict(asked(database, "select code, id::text from companies"))
    assert seen[0].drop("_row", "reason").rows() == [
        ("A", "loaded", ids["A"], None),
        ("B", "loaded", ids["B"], None),
        ("C", "loaded", ids["C"], None),
        ("D", "refused", None, "23514"),
    ]
    assert "companies_name_check" in seen[0]["reason"][3]


def test_a_lookup_in_a_table_finds_keys_made_earlier_in_the_same_unit(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)
    drop(tmp_path, "contacts.csv", "EMAIL;COMPANY\na@x.example;A\nq@x.example;Q\n")
    contact = Map({"email": "EMAIL", "company_id": Lookup("COMPANY", "companies.code")})
    outside: list[int] = []

    def both(job: Job) -> None:
        warehouse = job.connect("warehouse")
        rows = job.connect("drops").read("contacts.csv", delimiter=";")
        with warehouse.unit():
            load(job)
            outside.append(len(asked(database, "select from companies")))
            job.catch(
                warehouse.load(
                    rows, "contacts", contact, key="email", mode="upsert", max_rejects="all"
                )
            )

    etl = project()
    outcome = etl.run(both)
    missing = outcome.missing("company_id")
    etl.end()

    assert outside == [0]  # nobody sees half of a unit
    query = "select email, code from contacts c join companies k on k.id = c.company_id"
    assert asked(database, query) == [("a@x.example", "A")]
    assert missing == ("Q",)
    (result,) = outcome.results
    assert (result.record.extracted, result.record.loaded, result.record.rejected) == (6, 4, 2)


def test_missing_keys_are_handed_to_another_job(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "contacts.csv", "EMAIL;COMPANY\nq@x.example;Q\np@x.example;P\n")
    waits = Map(
        {"email": "EMAIL", "company_id": Lookup("COMPANY", "companies.code", missing="wait")}
    )
    asked_for: list[tuple[str, ...] | None] = []

    def contacts(job: Job) -> None:
        rows = job.connect("drops").read("contacts.csv", delimiter=";")
        job.connect("warehouse").load(
            rows, "contacts", waits, key="email", mode="upsert", max_rejects="all"
        )

    def companies(job: Job) -> None:
        asked_for.append(job.only)
        made = pl.DataFrame({"CODE": job.only, "NAME": job.only})
        job.connect("warehouse").load(made, "companies", MAP, key="code", mode="upsert")

    etl = project()
    loaded = etl.run(contacts)
    etl.run(companies, only=loaded.missing("company_id"))
    etl.run(contacts)
    etl.end()

    assert asked_for == [("P", "Q")]
    assert asked(database, "select email from contacts order by 1") == [
        ("p@x.example",),
        ("q@x.example",),
    ]


def test_a_unit_that_fails_is_rolled_back_whole_and_books_nothing(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)

    def both(job: Job) -> None:
        with job.connect("warehouse").unit():
            load(job)
            raise ValueError("the second half does not come")

    etl = project()
    (result,) = etl.run(both).results
    etl.end()

    assert result.record.status == "failed"
    assert result.record.loaded == 0
    assert asked(database, "select from companies") == []


def test_a_unit_of_a_dry_run_is_rolled_back(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)

    def both(job: Job) -> None:
        with job.connect("warehouse").unit():
            job.connect("warehouse")
            load(job)

    etl = project(dry_run=True)
    (result,) = etl.run(both).results
    etl.end()

    assert result.record.status == "succeeded", result.record.error
    assert asked(database, "select from companies") == []


@pytest.mark.parametrize(
    ("refs", "options", "said"),
    [
        ({"parent_id": Ref("PARNT", "companies.code")}, {}, "no column PARNT.*CODE, NAME"),
        ({"parent_id": Ref("TAGS", "companies.code", split=",")}, {}, "say into="),
    ],
)
def test_a_link_that_cannot_be_is_told_before_it_is_tried(
    project: Project, tmp_path: Path, refs: dict[str, Ref], options: dict[str, Any], said: str
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)

    def companies(job: Job) -> None:
        with pytest.raises(UsageError, match=said):
            job.connect("warehouse").link(load(job), refs, **options)

    etl = project()
    (result,) = etl.run(companies).results
    etl.end()

    assert result.record.status == "succeeded", result.record.error


@pytest.mark.parametrize(
    ("lookup", "said"),
    [
        (Lookup("C", "companies"), 'is written "table.column"'),
        (Lookup(["C", "D"], "companies.code"), "one source column"),
        (Lookup("C", "companies.code", missing="default", default="x"), "takes no key="),
        (Lookup("C", "companies.code", match="all"), "takes no match="),
        (Lookup("C", {"a": "b"}, missing="wait"), "none of reject, null, default"),
    ],
)
def test_a_lookup_in_a_table_that_cannot_be_is_refused_when_the_map_is_made(
    lookup: Lookup, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Map({"company_id": lookup})


def linked_twice(job: Job) -> None:
    """Each company to its parent, and to its owner."""
    warehouse = job.connect("warehouse")
    loaded = load(job)
    warehouse.link(loaded, PARENT)
    warehouse.link(loaded, {"owner_id": Ref("OWNER", "companies.code")})


@pytest.mark.parametrize("owner", ["A", "Y"])
def test_two_links_of_a_row_wait_and_are_set_apart(
    project: Project, database: Database, tmp_path: Path, owner: str
) -> None:
    with database.connect() as connection:
        connection.execute("alter table companies add owner_id bigint references companies")
    header = "CODE;NAME;PARENT;OWNER\n"
    drop(tmp_path, "companies.csv", f"{header}A;Alder;;\nC;Cedar;Z;{owner}\n")
    etl = project()
    etl.run(linked_twice)
    etl.end()
    assert parents(database)["C"] is None
    drop(tmp_path, "companies.csv", f"{header}Z;Zelkova;;\nY;Yew;;\n")
    etl = project()
    etl.run(linked_twice)
    etl.end()

    assert parents(database)["C"] == "Z"
    assert asked(
        database,
        "select o.code from companies c join companies o on o.id = c.owner_id where c.code = 'C'",
    ) == [(owner,)]


def test_a_load_of_other_columns_leaves_a_link_waiting(
    project: Project, database: Database, tmp_path: Path
) -> None:
    def companies(job: Job) -> None:
        job.connect("warehouse").link(load(job), PARENT)

    def names(job: Job) -> None:
        load(job)

    for text, work in (
        ("CODE;NAME;PARENT\nC;Cedar;Z\n", companies),
        ("CODE;NAME\nC;Cedrus\n", names),
        ("CODE;NAME\nZ;Zelkova\n", names),
    ):
        drop(tmp_path, "companies.csv", text)
        etl = project()
        etl.run(work)
        etl.end()

    assert parents(database) == {"C": "Z", "Z": None}


def test_each_of_several_rows_of_one_record_is_told_for_itself(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", "CODE;NAME;PARENT\nA;Alder;\nB;Birch;A\n")
    told: list[pl.DataFrame] = []

    def companies(job: Job) -> None:
        warehouse = job.connect("warehouse")
        rows = job.connect("drops").read("companies*.csv", delimiter=";")
        wrong = rows.with_columns(CODE=pl.col("CODE") + "2", NAME=pl.lit("bad"))
        loaded = warehouse.load(
            pl.concat([wrong, rows]),
            "companies",
            MAP,
            key="code",
            mode="upsert",
            max_rejects="all",
        )
        told.append(loaded.responses())
        warehouse.link(loaded, PARENT)

    etl = project()
    etl.run(companies)
    etl.end()

    assert told[0]["outcome"].to_list() == ["refused", "refused", "loaded", "loaded"]
    assert parents(database) == {"A": None, "B": "A"}


def test_each_pair_of_a_row_is_told_for_itself(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", "CODE;NAME;TAGS\nA;Alder;new, absent, big\n")
    told: list[pl.DataFrame] = []

    def companies(job: Job) -> None:
        refs = {
            "company_id": Ref("CODE", "companies.code"),
            "tag_id": Ref("TAGS", "tags.tag", split=","),
        }
        linked = job.connect("warehouse").link(load(job), refs, into="company_tags")
        told.append(linked.responses())

    etl = project()
    etl.run(companies)
    etl.end()

    assert told[0]["outcome"].to_list() == ["loaded", "waits", "loaded"]


def test_links_of_a_dry_run_outside_a_unit_are_left_out(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", COMPANIES)
    told: list[pl.DataFrame] = []

    def companies(job: Job) -> None:
        loaded = load(job)
        told.append(loaded.responses())
        told.append(job.connect("warehouse").link(loaded, PARENT).responses())

    etl = project(dry_run=True)
    (result,) = etl.run(companies).results
    etl.end()

    assert (result.record.status, result.record.loaded, result.record.rejected) == (
        "succeeded",
        3,
        1,
    )
    assert [one["outcome"].to_list() for one in told] == [["undone"] * 4, []]
    assert parents(database) == {}


def test_what_a_unit_took_back_is_told_as_undone(
    project: Project, database: Database, tmp_path: Path
) -> None:
    drop(tmp_path, "companies.csv", "CODE;NAME;PARENT\nA;Alder;\nB;Birch;A\n")
    told: list[pl.DataFrame] = []

    def companies(job: Job) -> None:
        warehouse = job.connect("warehouse")
        loads = []
        with suppress(ArithmeticError), warehouse.unit():
            loads.append(load(job))
            raise ArithmeticError
        told.append(loads[0].responses())

    etl = project()
    (result,) = etl.run(companies).results
    etl.end()

    assert told[0]["outcome"].to_list() == ["undone", "undone"]
    assert result.record.details["dropped"] == {"lost in TRANSFORM": 2}
