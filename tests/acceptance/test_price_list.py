"""The example `examples/price_list`; what is expected is made of what its generator drew."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.acceptance.examples import (
    attached,
    balance,
    content,
    copied,
    mails,
    module,
    rows,
    run,
    shown,
)
from tests.docs.test_pages import same

WRONG = {"auf Anfrage", "12.345", "0", "EURO"}


def row(one: Any, active: bool, corrections: dict[str, str]) -> tuple[Any, ...]:
    price = corrections.get(str(one.price), str(one.price))
    currency = corrections.get(one.currency, one.currency)
    return one.number, one.name, Decimal(price), currency, one.valid_from, active


def test_a_list_is_synced_within_its_supplier_and_corrected_by_the_business(
    tmp_path: Path,
) -> None:
    with copied("price_list", tmp_path) as project:
        said = run(project)
        assert same(said, shown(project))
        generated = module(project / "generate.py")
        october, november = generated.lists()
        fixes = generated.CORRECTIONS
        listed = {one.number for one in november}
        gone = [one for one in october if one.number not in listed]
        assert len(gone) == generated.GONE
        wrong = {one.number for one in november if {str(one.price), one.currency} & WRONG}

        there = rows(
            project,
            "select article, name, price, currency, valid_from, active from prices"
            " where supplier = 'Acme'",
        )
        assert sorted(there) == sorted(
            [row(one, True, fixes) for one in november] + [row(one, False, {}) for one in gone]
        )
        other = "select count(*) from prices where supplier = 'Borealis' and active"
        assert rows(project, other) == [(25,)]

        (mail,) = mails(project)
        assert mail["To"] == "pricing@shop.example, sales@shop.example"
        assert {one["article"] for one in attached(mail)} == wrong
        assert len(attached(mail)) == len(wrong) == 4
        cells = balance(said)["prices"]
        assert cells == [
            str(len(october) + len(november) + 4),
            str(len(october) + len(november)),
            "0",
            "4",
            "yes",
            "0",
            str(25 + len(there)),
        ]

        before = content(project, "prices", "penstock.rejects")
        again = run(project)
        assert "Mails to the pricing team: 0" in again
        assert content(project, "prices", "penstock.rejects") == before
        assert balance(again)["prices"] == cells
        assert len(mails(project)) == 1
