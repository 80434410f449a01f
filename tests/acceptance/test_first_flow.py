"""The tutorial `first-flow`, word for word: who was mailed, and what was attached.

`tests/docs` compares what its commands print; here the mails are counted where they arrived, and
the attached rows are compared with those that the page's own file has wrong.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import fastexcel
import psycopg
import pytest

from penstock.postgres.embedded import Cluster
from tests.docs.test_pages import ROOT, Terminal, blocks
from tests.integration.cli.program import penstock

PAGE = ROOT / "docs" / "tutorial" / "first-flow.md"
SECTORS = {"A": "Agriculture", "M": "Manufacturing", "S": "Services"}


@pytest.fixture
def folder(session_folder: Path, tmp_path: Path) -> Iterator[Path]:
    made = session_folder / f"flow-{tmp_path.name}"
    made.mkdir()
    yield made
    if (made / "shop").is_dir():
        penstock(made / "shop", "pg", "stop")
        Cluster.of_project(made / "shop").remove()


def partners_rows() -> list[dict[str, str]]:
    """The file that the page puts on the SFTP server."""
    found = [block["text"] for block in blocks(PAGE) if "november" in (block["name"] or "")]
    return list(csv.DictReader(io.StringIO(found[0]), delimiter=";"))


def day(text: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text, "%d.%m.%Y").replace(tzinfo=datetime.UTC).date()
    except ValueError:
        return None


def wrong(row: dict[str, str]) -> list[tuple[str, str]]:
    """The fields that cannot be made, and their values."""
    found = []
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", row["EMAIL"]):
        found.append(("email", row["EMAIL"]))
    if row["SECTOR"] not in SECTORS:
        found.append(("sector", row["SECTOR"]))
    if day(row["SINCE"]) is None:
        found.append(("since", row["SINCE"]))
    return found


def test_one_mail_comes_with_exactly_the_refused_rows_and_they_are_replayed(folder: Path) -> None:
    terminal = Terminal(folder, own_server=True, url="postgresql://unused@localhost:1/unused")
    shown = [one for block in blocks(PAGE) for one in terminal.add(block)]
    stop = next(place for place, one in enumerate(shown) if one.command == "penstock pg stop")
    assert stop == len(shown) - 1
    said = list(terminal.run())
    assert len(said) == len(shown)

    mails = sorted((folder / "shop" / "servers" / "mails").glob("*.eml"))
    assert [path.name for path in mails] == ["1.eml"]
    mail = message_from_bytes(mails[0].read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert (mail["To"], mail["Subject"]) == ("sales@shop.example", "[shop/main dev] 3 rows refused")
    (attached,) = mail.iter_attachments()

    bad = {row["CUST_NO"]: wrong(row) for row in partners_rows() if wrong(row)}
    assert len(bad) == 3
    content = attached.get_payload(decode=True)
    assert isinstance(content, bytes)
    sheet = fastexcel.read_excel(content).load_sheet(0).to_polars()
    rows = sheet.to_dicts()
    assert {row["customer_no"]: [(row["_column"], row["_value"])] for row in rows} == bad
    assert all(row[row["_column"]] == row["_value"] for row in rows)

    penstock(folder / "shop", "pg", "start")
    with psycopg.connect(Cluster.of_project(folder / "shop").url) as connection:
        found = connection.execute(
            "select customer_no, email, sector, since from customers where customer_no > 'C010'"
        ).fetchall()
    right = {"C013": "iron@works.example"}, {"C019": "M"}, {"C015": "30.11.2025"}
    assert sorted(found) == sorted(
        (
            row["CUST_NO"],
            right[0].get(row["CUST_NO"], row["EMAIL"]),
            SECTORS[right[1].get(row["CUST_NO"], row["SECTOR"])],
            day(right[2].get(row["CUST_NO"], row["SINCE"])),
        )
        for row in partners_rows()
    )
