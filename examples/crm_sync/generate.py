"""Draws the ERP system's files from a seed; some rows are wrong, each in a way of its own."""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

COMPANIES, CONTACTS, OFFERS = 80, 200, 120
_TOPICS = ("prices", "news", "service")


def generate(folder: Path, seed: int = 1) -> None:
    """Write the three files; the same seed gives the same bytes."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    codes = [f"K{n:03d}" for n in range(COMPANIES)]
    companies = [_company(draw, code, codes) for code in codes]
    companies[3][1] = ""  # no name
    companies[17][2] = ""  # no domain
    for n in (8, 21, 50):
        companies[n][2] = f"K{n:03d}.invalid"  # the CRM does not take such a domain
    companies[30][3], companies[31][3] = codes[31], codes[30]  # each is the other's parent
    companies[40][3] = "K999"  # nobody has that code
    companies[41][3] = codes[3]  # nor this one, as it has no name
    _write(folder / "companies.csv", ("CODE", "NAME", "DOMAIN", "PARENT"), companies)
    contacts = [_contact(draw, n, codes) for n in range(CONTACTS)]
    for n in (5, 90, 160):
        contacts[n][0] = f"contact {n}"  # no address
    contacts[60][2], contacts[61][2] = "K998", codes[17]
    _write(folder / "contacts.csv", ("EMAIL", "NAME", "COMPANY", "TOPICS"), contacts)
    offers = [_offer(draw, n) for n in range(OFFERS)]
    offers[10][3], offers[70][2] = "-1,00", "31.06.2025"
    _write(folder / "offers.csv", ("NUMBER", "CUSTOMER", "DAY", "AMOUNT"), offers)


def _company(draw: random.Random, code: str, codes: Sequence[str]) -> list[str]:
    others = [one for one in codes if one != code]
    parent = draw.choice(others) if draw.random() < 0.4 else ""
    return [code, f"Company {draw.randint(100, 999)} {code}", f"{code}.example", parent]


def _contact(draw: random.Random, number: int, codes: Sequence[str]) -> list[str]:
    company = draw.choice(codes)
    while company in ("K003", "K017"):  # those that are refused
        company = draw.choice(codes)
    topics = "/".join(draw.sample(_TOPICS, draw.randrange(len(_TOPICS) + 1)))
    return [f"p{number}@{company.lower()}.example", f"Person {number}", company, topics]


def _offer(draw: random.Random, number: int) -> list[str]:
    day = date(2025, 1, 1) + timedelta(draw.randrange(300))
    thousands, rest, cents = draw.randrange(10), draw.randrange(1000), draw.randrange(100)
    amount = f"{thousands}.{rest:03d},{cents:02d}"
    return [str(7_000 + number), f"K{draw.randrange(COMPANIES):03d}", f"{day:%d.%m.%Y}", amount]


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    generate(parser.parse_args().folder)
