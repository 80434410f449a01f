"""kill -9 at every named step of a load, then the same load again: same result as without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.shop import (
    EVERY,
    REFUSED,
    SALES,
    SCHEMA,
    Loads,
    constraints,
    contents,
    killed_at,
    nothing_left_behind,
    write_files,
)
from tests.fixtures.postgres import OwnCluster

#: Way -> how the shop is loaded. In all of them rows are refused, in `staged` by the server too.
WAYS: dict[str, dict[str, Any]] = {
    "star, direct": {"star": True, "checked": False},
    "star, staged": {"star": True, "checked": True},
    "append": {"star": False, "checked": False},
    "append, checked first": {"star": False, "checked": False, "max_lock": 0},
}


def order_for(way: str, url: str, folder: Path) -> dict[str, Any]:
    options = {"max_rejects": 5, "max_lock": WAYS[way].get("max_lock", 5)}
    order: dict[str, Any] = {"url": url, "options": options}
    if WAYS[way]["star"]:
        return order | {"folder": str(folder)}
    return order | {"source": str(folder / "sales.csv"), "table": "sales"}


def reset(url: str, *, star: bool) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute("insert into products select n, 'old' from generate_series(1, 20) n")
        if star:
            connection.execute(
                "insert into sales select n, 1, '2020-01-01', 1, 1 from generate_series(1, 100) n"
            )


@pytest.fixture(scope="module")
def loads() -> Iterator[Loads]:
    made = Loads()
    yield made
    made.close()


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_step_and_run_again_ends_as_if_never_killed(
    own_cluster: OwnCluster, tmp_path: Path, loads: Loads, way: str, every: bool
) -> None:
    url, star = own_cluster.url, WAYS[way]["star"]
    write_files(tmp_path, checked=WAYS[way]["checked"])
    refused = REFUSED + WAYS[way]["checked"]
    order = order_for(way, url, tmp_path)

    reset(url, star=star)
    before, shape = contents(url), constraints(url)
    clean = loads.run(order)
    assert clean.get("error") == "", clean
    steps = clean["steps"]
    after = contents(url)
    assert after[:2] == (20, SALES - refused)
    assert len(steps) >= 9
    assert ("read" in steps) == ("max_lock" in WAYS[way])

    for number, step in killed_at(steps, list(WAYS).index(way), every=every):
        reset(url, star=star)
        marker = tmp_path / "marker"
        marker.unlink(missing_ok=True)
        killed = loads.run(order | {"die_at": number, "marker": str(marker)})
        assert killed == {"returncode": -9}, step
        assert marker.read_text(encoding="utf-8") == step, "the fault fired where it should"
        nothing_left_behind(url)
        committed = step == "committed"
        assert contents(url) == (after if committed else before), f"killed at {step}"
        assert constraints(url) == shape, f"killed at {step}"

        again = loads.run(order)
        assert again.get("error") == "", f"after {step}: {again}"
        assert contents(url) == after, f"after {step}"
        assert constraints(url) == shape
        nothing_left_behind(url)
        with psycopg.connect(url) as connection:
            balanced = connection.execute(
                "select bool_and(balanced), count(*) filter (where quarantined > 0) "
                "from penstock.balance"
            ).fetchone()
            waiting = connection.execute(
                "select count(*) from penstock.rejects where status = 'waiting'"
            ).fetchone()
            running = connection.execute(
                "select count(*) from penstock.runs where status = 'running'"
            ).fetchone()
        assert balanced is not None
        assert balanced[0] is True
        assert balanced[1] >= 1
        assert waiting == (refused,)
        assert running == (0,), f"killed at {step}: the next load marks it as interrupted"


@pytest.mark.parametrize("every", EVERY)
def test_rows_that_wait_for_their_parents_land_once_wherever_the_load_is_killed(
    own_cluster: OwnCluster, tmp_path: Path, loads: Loads, every: bool
) -> None:
    url = own_cluster.url
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    head = "sale_id,product_id,sold,units,price\n"
    first.write_text(head + "".join(f"{n},{n % 3 + 19},2024-01-01,1,1\n" for n in range(1, 10)))
    second.write_text(head + "10,1,2024-01-01,1,1\n")
    order: dict[str, Any] = {
        "url": url,
        "table": "sales",
        "options": {"max_rejects": "all", "orphans": {"product_id": "wait"}},
    }

    def waiting() -> None:
        """Three of nine sales wait for product 21, which has come since."""
        reset(url, star=False)
        assert loads.run(order | {"source": str(first)})["error"] == ""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("insert into products values (21, 'late')")

    def outcome() -> tuple[int, ...] | None:
        with psycopg.connect(url) as connection:
            return connection.execute(
                "select (select count(*) from sales), (select count(distinct sale_id) from sales), "
                "(select count(*) from penstock.rejects where status = 'waiting'), "
                "(select count(*) from penstock.rejects where status = 'replayed'), "
                "(select count(*) from penstock.rejects)"
            ).fetchone()

    waiting()
    before = outcome()
    assert before == (6, 6, 3, 0, 3)
    steps = loads.run(order | {"source": str(second)})["steps"]
    assert outcome() == (10, 10, 0, 3, 3)
    assert {"copy", "stage"} <= set(steps), "the row of the file, and those that waited"

    turn = len(steps) % 2 + 1  # the last one, "committed", is always among them
    for number, step in killed_at(steps, turn, every=every):
        waiting()
        marker = tmp_path / "marker"
        killed = loads.run(order | {"source": str(second), "die_at": number, "marker": str(marker)})
        assert killed == {"returncode": -9}, step
        nothing_left_behind(url)
        assert outcome() == ((10, 10, 0, 3, 3) if step == "committed" else before), step
        assert loads.run(order | {"source": str(second)})["error"] == ""
        assert outcome() == (10, 10, 0, 3, 3), f"after {step}"
        with psycopg.connect(url) as connection:
            balanced = connection.execute(
                "select bool_and(balanced) from penstock.balance"
            ).fetchone()
        assert balanced == (True,)
