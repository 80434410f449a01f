"""How one file is written, as a value with the expressions built from it.

Not for: finding out which dialect a file has (`header.prove_delimiter`).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cached_property

from penstock.errors import UsageError

#: What may stand between delimiters in a wholly blank record.
BLANKS = " \t"


@dataclass(frozen=True)
class Dialect:
    """The characters with a meaning.

    Attributes:
        delimiter: One character between fields.
        quote: One character around fields; empty: none.
        escape: One character that takes the meaning from a quote, delimiter, line end or from
            itself; before anything else it is text. None: a quote is doubled instead.
        eol: The byte that ends a physical line: LF (CRLF included) or, on old Macs, CR.
    """

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    eol: bytes = b"\n"

    @cached_property
    def provable(self) -> bool:
        """True where the structure can be read off the bytes, without looking at each record."""
        return self.escape is None and self.delimiter.isascii() and self.quote.isascii()

    @cached_property
    def stray(self) -> bytes:
        """The line end byte that is not this file's: outside of quotes it is malformed."""
        return b"\r" if self.eol == b"\n" else b"\n"

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """A well-formed quoted field: opened after, and closed before, a border of the field.

        It starts with the quote itself, so that the search runs at the speed of memchr.
        """
        quote, border = re.escape(self.quote).encode(), re.escape(self.delimiter).encode()
        eol = re.escape(self.eol)
        return re.compile(
            rb"%(q)s(?<![^%(d)s%(e)s]%(q)s)[^%(q)s]*+(?:%(q)s%(q)s[^%(q)s]*+)*+%(q)s"
            rb"(?=[%(d)s\r\n]|\Z)" % {b"q": quote, b"d": border, b"e": eol}
        )

    @cached_property
    def meaningless(self) -> bytes:
        """The byte values that are no part of a structure."""
        structure = self.delimiter.encode() + self.quote.encode() + b"\r\n\0"
        return bytes(value for value in range(256) if value not in structure)

    @cached_property
    def blank(self) -> bytes:
        """The bytes that a wholly blank record is made of, for dialects with ASCII delimiters."""
        return (self.delimiter + BLANKS + "\r\n").encode()

    def is_blank(self, line: bytes) -> bool:
        """True for a physical line that is a record without any value."""
        if self.delimiter.isascii():
            return not line.strip(self.blank)
        text = line.decode("utf-8", "surrogateescape")
        return not text.strip(self.delimiter + BLANKS + "\r\n")

    @cached_property
    def strict(self) -> type[csv.Dialect]:
        """The same for the standard library's strict reader."""
        return type(
            "Strict",
            (csv.Dialect,),
            {
                "delimiter": self.delimiter,
                "quotechar": self.quote or None,
                "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
                "escapechar": self.escape,
                "doublequote": self.escape is None,
                "lineterminator": "\n",
                "strict": True,
            },
        )

    @cached_property
    def escaped(self) -> re.Pattern[str] | None:
        """An escape character and what follows it."""
        return re.compile(re.escape(self.escape) + r"(.?)", re.DOTALL) if self.escape else None

    @cached_property
    def field(self) -> re.Pattern[str]:
        """One field of a record that is known to be well-formed, with its border."""
        quote, border = re.escape(self.quote), re.escape(self.delimiter)
        escape = re.escape(self.escape) if self.escape else ""
        any_escaped = rf"|{escape}." if escape else rf"|{quote}{quote}"
        inside = rf"{quote}(?:[^{quote}{escape}]{any_escaped})*{quote}"
        outside = rf"(?:[^{border}\r\n{escape}]" + (rf"|{escape}.)*" if escape else ")*")
        return re.compile(rf"(?:{inside}|{outside})(?:{border}|[\r\n]|\Z)", re.DOTALL)


def check_characters(delimiter: str | None, quote: str, escape: str | None) -> None:
    """Refuse declarations that have no meaning.

    Raises:
        UsageError: Names the option that cannot be what it is.
    """
    wanted = (("delimiter", delimiter), ("quote", quote or None), ("escape", escape))
    given = {option: text for option, text in wanted if text is not None}
    for option, text in given.items():
        if len(text) != 1:
            raise UsageError(f"--{option} takes one character, not {text!r}.")
        if text in "\r\n\0\ufeff":
            raise UsageError(f"--{option} cannot be {text!r}: it ends lines or is no text.")
    if len(set(given.values())) < len(given):
        shown = ", ".join(f"--{option} {text!r}" for option, text in given.items())
        raise UsageError(f"One character cannot mean two things: {shown}.")
