"""Types without a grammar of their own: the server's input function judges, and nothing is cut."""

from __future__ import annotations

from pathlib import Path

from penstock import load_table
from tests.fixtures.postgres import Database

TABLE = """
create domain price as numeric(6,2) check (value >= 0);
create domain code as varchar(3);
create type mood as enum ('good', 'bad');
create table things (
    id int primary key, at time(0), many numeric(5,2)[], cost price, short code, how mood,
    address inet, tag name, cash money);
"""
GOOD = ["1", "12:00:01", '"{1.50,2}"', "10.50", "abc", "good", "10.0.0.1", "x", "1.25"]


def load(database: Database, tmp_path: Path, changes: dict[int, str]) -> dict[str, str]:
    with database.connect() as connection:
        connection.execute(TABLE)
    lines = ["id,at,many,cost,short,how,address,tag,cash", ",".join(GOOD)]
    for number, (place, text) in enumerate(changes.items(), start=2):
        fields = [str(number), *GOOD[1:]]
        fields[place] = text
        lines.append(",".join(fields))
    path = tmp_path / "things.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = load_table(database.engine(), path, "things", max_rejects="all")
    found = {reason.column: reason.code for reason in result.reasons}
    assert result.balanced
    assert result.inserted == 1, found
    return found


def test_what_the_server_would_round_or_cut_is_refused(database: Database, tmp_path: Path) -> None:
    changes = {
        1: "12:00:00.6",
        2: '"{1.555}"',
        3: "1.234",
        4: "abcd",
        7: "n" * 64,
        8: "1.005",
    }
    assert load(database, tmp_path, changes) == {
        "at": "altered",
        "many": "altered",
        "cost": "scale",
        "short": "22001",
        "tag": "altered",
        "cash": "altered",
    }


def test_what_the_server_does_not_take_is_refused_by_its_column(
    database: Database, tmp_path: Path
) -> None:
    changes = {1: "25:99", 2: "{x}", 5: "great", 6: "10.0.0.400"}
    assert load(database, tmp_path, changes) == {
        "at": "22008",
        "many": "22P02",
        "how": "22P02",
        "address": "22P02",
    }


def test_a_domains_check_is_isolated(database: Database, tmp_path: Path) -> None:
    assert load(database, tmp_path, {3: "-1"}) == {"cost": "23514"}
