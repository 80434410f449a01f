"""The header: which names it has, and which delimiter it proves.

Not for: matching names with the columns of a table beyond that proof.
"""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from penstock.errors import SourceError, UsageError
from penstock.formats.csv.careful import protected
from penstock.formats.csv.dialect import Dialect
from penstock.model.batch import LINE, ROW
from penstock.model.naming import plain_name

#: The delimiters that a header can prove; others are declared.
CANDIDATES = (",", ";", "\t", "|")
_SHOWN = 200
#: Names that a message lists of a header or a table.
_NAMES = 6


def skip_blank(text: bytes, dialect: Dialect) -> int:
    """Bytes of the empty and blank lines that a text begins with."""
    blanks = len(text) - len(text.lstrip(b" \t\r\n"))
    return blanks if blanks == len(text) else text.rfind(dialect.eol, 0, blanks) + 1


def first_record(text: bytes, dialect: Dialect) -> tuple[list[str], int]:
    """The fields of a text's first record, and the bytes it takes.

    Raises:
        csv.Error: Its quotes are malformed.
    """
    taken = 0

    def feed() -> Iterator[str]:
        nonlocal taken
        start = 0
        while start < len(text):
            end = text.find(dialect.eol, start) + 1 or len(text)
            taken = end
            yield protected(text[start:end].decode("utf-8", "surrogateescape"), dialect)
            start = end

    return next(csv.reader(feed(), dialect.strict), []), taken


def read_header(text: bytes, dialect: Dialect, name: str) -> tuple[list[str], int]:
    """The names of a header, blanks around them taken away, and the bytes it takes.

    Args:
        text: The beginning of the file, from the header on.
        dialect: How the file is written.
        name: How messages name the file.

    Raises:
        SourceError: Its quotes are malformed.
    """
    try:
        fields, size = first_record(text, dialect)
    except csv.Error as error:
        raise SourceError(
            f"{name}: the quotes of the header are malformed ({error}): "
            f"{_first_line(text, dialect)!r}. Correct it, or declare --quote.",
            code="quote",
        ) from error
    return [field.strip() for field in fields], size


def check_names(names: Sequence[str], name: str, *, declared: bool) -> None:
    """Refuse names that could not be told apart.

    Args:
        names: Column names in file order.
        name: How messages name the file.
        declared: True where the names come from `--columns` and not from the header.

    Raises:
        SourceError: The header has blank, repeated or reserved names, or a NUL byte in one.
        UsageError: The same of declared names.
    """
    places: dict[str, list[int]] = {}
    for position, column in enumerate(names, 1):
        places.setdefault(column, []).append(position)
    wrong = []
    for column, positions in places.items():
        at = ", ".join(map(str, positions))
        if not column.strip():
            wrong.append(f"no name at position {at}")
        elif len(positions) > 1:
            wrong.append(f"{column!r} at positions {at}")
        elif column in (ROW, LINE):
            wrong.append(f"{column!r} at position {at}, which Penstock uses itself")
        elif "\0" in column:
            wrong.append(f"{column!r} at position {at}, which has a NUL byte")
    if not wrong:
        return
    found = "; ".join(wrong)
    if declared:
        raise UsageError(f"--columns has names that cannot be told apart or used: {found}.")
    raise SourceError(
        f"{name}: the header has names that cannot be told apart or used: {found}. "
        f"Name all columns in file order: --columns a,b,c.",
        code="header",
    )


def prove_delimiter(
    first: bytes,
    known: Collection[str],
    *,
    dialect: Dialect | None = None,
    width: int | None = None,
    name: str = "",
) -> str:
    """The delimiter that the first record proves: a proof, not a guess.

    A record with none of `, ; tab |` has one column, and `,` will do. Where `width` is given,
    the delimiter that makes so many fields is the one; where `known` names are given, the one
    whose header matches most of them; else the only one that occurs.

    Args:
        first: The beginning of the file in UTF-8, from the header on.
        known: Column names of the target.
        dialect: Quote, escape and line end of the file.
        width: Number of columns where `--columns` declares them.
        name: How messages name the file.

    Raises:
        SourceError: No delimiter is proven, or more than one; shows the line and what was tried.
            Where only one splits the record, and into names that nobody knows, shows those.
    """
    dialect = dialect or Dialect(",")
    names = {plain_name(column) for column in known}
    fields: dict[str, list[str]] = {}
    for candidate in CANDIDATES:
        if candidate in (dialect.quote, dialect.escape):
            continue
        try:
            found, _ = first_record(first, replace(dialect, delimiter=candidate))
        except csv.Error:
            continue
        fields[candidate] = found
    splitting = {candidate for candidate, found in fields.items() if len(found) > 1}
    if fields and not splitting:
        return ","
    if width is not None:
        score = {candidate: int(len(found) == width) for candidate, found in fields.items()}
    elif names:
        score = {
            candidate: len(names & {plain_name(field) for field in found})
            for candidate, found in fields.items()
        }
    else:
        score = {candidate: int(candidate in splitting) for candidate in fields}
    best = max(score.values(), default=0)
    winners = [candidate for candidate, points in score.items() if points == best]
    if best and len(winners) == 1:
        return winners[0]
    if names and width is None and not best and len(splitting) == 1:
        raise SourceError(_none_known(fields[splitting.pop()], known, name), code="columns")
    raise SourceError(_not_proven(first, dialect, fields, score, name), code="delimiter")


def _none_known(found: Sequence[str], known: Collection[str], name: str) -> str:
    fields, columns = [field.strip() for field in found], list(known)
    named = ", ".join(f'"{field}"' for field in fields[:_NAMES])
    more = f" and {len(fields) - _NAMES} more" if len(fields) > _NAMES else ""
    of_table = ", ".join(columns[:_NAMES]) + (", ..." if len(columns) > _NAMES else "")
    first = next((field for field in fields if field), "SOURCE")
    rename = shlex.quote(f"{first}={columns[0]},...")
    return (
        f"{name or 'input'}: none of {named}{more} is a column of the table ({of_table}). "
        f"Map them: --columns {rename}"
    )


def _not_proven(
    first: bytes,
    dialect: Dialect,
    fields: dict[str, list[str]],
    score: dict[str, int],
    name: str,
) -> str:
    tried = []
    for candidate in CANDIDATES:
        shown = "tab" if candidate == "\t" else candidate
        if candidate not in fields:
            tried.append(f"{shown} malformed quotes")
        else:
            tried.append(f"{shown} {len(fields[candidate])} fields, {score[candidate]} fit")
    several = Counter(score.values())[max(score.values(), default=0)] > 1 and any(score.values())
    what = "more than one delimiter fits" if several else "no delimiter fits"
    return (
        f"{name or 'input'}: {what} the first line {_first_line(first, dialect)!r} "
        f"(tried: {'; '.join(tried)}). Declare it: --delimiter ';'."
    )


def _first_line(text: bytes, dialect: Dialect) -> str:
    line = text.split(dialect.eol, 1)[0].decode("utf-8", "replace").rstrip("\r\n")
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
