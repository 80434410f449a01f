"""An operator's day in a real browser: Debian's Chromium.

With PENSTOCK_WRITE_DOCS=1 it takes the pictures of the documentation.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from tests.fixtures.postgres import Database
from tests.integration.console.conftest import PASSWORDS

PROGRAM = Path("/usr/bin/chromium")
IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
WRITES = bool(os.environ.get("PENSTOCK_WRITE_DOCS"))
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
#: What a page may be asked without a mouse (WCAG 2.2, 2.4.7 and 1.3.1), and what it must not need.
UNNAMED = """
() => [...document.querySelectorAll('input:not([type=hidden]), select, button, a')]
    .filter(one => !(one.labels && one.labels.length) && !one.textContent.trim()
                   && !one.getAttribute('aria-label') && !one.querySelector('title'))
    .map(one => one.outerHTML)
"""
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    assert PROGRAM.is_file(), f"{PROGRAM} is not there: apt install chromium"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(PROGRAM), args=QUIET)
        yield browser
        browser.close()


def signed_in(chromium: Chromium, address: str, name: str, **how: object) -> Page:
    page = chromium.new_context(accept_downloads=True, **how).new_page()  # type: ignore[arg-type]
    page.goto(address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORDS[name])
    page.get_by_role("button", name="Sign in").click()
    return page


def test_refused_rows_are_found_corrected_and_loaded_again(
    address: str, shop: Database, chromium: Chromium, tmp_path: Path
) -> None:
    page = signed_in(chromium, address, "ola")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.get_by_role("link", name="goods: 3 rows wait in quarantine").click()
    page.get_by_role("link", name="price").click()
    assert page.locator(".card .wrong").count() == 3
    assert "<script>alert(1)</script>" in page.inner_text("main")
    page.go_back()
    with page.expect_download() as download:
        page.get_by_role("link", name="as CSV").click()
    path = tmp_path / "rejects.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["price"] = str(number)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    page.get_by_label("The exported file, corrected").set_input_files(path)
    page.get_by_role("button", name="Try it").click()
    assert "Tried, and rolled back" in page.inner_text("h1")
    assert "3 would be loaded" in page.inner_text(".equation")
    page.go_back()
    page.get_by_label("The exported file, corrected").set_input_files(path)
    page.get_by_role("button", name="Load again").click()
    assert "3 loaded" in page.inner_text(".equation")
    page.get_by_role("link", name="Home").first.click()
    assert page.inner_text("h1") == "All is well"
    with shop.connect() as connection:
        held = connection.execute("select id, price::int from goods order by id").fetchall()
        balanced = connection.execute("select bool_and(balanced) from penstock.balance").fetchone()
    assert held == [(1, 2), (2, 0), (3, 1), (4, 2)]
    assert balanced == (True,)
    assert said == [], "the policy stops nothing that the pages need"


def test_the_page_of_the_morning_looks_again_by_itself(
    address: str, shop: Database, chromium: Chromium
) -> None:
    page = signed_in(chromium, address, "vic")
    assert "1 thing needs somebody" in page.inner_text("h1")
    with shop.connect() as connection:
        connection.execute("update penstock.rejects set status = 'discarded'")
    page.wait_for_selector("text=All is well", timeout=15_000)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 360)])
def test_pages_fit_have_names_for_all_that_can_be_used_and_pictures(
    address: str, shop: Database, chromium: Chromium, scheme: str, width: int
) -> None:
    with shop.connect() as connection:
        connection.execute(
            "insert into penstock.runs (run_id, kind, command, status, started_at, finished_at, "
            "error) select gen_random_uuid(), 'flow', 'shop/main', "
            "case when n = 9 then 'failed' else 'succeeded' end, now() - n * interval '1 day', "
            "now() - n * interval '1 day' + (40 + n * 7 % 13) * interval '1 s', "
            "case when n = 9 then 'drops: nothing came' end from generate_series(1, 25) n"
        )
    page = signed_in(
        chromium, address, "ola", color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    for name, path in (
        ("home", "/"),
        ("runs", "/runs"),
        ("quarantine", "/quarantine"),
        ("rows", "/quarantine/rows?table=goods"),
        ("events", "/events"),
    ):
        page.goto(address + path)
        assert page.evaluate(UNNAMED) == [], path
        assert page.evaluate(WIDE) <= 0, f"{path} is wider than {width}"
        if WRITES and width > 1_000 and name in ("home", "rows"):
            page.screenshot(path=IMAGES / f"console-{name}-{scheme}.png")
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
