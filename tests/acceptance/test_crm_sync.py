"""The example `examples/crm_sync`; what is expected is read from its files by Python's csv."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.acceptance.examples import (
    attached,
    balance,
    content,
    copied,
    mails,
    rows,
    run,
    shown,
)
from tests.docs.test_pages import same

TABLES = ("companies", "contacts", "contact_topics", "offers", "penstock.rejects")


def read(project: Path, name: str) -> list[dict[str, str]]:
    path = project / "servers" / "sftp" / "out" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%d.%m.%Y")  # noqa: DTZ007  only whether there is such a day
    except ValueError:
        return False
    return True


def crm(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "servers" / "crm.json").read_text("utf-8"))
    return found


def check_companies(project: Path, companies: list[dict[str, str]]) -> set[str]:
    """In the warehouse, linked to their parents, and in the CRM; gives the codes that are right."""
    right = {one["CODE"]: one for one in companies if one["NAME"] and one["DOMAIN"]}
    found = rows(
        project,
        "select c.code, p.code from companies c left join companies p on p.id = c.parent_id",
    )
    assert dict(found) == {
        code: one["PARENT"] if one["PARENT"] in right else None for code, one in right.items()
    }
    taken = {code for code, one in right.items() if not one["DOMAIN"].endswith(".invalid")}
    assert set(crm(project)["companies"]) == taken
    return set(right)


def check_contacts(project: Path, contacts: list[dict[str, str]], codes: set[str]) -> None:
    right = {one["EMAIL"]: one for one in contacts if "@" in one["EMAIL"]}
    found = rows(
        project,
        "select o.email, c.code from contacts o left join companies c on c.id = o.company_id",
    )
    assert dict(found) == {
        email: one["COMPANY"] if one["COMPANY"] in codes else None for email, one in right.items()
    }
    pairs = rows(
        project,
        "select email, t.name from contact_topics join contacts o on o.id = contact_id"
        " join topics t on t.id = topic_id",
    )
    assert set(pairs) == {
        (email, topic)
        for email, one in right.items()
        for topic in one["TOPICS"].split("/")
        if topic
    }
    assert {email: one["company"] for email, one in crm(project)["contacts"].items()} == {
        email: one["COMPANY"] for email, one in right.items()
    }


def check_offers(project: Path, offers: list[dict[str, str]]) -> None:
    amounts = {
        int(one["NUMBER"]): Decimal(one["AMOUNT"].replace(".", "").replace(",", "."))
        for one in offers
        if is_day(one["DAY"]) and not one["AMOUNT"].startswith("-")
    }
    assert dict(rows(project, "select offer_no, amount from offers")) == amounts


def check_mails(project: Path, companies: list[dict[str, str]]) -> None:
    """One for sales, one for the engineers, each with what is theirs to correct."""
    found = {one["To"]: attached(one) for one in mails(project)}
    assert list(found) == ["sales@shop.example", "data@shop.example"]
    assert len(mails(project)) == 2
    assert {row["_column"] for row in found["data@shop.example"]} == {"amount", "day"}
    refused = {one["CODE"] for one in companies if not one["NAME"] or not one["DOMAIN"]}
    refused |= {one["CODE"] for one in companies if one["DOMAIN"].endswith(".invalid")}
    told = {row.get("code") or row.get("CODE") for row in found["sales@shop.example"]}
    assert refused <= told


def test_companies_contacts_and_offers_arrive_where_they_belong(tmp_path: Path) -> None:
    with copied("crm_sync", tmp_path) as project:
        said = run(project)
        assert same(said, shown(project))
        companies, contacts, offers = (
            read(project, name) for name in ("companies", "contacts", "offers")
        )
        codes = check_companies(project, companies)
        check_contacts(project, contacts, codes)
        check_offers(project, offers)
        check_mails(project, companies)
        cells = balance(said)
        assert {name: one[4] for name, one in cells.items()} == dict.fromkeys(
            (*TABLES[:4], "rest:crm.companies", "rest:crm.contacts"),
            "yes",
        )
        assert cells["offers"] == ["120", "118", "0", "2", "yes", "2", "118"]
        assert cells["rest:crm.companies"] == ["78", "75", "0", "3", "yes", "3", "-"]

        before, there = content(project, *TABLES), crm(project)
        again = run(project)
        assert "Mails: 0" in again
        assert content(project, *TABLES) == before
        assert crm(project) == there
        assert balance(again) == cells
        assert len(mails(project)) == 2
