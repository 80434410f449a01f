"""Files that a flow brings from a real SFTP server, and corrected files that it loads again."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import Etl, Job, replay_rejects
from penstock.errors import ConnectorError, UsageError
from penstock.project.environment import choose
from tests.fixtures.mail import Mailbox
from tests.fixtures.postgres import Database
from tests.fixtures.sftp import Box

Flow = Callable[..., Etl]


@pytest.fixture
def flow(database: Database, mailbox: Mailbox, sftp_box: Box, tmp_path: Path) -> Flow:
    with database.connect() as connection:
        connection.execute("create table prices (code text primary key, price numeric(8,2))")

    def make(said: list[str] | None = None, dry_run: bool = False, **more: Any) -> Etl:
        env = {
            "project": "shop",
            "drops": sftp_box.settings | more,
            "import": {"kind": "files", "folder": "data/import"},
            "mail": mailbox.settings | {"lists": {"pricing": "pricing@example.com"}},
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        say = print if said is None else said.append
        return Etl(env=choose(env, "dev", tmp_path), say=say, dry_run=dry_run)

    return make


def put(box: Box, name: str, text: str) -> Path:
    path = box.folder / "out" / name
    path.write_text(text, encoding="utf-8")
    return path


def fetched(etl: Etl, pattern: str = "/out/*.csv") -> list[str]:
    etl.start()
    found = etl.fetch("drops", pattern)
    etl.end()
    return [path.name for path in found.files]


def here(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "data" / "import"
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def prices(job: Job) -> None:
    found = job.connect("import").read("prices*.csv")
    loaded = job.connect("warehouse").load(found, "prices", mode="upsert", max_rejects="all")
    job.catch(loaded, to="pricing")


def test_files_come_once_and_the_ledger_knows_them(
    flow: Flow, sftp_box: Box, database: Database, tmp_path: Path
) -> None:
    put(sftp_box, "a.csv", "code\n1\n")
    put(sftp_box, "b.csv", "code\n2\n")
    put(sftp_box, "c.txt", "no")
    put(sftp_box, "d.csv.part", "half")
    said: list[str] = []
    assert fetched(flow(said)) == ["a.csv", "b.csv"]
    assert "drops: 2 files fetched (14 B)" in said
    assert here(tmp_path) == {"a.csv": "code\n1\n", "b.csv": "code\n2\n"}
    assert rows(
        database, "select flow, source, name, bytes, sha256, local from penstock.fetched order by 3"
    ) == [
        (
            "shop/main",
            "drops",
            f"/out/{name}.csv",
            7,
            hashlib.sha256(f"code\n{number}\n".encode()).hexdigest(),
            f"data/import/{name}.csv",
        )
        for number, name in ((1, "a"), (2, "b"))
    ]
    said.clear()
    assert fetched(flow(said)) == []
    assert "drops: 0 files fetched (0 B), 2 known already" in said


def test_a_new_content_under_an_old_name_comes_and_is_kept_apart(
    flow: Flow, sftp_box: Box, tmp_path: Path
) -> None:
    put(sftp_box, "a.csv", "first")
    fetched(flow())
    put(sftp_box, "a.csv", "second!")
    put(sftp_box, "A.csv", "capital")
    assert sorted(fetched(flow())) == ["A-2.csv", "a-3.csv"]
    assert sorted(here(tmp_path).values()) == ["capital", "first", "second!"]


def test_the_same_content_under_another_name_is_skipped_and_said(
    flow: Flow, sftp_box: Box, tmp_path: Path
) -> None:
    put(sftp_box, "a.csv", "same")
    fetched(flow())
    put(sftp_box, "b.csv", "same")
    said: list[str] = []
    assert fetched(flow(said)) == []
    assert "  /out/b.csv is the same as /out/a.csv: skipped" in said
    assert list(here(tmp_path)) == ["a.csv"]


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ({"after": "delete"}, {}),
        ({"after": "move", "move_to": "done"}, {"done/a.csv": "1", "done/b.csv": "2"}),
        ({"after": "leave"}, {"a.csv": "1", "b.csv": "2"}),
    ],
)
def test_files_are_left_moved_or_deleted_as_declared(
    flow: Flow, sftp_box: Box, after: dict[str, str], left: dict[str, str]
) -> None:
    put(sftp_box, "a.csv", "1")
    put(sftp_box, "b.csv", "2")
    assert fetched(flow(**after), "**/*.csv") == ["a.csv", "b.csv"]
    out = sftp_box.folder / "out"
    found = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*.csv")}
    assert found == left
    assert fetched(flow(**after), "**/*.csv") == []


def test_a_dry_run_fetches_nothing(flow: Flow, sftp_box: Box, tmp_path: Path) -> None:
    put(sftp_box, "a.csv", "1")
    said: list[str] = []
    assert fetched(flow(said, dry_run=True, after="delete")) == []
    assert "  would fetch /out/a.csv" in said
    assert here(tmp_path) == {}
    assert (sftp_box.folder / "out" / "a.csv").exists()


def test_a_file_that_may_not_be_read_is_told_and_the_others_come(
    flow: Flow, sftp_box: Box, tmp_path: Path, mailbox: Mailbox
) -> None:
    put(sftp_box, "a-forbidden.csv", "1")
    put(sftp_box, "b.csv", "2")
    etl = flow(after="delete")
    etl.start()
    with pytest.raises(ConnectorError, match=r"a-forbidden.csv: permission denied") as caught:
        etl.fetch("drops", "*.csv")
    etl.abandon(caught.value)
    assert here(tmp_path) == {"b.csv": "2"}
    assert sorted(path.name for path in (sftp_box.folder / "out").iterdir()) == ["a-forbidden.csv"]
    assert "permission denied" in str(mailbox.messages[0]["Subject"])


def test_a_file_that_grows_while_it_is_fetched_waits_for_the_next_run(
    flow: Flow, sftp_box: Box, tmp_path: Path
) -> None:
    put(sftp_box, "a.csv", "x" * 1000)
    grown: list[int] = []

    def grow(path: Path, offset: int) -> None:
        if not grown:
            grown.append(offset)
            with path.open("a") as file:
                file.write("y" * 10)

    sftp_box.on_read = grow
    said: list[str] = []
    assert fetched(flow(said, after="delete")) == []
    assert grown == [0]
    assert "drops: 0 files fetched (0 B), 1 not complete yet" in said
    assert here(tmp_path) == {}
    assert fetched(flow(after="delete")) == ["a.csv"]
    assert here(tmp_path) == {"a.csv": "x" * 1000 + "y" * 10}


def test_names_that_lead_elsewhere_do_not(flow: Flow, sftp_box: Box, tmp_path: Path) -> None:
    put(sftp_box, "a\nb\x1b[31m.csv", "1")
    put(sftp_box, "x\\..\\c.csv", "2")
    (sftp_box.folder / "out" / os.fsdecode(b"\xff.csv")).write_text("3")
    sftp_box.names = [b"../../slipped-out-of-its-folder.csv", b"/etc/slipped-out-of-its-folder.csv"]
    assert sorted(fetched(flow())) == ["_.csv", "a_b_[31m.csv", "x_.._c.csv"]
    assert not list(tmp_path.parent.rglob("slipped-out*"))


def test_only_places_can_be_fetched_from(flow: Flow) -> None:
    etl = flow()
    etl.start()
    with pytest.raises(UsageError, match=r"'warehouse' is no place.* places are drops, import"):
        etl.fetch("warehouse", "*")
    etl.end()


def correct(message: Any, path: Path, change: dict[str, str]) -> None:
    """The attached file as a person sends it back: another price for some codes."""
    (part,) = message.iter_attachments()
    frame = pl.read_excel(io.BytesIO(part.get_content()), infer_schema_length=0)
    frame = frame.with_columns(
        pl.col("code").replace_strict(change, default=pl.col("price")).alias("price")
    )
    frame.write_csv(path)


def refused_once(flow: Flow, sftp_box: Box) -> None:
    put(sftp_box, "prices.csv", "code,price\na,1.00\nb,cheap\nc,dear\n")
    etl = flow(after="delete")
    etl.start()
    etl.fetch("drops", "*.csv")
    etl.run(prices)
    etl.backup()
    assert etl.end() == 3


def test_a_corrected_file_is_loaded_by_the_next_start_and_what_is_refused_again_is_mailed(
    flow: Flow, sftp_box: Box, mailbox: Mailbox, database: Database, tmp_path: Path
) -> None:
    refused_once(flow, sftp_box)
    (told,) = mailbox.messages
    assert told["To"] == "pricing@example.com"
    corrections = tmp_path / "data" / "import" / "corrections"
    correct(told, corrections / "prices.csv", {"b": "2.00", "c": "still dear"})

    said: list[str] = []
    etl = flow(said)
    etl.start()
    assert etl.end() == 3
    assert "corrections: prices.csv: 1 row loaded, 1 refused again" in said
    assert rows(database, "select code, price::text from prices order by 1") == [
        ("a", "1.00"),
        ("b", "2.00"),
    ]
    assert not list(corrections.glob("*.csv"))
    assert (tmp_path / "data" / "backup" / etl.run_id / "prices.csv.gz").exists()
    _, second = mailbox.messages
    assert second["To"] == "pricing@example.com"
    correct(second, corrections / "prices.csv", {"c": "3.00"})

    etl = flow(said)
    etl.start()
    assert etl.end() == 0
    assert "corrections: prices.csv: 1 row loaded" in said
    assert rows(database, "select count(*), sum(price)::text from prices") == [(3, "6.00")]
    assert len(mailbox.messages) == 2
    assert rows(database, "select distinct status from penstock.rejects") == [("replayed",)]
    assert rows(
        database, "select job from penstock.runs where kind = 'replay' and part_of is not null"
    ) == [("corrections",), ("corrections",)]


def test_a_run_killed_after_the_replay_loads_no_row_twice(
    flow: Flow, sftp_box: Box, mailbox: Mailbox, database: Database, tmp_path: Path
) -> None:
    refused_once(flow, sftp_box)
    path = tmp_path / "data" / "import" / "corrections" / "prices.csv"
    correct(mailbox.messages[0], path, {"b": "2.00", "c": "3.00"})
    replay_rejects(database.url, path)  # all that a killed run had done
    said: list[str] = []
    etl = flow(said)
    etl.start()
    assert etl.end() == 0
    assert "corrections: prices.csv: 0 rows loaded; left out: 2 replayed" in said
    assert not path.exists()
    assert rows(database, "select count(*), sum(price)::text from prices") == [(3, "6.00")]


def test_a_correction_of_a_row_that_is_there_updates_it_as_its_load_would(
    flow: Flow, sftp_box: Box, mailbox: Mailbox, database: Database, tmp_path: Path
) -> None:
    rows(database, "insert into prices values ('b', 1.11) returning 1")
    refused_once(flow, sftp_box)
    path = tmp_path / "data" / "import" / "corrections" / "prices.csv"
    correct(mailbox.messages[0], path, {"b": "2.00", "c": "3.00"})
    etl = flow()
    etl.start()
    assert etl.end() == 0
    assert rows(database, "select price::text from prices where code = 'b'") == [("2.00",)]


def test_a_broken_correction_stays_and_is_a_warning(
    flow: Flow, sftp_box: Box, mailbox: Mailbox, database: Database, tmp_path: Path
) -> None:
    refused_once(flow, sftp_box)
    corrections = tmp_path / "data" / "import" / "corrections"
    (corrections / "notes.docx").write_bytes(b"PK")
    (corrections / "other.csv").write_text("code,price\nb,2\n")
    said: list[str] = []
    etl = flow(said)
    etl.start()
    assert etl.end() == 0
    warnings = [line for line in said if line.startswith("warning: data/import/corrections/")]
    assert len(warnings) == 2
    assert "notes.docx was not replayed: " in warnings[0]
    assert "there is no column _id" in warnings[1]
    assert sorted(path.name for path in corrections.iterdir()) == ["notes.docx", "other.csv"]
    assert len(mailbox.messages) == 1


def test_a_dry_run_tries_corrections_and_changes_nothing(
    flow: Flow, sftp_box: Box, mailbox: Mailbox, database: Database, tmp_path: Path
) -> None:
    refused_once(flow, sftp_box)
    path = tmp_path / "data" / "import" / "corrections" / "prices.csv"
    correct(mailbox.messages[0], path, {"b": "2.00", "c": "3.00"})
    said: list[str] = []
    etl = flow(said, dry_run=True)
    etl.start()
    etl.end()
    assert "corrections: prices.csv: 2 rows would be loaded" in said
    assert path.exists()
    assert rows(database, "select count(*) from prices") == [(1,)]
