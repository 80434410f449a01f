"""Matches the files of a folder with tables, and orders them by their foreign keys.

Not for: loading them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import psycopg

from penstock.errors import SourceError, UsageError
from penstock.loading.inputs.kinds import ENDINGS
from penstock.model.naming import plain_name
from penstock.model.table import TableName
from penstock.postgres.catalog import find_table, loadable_names, nearest, read_spec

_PREFIXES = ("dim", "fact")


@dataclass(frozen=True, slots=True)
class StarFile:
    """The files of one table.

    Attributes:
        table: The table's name.
        name: The table as PostgreSQL stores it.
        paths: The files, at least one.
    """

    table: str
    name: TableName
    paths: list[Path]


def match_files(
    connection: psycopg.Connection[Any], folder: Path, tables: Sequence[str] | None
) -> list[StarFile]:
    """Match each file with the table of its name, or `dim_`/`fact_` before it.

    Raises:
        UsageError: The folder is not there, or a named table has no file.
        SourceError: A file matches no table, or more than one.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}")
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name.lower().endswith(ENDINGS))
    if not files:
        raise SourceError(f"{folder} has no file that ends with {', '.join(ENDINGS[:3])}")
    there = loadable_names(connection)
    names = list(tables) if tables else there
    by_table: dict[str, list[Path]] = {}
    for path in files:
        found = _tables_for(path, names)
        if len(found) > 1:
            raise SourceError(f"{path} matches more than one table: {', '.join(found)}")
        if found:
            by_table.setdefault(found[0], []).append(path)
        elif not tables:
            raise SourceError(
                f"{path}: there is no table of that name.{nearest(_stem(path), there)} Rename the "
                "file, or name the tables to load: --tables A,B."
            )
    lacking = [name for name in tables or () if name not in by_table]
    if lacking:
        raise UsageError(f"{folder} has no file for {', '.join(lacking)}")
    matched = []
    for table, paths in by_table.items():
        name = find_table(connection, table)
        if name is None:
            raise UsageError(f"There is no table {table}.{nearest(table, there)}", code="42P01")
        matched.append(StarFile(table, name, paths))
    return matched


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _tables_for(path: Path, tables: Sequence[str]) -> list[str]:
    stem = plain_name(_stem(path))
    plain = [table for table in tables if plain_name(table) == stem]
    return plain or [
        table for table in tables if plain_name(table) in [prefix + stem for prefix in _PREFIXES]
    ]


def in_order(connection: psycopg.Connection[Any], files: Sequence[StarFile]) -> list[StarFile]:
    """The files with parents before their children.

    Raises:
        UsageError: The tables refer to each other in a circle.
    """
    by_name = {file.name: file for file in files}
    sorter: TopologicalSorter[TableName] = TopologicalSorter()
    for name in sorted(by_name):
        keys = read_spec(connection, name).foreign_keys
        parents = sorted({key.parent for key in keys} & set(by_name) - {name})
        sorter.add(name, *parents)
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:
        circle = " -> ".join(str(name) for name in error.args[1])
        raise UsageError(
            f"These tables refer to each other in a circle: {circle}. Load them one by one."
        ) from None
