"""Reads `FILE... [TABLE]` and the options that hold more than one word. Not for: what they do."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import UsageError

#: Endings by which a word is a file even where no such file is there.
_FILE_ENDINGS = (
    ".csv", ".tsv", ".txt", ".gz", ".zst", ".zip", ".parquet", ".xlsx", ".xlsm", ".json", ".jsonl",
    ".ndjson",
)  # fmt: skip
_PATTERN = frozenset("*?[")
#: Words for what is awkward to write in a shell.
_CHARACTERS = {"tab": "\t", "\\t": "\t"}
_NO_QUOTE = ("", "none")


def files_and_table(words: Sequence[str]) -> tuple[list[Path], str]:
    """The files, patterns expanded, and the table.

    The last word is the table unless it is a file, a pattern, or looks like a file. Without a
    table, it is the name that all files have before their endings.

    Raises:
        UsageError: No table is named, and the files have different names.
        SourceError: A file is not there, or is a folder.
    """
    *before, last = words
    if before and not _is_file(last):
        return _expanded(before), last
    paths = _expanded(words)
    stems = {path.name.split(".")[0] for path in paths}
    if len(stems) > 1:
        shown = ", ".join(sorted(stems))
        raise UsageError(
            f"These files have different names ({shown}), so the table must be named as the last "
            "argument. For one table a file: penstock load-star FOLDER."
        )
    return paths, stems.pop()


def _expanded(words: Sequence[str]) -> list[Path]:
    from penstock.formats.bytes import expand

    return expand(words)


def _is_file(word: str) -> bool:
    if _PATTERN & set(word) or "/" in word or word.lower().endswith(_FILE_ENDINGS):
        return True
    return Path(word).is_file()


def columns_of(text: str) -> dict[str, str] | list[str]:
    """`a,b,c` as names in file order, `source=target,...` as renames; names may be quoted.

    Raises:
        UsageError: It is a mixture of both, or a name is empty.
    """
    words = [word.strip() for word in next(csv.reader([text], skipinitialspace=True), [])]
    if not words or not all(words):
        raise UsageError(f"--columns {text}: a name is empty. {_COLUMNS}")
    renames = [word for word in words if "=" in word]
    if not renames:
        return words
    if len(renames) < len(words):
        odd = next(word for word in words if "=" not in word)
        raise UsageError(f"--columns {text}: {odd} is not renamed and others are. {_COLUMNS}")
    pairs = [_pair(word, f"--columns {text}", _COLUMNS) for word in words]
    if len({source for source, _ in pairs}) < len(pairs):
        raise UsageError(f"--columns {text}: a column is renamed twice.")
    return dict(pairs)


_COLUMNS = (
    "Give all names in file order (--columns a,b,c) or only those that change "
    "(--columns source=target,...)."
)


def values_of(words: Sequence[str], option: str) -> dict[str, str]:
    """`COLUMN=VALUE` words as a mapping.

    Raises:
        UsageError: One is not of that form, or a column comes twice.
    """
    values: dict[str, str] = {}
    for word in words:
        column, mark, value = word.partition("=")
        if not mark or not column.strip():
            raise UsageError(f"--{option} {word}: write --{option} COLUMN=VALUE.")
        if column.strip() in values:
            raise UsageError(f"--{option}: {column.strip()} is given twice.")
        values[column.strip()] = value
    return values


def orphans_of(words: Sequence[str]) -> dict[str, str]:
    """`[TABLE.]COLUMN=POLICY` words as a mapping.

    Raises:
        UsageError: One is not of that form, or a column comes twice.
    """
    form = "Write --orphans COLUMN=POLICY or TABLE.COLUMN=POLICY."
    policies: dict[str, str] = {}
    for word in words:
        column, policy = _pair(word, f"--orphans {word}", form)
        if column in policies:
            raise UsageError(f"--orphans: {column} is given twice.")
        policies[column] = policy
    return policies


def _pair(word: str, said: str, form: str) -> tuple[str, str]:
    left, mark, right = word.rpartition("=")
    left, right = left.strip(), right.strip()
    if not mark or not left or not right:
        raise UsageError(f"{said}: one side of = is empty or missing. {form}")
    return left, right


def character_of(text: str, option: str) -> str:
    """One character; `tab` and a backslash with t mean the tabulator.

    Raises:
        UsageError: It is another number of characters.
    """
    char = _CHARACTERS.get(text, text)
    if len(char) != 1:
        raise UsageError(f"--{option} takes one character (or tab), not {text!r}.")
    return char


def quote_of(text: str) -> str:
    """One character; `none` or nothing means that the file has no quoting.

    Raises:
        UsageError: It is another number of characters.
    """
    return "" if text in _NO_QUOTE else character_of(text, "quote")


def seconds_of(value: float, option: str) -> float:
    """A number of seconds, zero or more.

    Raises:
        UsageError: It is negative or no number.
    """
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"--{option} takes a number of seconds, zero or more, not {value:g}.")
    return value


def names_of(text: str, option: str) -> list[str]:
    """Names with commas between.

    Raises:
        UsageError: One is empty.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"--{option} {text}: a name is empty. Write --{option} a,b.")
    return names
