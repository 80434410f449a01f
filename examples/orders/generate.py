"""Draws the host's files from a seed; some orders have a line or a header that is wrong."""

from __future__ import annotations

import argparse
import random
from datetime import date, timedelta
from pathlib import Path

FILES, ORDERS = 3, 200
_SKUS = ("CUP", "TEAPOT", "TRAY", "SPOON", "KETTLE")


def generate(folder: Path, seed: int = 1) -> None:
    """Write the files; the same seed gives the same bytes."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        lines = [f"FH{date(2025, 11, 3) + timedelta(number):%Y%m%d}"]
        count = 0
        for place in range(ORDERS):
            order = _order(draw, 1_000 * (number + 1) + place)
            count += sum(line.startswith("OD") for line in order)
            lines += order
        lines.append(f"FT{count:06d}")
        (folder / f"orders-{number + 1}.dat").write_text("\n".join(lines) + "\n", encoding="ascii")


def _order(draw: random.Random, order_no: int) -> list[str]:
    day = f"{date(2025, 10, 1) + timedelta(draw.randrange(60)):%Y%m%d}"
    count = draw.randint(1, 5)
    fault = draw.choices(("", "units", "price", "day", "header"), (94, 2, 2, 1, 1))[0]
    if fault == "day":
        day = "20251141"
    head = f"OH{order_no:08d}{f'C{draw.randrange(500):04d}':<6}{day}"
    lines = [] if fault == "header" else [head]
    wrong = draw.randrange(count)
    for place in range(count):
        units = 0 if fault == "units" and place == wrong else draw.randint(1, 24)
        cents = draw.randint(100, 99_999)
        price = f"{cents // 100:05d}.{cents % 100:02d}"
        if fault == "price" and place == wrong:
            price = price.replace(".", "O")
        sku = draw.choice(_SKUS)
        lines.append(f"OD{order_no:08d}{place + 1:03d}{sku:<8}{units:05d}{price}")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    generate(parser.parse_args().folder)
