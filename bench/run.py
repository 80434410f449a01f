"""Compares Penstock with psql, pandas and dlt: the same files, the same server, in turns.

Whole processes are timed, in rounds: in each every contestant of a group runs once, and each round
begins with another one. The results are medians. `make bench` runs it. Not for tests.

    python -m bench.run [--quick] [--rows N] [--rounds N] [--only NAME,NAME]
"""

from __future__ import annotations

import argparse
import compileall
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import penstock
from bench import results
from bench.contestants import Contestant, contestants
from bench.events import DLT_EVENTS, events, generate_events
from bench.flows import flows, sftp_server
from bench.generate import Files, files_of, generate
from bench.large import MANY, SHEET, large
from bench.measured import Measured
from bench.modes import fill, formats_of, modes
from bench.processes import run
from bench.server import HERE, LOADER, OWNER, SETTINGS, Server, server

#: Times of the usual load's rows in the big one.
BIG = 10
OUTPUT = HERE / "results.md"
#: Git-ignored; what is there already is not generated again.
DATA = HERE / "data"


def measure(here: Server, chosen: Sequence[Contestant], rounds: int) -> list[Measured]:
    """Run the chosen ones, group by group."""
    measured = {one.name: Measured(one) for one in chosen}
    for group in dict.fromkeys(one.group for one in chosen):
        members = [one for one in chosen if one.group == group]
        for number in range(1 if group == "memory" else rounds):
            first = number % len(members)
            for one in (*members[first:], *members[:first]):
                here.execute((HERE / "empty.sql").read_bytes())
                _fill(here, one)
                took = run(one.command, here.environment(one.role), here.folder)
                measured[one.name].add(took)
                _check(here, one)
                _say(f"round {number + 1}: {one.name} {measured[one.name].seconds[-1]:.2f} s")
    return list(measured.values())


def _fill(here: Server, one: Contestant) -> None:
    """What the table holds before, for those that do not begin with an empty one."""
    if one.setup:
        run(one.setup, here.environment(one.role), here.folder)
    if one.before:
        text = (HERE / "before.sql").read_text(encoding="utf-8")
        here.execute(text.partition(f"-- name: {one.before}\n")[2].partition("-- name:")[0])


def _check(here: Server, one: Contestant) -> None:
    """What was timed must also have been done.

    Raises:
        RuntimeError: Other rows are there than should be.
    """
    if not one.table:
        return
    there = here.count(one.table)
    if there != one.lands:
        raise RuntimeError(f"{one.name}: {there:,} rows are in {one.table}, not {one.lands:,}")
    waiting = here.count("penstock.rejects")
    if waiting != max(0, one.rows - one.lands):
        raise RuntimeError(f"{one.name}: {waiting:,} rejects, not {one.rows - one.lands:,}")


def _prepare(here: Server, files: Files) -> None:
    """Make the ledger, owned as in production, and fill the dimensions, which warms all up."""
    # An installed package has its byte code: pip makes it. A checkout may lack it.
    compileall.compile_dir(Path(penstock.__file__).parent, quiet=1)
    program = str(Path(sys.executable).with_name("penstock"))
    loaders = (word for role in (OWNER, LOADER) for word in ("--loader", role))
    run((program, "roles", *loaders), here.environment(None), here.folder)
    here.execute((HERE / "loader.sql").read_bytes())
    for file, table in ((files.products, "dim_products"), (files.customers, "dim_customers")):
        run((program, "load", str(file), table), here.environment(OWNER), here.folder)
    here.execute("analyze dim_products; analyze dim_customers")


def _chosen(everyone: Sequence[Contestant], only: str | None) -> list[Contestant]:
    if only is None:
        lacking = {one.needs for one in everyone if one.needs and find_spec(one.needs) is None}
        if lacking:
            raise SystemExit(f"{', '.join(sorted(lacking))} is not installed: make bench does it")
        return list(everyone)
    names = only.split(",")
    known = {one.name for one in everyone} | {one.group for one in everyone}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"There is no {', '.join(unknown)}, but {', '.join(sorted(known))}")
    return [one for one in everyone if one.name in names or one.group in names]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare Penstock with psql, pandas and dlt.")
    parser.add_argument("--quick", action="store_true", help="100,000 rows, 2 rounds: to try it")
    parser.add_argument("--rows", type=int, help="of the usual load; the big one has ten times")
    parser.add_argument("--rounds", type=int, help="at least 5 for figures that mean something")
    parser.add_argument("--only", metavar="NAME,...", help="contestants or groups")
    parser.add_argument("--write", action="store_true", help="write a section in spite of --only")
    given = parser.parse_args(arguments)
    rows = given.rows or (100_000 if given.quick else 1_000_000)
    rounds = given.rounds or (2 if given.quick else 5)
    with server() as here, sftp_server(here) as sftp:
        usual = files_of(DATA, rows)
        everyone = [
            *contestants(here, DATA, rows, rows * BIG),
            *modes(here, usual, rows),
            *large(here, DATA, rows * BIG, rows * MANY),
            *flows(here, usual, rows, sftp),
            *events(here, DATA, rows),
        ]
        chosen = _chosen(everyone, given.only)
        for count in sorted({one.sales for one in chosen} | {0}):
            _say(f"Files of {count:,} sales in {DATA}")
            generate(DATA, count)
        _prepare(here, files_of(DATA, 0))
        if any(one.group == "modes" for one in chosen):
            formats_of(here, usual)
        if any(one.group in ("modes", "flows") for one in chosen):
            fill(here, usual)
        if any(one.group == "events" for one in chosen):
            for count in {rows, min(rows, DLT_EVENTS)}:
                generate_events(DATA, count)
            here.execute((HERE / "events.sql").read_bytes())
        if any(one.group == "memory" for one in chosen):
            for count in {rows * MANY, min(rows * MANY, SHEET)}:
                formats_of(here, files_of(DATA, count))
        measured = measure(here, chosen, rounds)
    # Groups that are measured apart have sections of their own: one does not replace the others'.
    said = here.said + (f": {given.only.replace(',', ', ')}" if given.only else "")
    text = results.section(said, SETTINGS, measured, rounds=rounds)
    print(text)
    if given.quick or (given.only and not given.write):
        _say("Not the whole of it: bench/results.md stays as it is.")
    else:
        results.write(OUTPUT, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
