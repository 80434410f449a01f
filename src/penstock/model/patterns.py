"""Date patterns: `DD/MM/YYYY` as regular expressions and formats. Not for: the time of day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise

from penstock.errors import UsageError

ISO = "YYYY-MM-DD"
_TOKEN = re.compile(r"YYYY|MM|DD|M|D|[-/. ]")
_PIECES = {
    # Year 0 does not exist; the first ones do, but they are mostly two-digit years gone wrong.
    "YYYY": ("(?P<y>000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})", "%Y"),
    "MM": ("(?P<m>[0-9]{2})", "%m"),
    "DD": ("(?P<d>[0-9]{2})", "%d"),
    "M": ("(?P<m>[0-9]{1,2})", "%m"),
    "D": ("(?P<d>[0-9]{1,2})", "%d"),
}
#: Patterns that a refused date is tried with, to propose the one that it fits.
USUAL_DATES = (
    ISO,
    "DD/MM/YYYY",
    "MM/DD/YYYY",
    "DD.MM.YYYY",
    "DD-MM-YYYY",
    "MM-DD-YYYY",
    "YYYY/MM/DD",
    "YYYY.MM.DD",
    "YYYYMMDD",
    "D/M/YYYY",
    "M/D/YYYY",
    "D.M.YYYY",
    "D-M-YYYY",
    "YYYY-M-D",
)


@dataclass(frozen=True)
class DatePattern:
    """A declared way to write a date.

    Attributes:
        text: The declaration.
        regex: Rust and Python regular expression without anchors, groups `y`, `m`, `d`.
        format: The same for Polars, which takes more than `regex` does.
    """

    text: str
    regex: str
    format: str

    def read(self, text: str) -> date | None:
        """The date.

        Returns:
            None where the text has another form.

        Raises:
            ValueError: The form is right, but there is no such day.
        """
        match = re.fullmatch(self.regex, text)
        if match is None:
            return None
        return date(int(match["y"]), int(match["m"]), int(match["d"]))


@cache
def pattern_of(declared: str) -> DatePattern:
    """Read the declaration of `Grammar.dates`.

    Raises:
        UsageError: Not year, month and day once each, or other letters than `YYYY MM DD M D`.
    """
    tokens = _TOKEN.findall(declared)
    letters = [token for token in tokens if token.isalpha()]
    whole = "".join(tokens) == declared
    once = sorted(token[0] for token in letters) == ["D", "M", "Y"]
    if not whole or not once or _runs_together(tokens):
        raise UsageError(
            f"--dates {declared!r} is no date pattern: YYYY, MM (or M) and DD (or D) once each,"
            " separated by one of - / . or a blank, such as DD/MM/YYYY or YYYYMMDD;"
            " years of two digits are not read",
            code="dates",
        )
    regex = "".join(_PIECES[token][0] if token.isalpha() else re.escape(token) for token in tokens)
    form = "".join(_PIECES[token][1] if token.isalpha() else token for token in tokens)
    return DatePattern(declared, regex, form)


def _runs_together(tokens: list[str]) -> bool:
    """True where one digit or two cannot be told, or separators follow each other."""
    pairs = list(pairwise(tokens))
    open_ended = any(
        one.isalpha() and other.isalpha() and ("M" in (one, other) or "D" in (one, other))
        for one, other in pairs
    )
    doubled = any(not one.isalpha() and not other.isalpha() for one, other in pairs)
    return open_ended or doubled or not (tokens[0].isalpha() and tokens[-1].isalpha())
