"""The files of the measurements: a retail star drawn from a seed, also with 1 % of bad rows.

The same seed and number give the same bytes. Not for tests of what a bad value is: those have
their own.

    python -m bench.generate FOLDER --rows 1000000
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

PRODUCTS = 20
CUSTOMERS = 5_000
SEED = 20_261_121
#: One bad row in each full hundred.
HUNDRED = 100
HEADER = "sale_id,sale_date,customer_id,product_id,units,discount,revenue,cost,margin"
_FIRST_DAY = date(2023, 1, 1)
_DAYS = [(_FIRST_DAY + timedelta(days=n)).isoformat() for n in range(3 * 365)]
_DISCOUNTS = (0, 0, 0, 5, 10, 15, 20)  # per cent
_LINES_A_WRITE = 10_000

Row = list[str]


@dataclass(frozen=True)
class Files:
    """The generated files.

    Attributes:
        products: product_id, name, price.
        customers: customer_id, name, city.
        sales: Rows that all fit.
        bad: The same rows, one of each full hundred spoilt.
    """

    products: Path
    customers: Path
    sales: Path
    bad: Path


def files_of(folder: Path, rows: int, seed: int = SEED) -> Files:
    """The paths of the files, there or not; they carry the version of this generator.

    Args:
        folder: Where they are.
        rows: Of sales.
        seed: Of everything that is drawn.
    """
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    names = ("products", "customers", f"sales-{rows}", f"sales-{rows}-bad")
    return Files(*(folder / f"{name}-{seed}-{version}.csv" for name in names))


def generate(folder: Path, rows: int, seed: int = SEED) -> Files:
    """Write the files, unless they are there from before. Arguments as for `files_of`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = files_of(folder, rows, seed)
    _write(files.products, _products(seed))
    _write(files.customers, _customers(seed))
    _write(files.sales, _with_header(sales(rows, seed)))
    _write(files.bad, _with_header(spoilt(sales(rows, seed), rows, seed)))
    return files


def sales(rows: int, seed: int) -> Iterator[Row]:
    """Sales that all fit, as text, in the order of their keys."""
    draw = Random(seed)
    prices = _prices(seed)
    for sale_id in range(1, rows + 1):
        product = int(draw.random() * PRODUCTS)
        units = 1 + int(draw.random() * 5)
        discount = _DISCOUNTS[int(draw.random() * len(_DISCOUNTS))]
        revenue = prices[product] * units * (100 - discount) // 100
        cost = prices[product] * units * 6 // 10
        yield [
            str(sale_id),
            _DAYS[int(draw.random() * len(_DAYS))],
            str(1 + int(draw.random() * CUSTOMERS)),
            str(1 + product),
            str(units),
            f"0.{discount:02}",
            _money(revenue),
            _money(cost),
            _money(revenue - cost),
        ]


def spoilt(rows: Iterator[Row], count: int, seed: int) -> Iterator[Row]:
    """The rows, one of each full hundred spoilt, in six ways in turn."""
    draw = Random(seed + 1)
    before: Row = []
    at = -1
    for number, row in enumerate(rows):
        hundred, place = divmod(number, HUNDRED)
        if place == 0:
            # Never the first of its hundred: the row before a bad one is always a good one.
            at = 1 + int(draw.random() * (HUNDRED - 1))
        if place == at and hundred < count // HUNDRED:
            BAD[hundred % len(BAD)](row, before)
        yield row
        before = row


def _bad_date(row: Row, before: Row) -> None:
    row[1] = "2023-02-29"


def _orphan(row: Row, before: Row) -> None:
    row[2] = str(CUSTOMERS + 1 + int(row[0]) % CUSTOMERS)


def _no_integer(row: Row, before: Row) -> None:
    row[4] = "three"


def _too_many_decimals(row: Row, before: Row) -> None:
    row[6] += "5"


def _other_row_of_a_key(row: Row, before: Row) -> None:
    row[0] = before[0]
    row[2] = str(1 + int(before[2]) % CUSTOMERS)  # never an exact copy


def _no_value(row: Row, before: Row) -> None:
    row[7] = ""


#: The six ways in which a row is spoilt; each makes exactly one row that does not fit.
BAD: tuple[Callable[[Row, Row], None], ...] = (
    _bad_date,
    _orphan,
    _no_integer,
    _too_many_decimals,
    _other_row_of_a_key,
    _no_value,
)


def _prices(seed: int) -> list[int]:
    draw = Random(seed + 2)
    return [draw.randrange(500, 20_000) for _ in range(PRODUCTS)]


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _products(seed: int) -> Iterator[str]:
    yield "product_id,name,price"
    for number, price in enumerate(_prices(seed), start=1):
        yield f"{number},Product {number},{_money(price)}"


def _customers(seed: int) -> Iterator[str]:
    draw = Random(seed + 3)
    yield "customer_id,name,city"
    for number in range(1, CUSTOMERS + 1):
        yield f"{number},Customer {number},City {draw.randrange(100)}"


def _with_header(rows: Iterator[Row]) -> Iterator[str]:
    yield HEADER
    yield from map(",".join, rows)


def _write(path: Path, lines: Iterator[str]) -> None:
    if path.exists():
        return
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="ascii", newline="") as target:
        waiting = []
        for line in lines:
            waiting.append(line + "\n")
            if len(waiting) == _LINES_A_WRITE:
                target.writelines(waiting)
                waiting.clear()
        target.writelines(waiting)
    draft.rename(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the files of the retail star.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args(arguments)
    files = generate(given.folder, given.rows, given.seed)
    print(files.products, files.customers, files.sales, files.bad, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
