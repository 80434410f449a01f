"""Draws two price lists from a seed: October's, and November's, which has mistakes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import xlsxwriter

ARTICLES, GONE, NEW, CHANGED = 120, 9, 6, 30
#: Of November's list: what is wrong -> what it should be. No price ends on these digits by itself.
CORRECTIONS = {"auf Anfrage": "149.00", "EURO": "EUR", "12.345": "12.35", "0": "7.77"}
_THINGS = ("Leuchte", "Schirm", "Sockel", "Kabel", "Fassung")


@dataclass
class Article:
    """One line of a list."""

    number: str
    name: str
    price: float | str
    currency: str
    valid_from: date


def lists(seed: int = 1) -> tuple[list[Article], list[Article]]:
    """October's and November's list; the same seed gives the same."""
    draw = random.Random(seed)
    october = [_article(draw, n, date(2025, 10, 1)) for n in range(ARTICLES)]
    staying = sorted(draw.sample(range(ARTICLES), ARTICLES - GONE))
    changed = set(draw.sample(staying, CHANGED))
    november = []
    for n in staying:
        was = october[n]
        if n in changed:
            day = date(2025, 11, 1)
            was = Article(was.number, was.name, _price(draw), was.currency, day)
        november.append(was)
    november += [_article(draw, ARTICLES + n, date(2025, 11, 1)) for n in range(NEW)]
    wrong = sorted(draw.sample(range(len(november)), 4))
    for place, value in zip(wrong, ("auf Anfrage", "EURO", 12.345, 0), strict=True):
        one = november[place]
        price, currency = (one.price, value) if value == "EURO" else (value, one.currency)
        november[place] = Article(one.number, one.name, price, str(currency), one.valid_from)
    return october, november


def write(path: Path, title: str, articles: list[Article]) -> None:
    """Write a list as the supplier does: a title above the table, days as days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlsxwriter.Workbook(path, {"default_date_format": "dd.mm.yyyy"})
    book.set_properties({"created": datetime(2025, 10, 1)})  # noqa: DTZ001  the same bytes always
    sheet = book.add_worksheet("Preise")
    sheet.write("A1", title)
    sheet.write("A2", "Alle Preise netto, zzgl. MwSt.")
    sheet.write_row("A4", ["Artikelnummer", "Bezeichnung", "Nettopreis", "Währung", "Gültig ab"])
    for row, one in enumerate(articles, start=4):
        sheet.write_row(row, 0, [one.number, one.name, one.price, one.currency, one.valid_from])
    book.close()


def _article(draw: random.Random, number: int, day: date) -> Article:
    name = f"{draw.choice(_THINGS)} Größe {draw.randint(1, 9)}"
    return Article(f"A-{number:04d}", name, _price(draw), draw.choice(("EUR", "CHF")), day)


def _price(draw: random.Random) -> float:
    return draw.randint(200, 99_900) / 100
