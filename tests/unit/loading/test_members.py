"""Lookups in files: whole or not at all, and as the file is now."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from penstock import FileMembers, Lookup, Map
from penstock.errors import SourceError, UsageError

ROWS = pl.DataFrame({"SECTOR": ["A", "007", None], "_row": [1, 2, 3]})


def looked_up(members: FileMembers) -> list[str | None]:
    made = Map({"sector": Lookup("SECTOR", members, key="code", value="name", missing="null")})
    return made.apply(ROWS).frame["sector"].to_list()


def test_codes_are_found_in_a_file_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "sectors.csv"
    path.write_text("code;name\nA;Agriculture, fishing\n007;Agents\n", encoding="utf-8")

    found = looked_up(FileMembers(path, {"delimiter": ";"}))

    assert found == ["Agriculture, fishing", "Agents", None]


def test_codes_are_found_in_a_workbook(tmp_path: Path) -> None:
    sectors = pl.DataFrame({"code": ["A", "007"], "name": ["Agriculture", "Agents"]})
    sectors.write_excel(tmp_path / "sectors.xlsx")

    assert looked_up(FileMembers(tmp_path / "sectors.xlsx")) == ["Agriculture", "Agents", None]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "sectors.csv"
    members = FileMembers(path)
    for name in ("Acreage", "Agriculture"):
        path.write_text(f"code,name\nA,{name}\n007,Agents\n", encoding="utf-8")
        assert looked_up(members)[0] == name
    path.write_text("code,name\nA,Agricultura\n007,Agents\n", encoding="utf-8")  # as long
    os.utime(path, ns=(0, 0))
    assert looked_up(members)[0] == "Agricultura"


def test_nothing_is_looked_up_in_a_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sectors.csv"
    path.write_text("code,name\nA,Agriculture\n007,Agents,secret\n", encoding="utf-8")

    with pytest.raises(SourceError, match=r"sectors\.csv, line 3: 3 fields, 2 expected"):
        looked_up(FileMembers(path))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: No such file"):
        looked_up(FileMembers(tmp_path / "none.csv"))
    (tmp_path / "sectors.csv").write_text("id,name\nA,Agriculture\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no column code; they have id, name"):
        looked_up(FileMembers(tmp_path / "sectors.csv"))
