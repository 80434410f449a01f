"""The example `examples/orders`; what is expected is read from its files line by line."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tests.acceptance.examples import balance, content, copied, rows, run, shown
from tests.docs.test_pages import same


def is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007  only whether there is such a day
    except ValueError:
        return False
    return True


def is_line(line: str) -> bool:
    try:
        Decimal(line[26:34])
    except InvalidOperation:
        return False
    return int(line[21:26]) > 0


def expected(share: Path) -> tuple[set[tuple[int, str]], set[tuple[int, int, Decimal]], int]:
    """Orders and lines that must be there, and how many rows were refused."""
    lines = [line for path in share.glob("*.dat") for line in path.read_text().splitlines()]
    heads = {line[2:10]: line for line in lines if line.startswith("OH")}
    items = [line for line in lines if line.startswith("OD")]
    wrong = {no for no, line in heads.items() if not is_day(line[16:24])}
    wrong |= {line[2:10] for line in items if not is_line(line) or line[2:10] not in heads}
    orders = {(int(no), line[10:16].strip()) for no, line in heads.items() if no not in wrong}
    right = [line for line in items if line[2:10] not in wrong]
    refused = len(heads) + len(items) - len(orders) - len(right)
    return (
        orders,
        {(int(line[2:10]), int(line[10:13]), Decimal(line[26:34])) for line in right},
        refused,
    )


def test_each_order_is_loaded_whole_or_not_at_all(tmp_path: Path) -> None:
    with copied("orders", tmp_path) as project:
        said = run(project)
        assert same(said, shown(project))
        orders, lines, refused = expected(project / "share")
        assert set(rows(project, "select order_no, customer from orders")) == orders
        assert set(rows(project, "select order_no, line_no, price from order_lines")) == lines
        assert refused > 50
        cells = balance(said)
        assert int(cells["orders"][3]) + int(cells["order_lines"][3]) == refused
        assert [one[4] for one in cells.values()] == ["yes", "yes"]
        assert cells["order_lines"][6] == str(len(lines))

        before = content(project, "orders", "order_lines", "penstock.rejects")
        again = run(project)
        assert "0 files fetched (0 B), 3 known already" in again
        assert content(project, "orders", "order_lines", "penstock.rejects") == before
        assert balance(again) == cells

        before = content(project, "orders", "order_lines")
        half = (project / "share" / "orders-1.dat").read_text().splitlines()
        del half[7]
        (project / "share" / "orders-4.dat").write_text("\n".join(half) + "\n")
        failed = run(project, "main.py", code=1)
        assert "orders: failed: " in failed
        assert "orders-4.dat" in failed
        assert content(project, "orders", "order_lines") == before
