"""What is written of measurements: medians, goals met and missed, a section for each server."""

from __future__ import annotations

from pathlib import Path

from bench import results
from bench.contestants import Contestant
from bench.measured import Measured
from bench.processes import Took


def measured(name: str, *seconds: float, group: str = "usual", rows: int = 1_000) -> Measured:
    made = Measured(Contestant(name, group, f"what {name} is", (), "owner", rows))
    for one in seconds:
        made.add(Took(one, 50_000_000, ""))
    return made


def lines_with(text: str, part: str) -> list[str]:
    return [line for line in text.splitlines() if part in line]


def test_ratios_are_those_of_medians_and_missed_goals_say_so() -> None:
    figures = [measured("bare", 1.0, 9.0, 2.0), measured("owner", 5.0, 4.2, 1.0)]
    text = results.section("18.6 (wheel)", {"fsync": "on"}, figures, rounds=3)
    assert lines_with(text, "what owner is") == [
        "| what owner is | 1,000 | 4.20 | 1.00 to 5.00 | 238 | 50 | 2.10 |"
    ]
    assert lines_with(text, "as owner / bare") == [
        r"| as owner / bare `\copy` | <= 2.2 x | 2.10 x | met |"
    ]
    slower = [figures[0], measured("owner", 4.6)]
    missed = results.section("18.6 (wheel)", {}, slower, rounds=3)
    assert lines_with(missed, "as owner / bare") == [
        r"| as owner / bare `\copy` | <= 2.2 x | 2.30 x | **missed** |"
    ]


def test_a_goal_that_is_a_least_is_missed_below_it() -> None:
    figures = [measured("constrained", 7.0), measured("owner", 2.0)]
    text = results.section("18.6 (wheel)", {}, figures, rounds=1)
    (line,) = lines_with(text, "constrained `\\copy` / as owner")
    assert line.endswith("| >= 4 x | 3.50 x | **missed** |")


def test_a_server_measured_again_replaces_its_own_section_only(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    for text in ("## PostgreSQL 15.1 (a)\n\nold\n", "## PostgreSQL 18.6 (b)\n\nother\n"):
        results.write(path, text)
    results.write(path, "## PostgreSQL 15.1 (a)\n\nnew\n")
    title, *sections = path.read_text(encoding="utf-8").split("\n## ")
    assert title.startswith("# Measurements\n")
    assert sections == ["PostgreSQL 18.6 (b)\n\nother\n", "PostgreSQL 15.1 (a)\n\nnew\n"]
