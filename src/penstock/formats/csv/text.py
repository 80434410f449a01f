"""Stored bytes become whole physical lines in UTF-8, with the stored bytes beside them.

Whole lines, because a line end is the one place where every encoding can be cut, and because
equal numbers of lines tie the UTF-8 text to the stored bytes that a reject must show.
Not for: records; a line end may stand inside quotes (`framing`).
"""

from __future__ import annotations

import codecs
import re

from penstock.errors import SourceError, UsageError
from penstock.formats.bytes import Source

#: A byte that is invalid in the declared encoding becomes this code point plus its value: a lone
#: surrogate, which is invalid in UTF-8 too, so the record is condemned by the same test.
_ESCAPED = 0xDC00
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: it begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Names that leave the byte order open; without a mark it is Windows' own.
_ORDERLESS = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_HEAD = 1 << 10


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(_ESCAPED + value) for value in bad), error.end


codecs.register_error("penstock.invalid", _escape)


class Text:
    """A source as blocks of whole physical lines.

    Args:
        source: Where the stored bytes come from.
        encoding: As declared; None: UTF-8, or what a byte order mark says.
        quote: The quote character; it decides which line end is the file's.
        limit: Longest record in bytes. Of a physical line much longer than that only the
            beginning is given, so that a file without line ends does not fill memory.
        block: Bytes read at a time.

    Attributes:
        encoding: The codec's name in use.
        eol: The byte LF, or CR where the first line ends with a lone CR.

    Raises:
        UsageError: The encoding is unknown.
        SourceError: The beginning looks like UTF-16 and nothing says so.
    """

    def __init__(
        self, source: Source, encoding: str | None, *, quote: str, limit: int, block: int
    ) -> None:
        self._source = source
        self._block = block
        self._ended = False
        head = source.read(max(block, _HEAD))
        if head[-4:].rstrip(b"\0").endswith(b"\r"):
            head += source.read(4)  # is it CR or CRLF?
        self.encoding, mark = _encoding(encoding, head, source.name)
        self._carry = head[mark:]
        self._plain = self.encoding == "utf-8"
        if encoding is None and self._plain:
            _refuse_utf16(self._carry[:_HEAD], source.name)
        self.eol = _line_end(self._utf8(self._carry), quote)
        self._stored_eol = self.eol.decode().encode(self.encoding)
        self._width = len(self._stored_eol)
        # A character has at least one byte in UTF-8 and at most four where it is stored.
        self._limit = (limit + 1) * (1 if self._plain else 4)

    def read(self) -> tuple[bytes, bytes]:
        """The next whole lines as (UTF-8, stored bytes); both empty at the end.

        For UTF-8 sources both are the same object. Only the last line of a source may lack its
        line end.
        """
        while True:
            cut = self._last_end(self._carry)
            if cut:
                stored, self._carry = self._carry[:cut], self._carry[cut:]
                return self._pair(stored)
            if self._ended:
                stored, self._carry = self._carry, b""
                return self._pair(stored)
            if len(self._carry) > self._limit:
                self._skip_line()
            else:
                self._carry += self._more()

    def lines(self, stored: bytes) -> list[bytes]:
        """Stored bytes cut into physical lines without their line ends."""
        if self._width == 1:
            return stored.split(self._stored_eol)
        found, start = [], 0
        at = self._find(stored, 0)
        while at >= 0:
            found.append(stored[start:at])
            start = at + self._width
            at = self._find(stored, start)
        return [*found, stored[start:]]

    def record(self, lines: list[bytes], start: int, span: int) -> bytes:
        """The stored bytes of a record of `span` lines (of `lines`), without its line end."""
        record = self._stored_eol.join(lines[start : start + span])
        return record.removesuffix("\r".encode(self.encoding))

    def split_off(self, stored: bytes, lines: int) -> int:
        """The position in `stored` that leaves its last `lines` line ends behind it."""
        cut = len(stored)
        for _ in range(lines + 1):
            cut = self._rfind(stored, cut)
        return cut + self._width

    def _pair(self, stored: bytes) -> tuple[bytes, bytes]:
        return self._utf8(stored), stored

    def _utf8(self, stored: bytes) -> bytes:
        if self._plain:
            return stored
        return stored.decode(self.encoding, "penstock.invalid").encode("utf-8", "surrogatepass")

    def _more(self) -> bytes:
        piece = self._source.read(self._block)
        self._ended = not piece
        return piece

    def _skip_line(self) -> None:
        """Keep the beginning of an overlong line and drop the rest up to its line end."""
        kept = self._carry[: self._limit + -self._limit % self._width]
        rest = self._carry[len(kept) :]
        while (at := self._find(rest, 0)) < 0 and not self._ended:
            rest = rest[len(rest) - len(rest) % self._width :] + self._more()
        self._carry = kept + (rest[at:] if at >= 0 else b"")

    def _find(self, stored: bytes, start: int) -> int:
        at = stored.find(self._stored_eol, start)
        while at >= 0 and at % self._width:
            at = stored.find(self._stored_eol, at + 1)
        return at

    def _rfind(self, stored: bytes, end: int) -> int:
        at = stored.rfind(self._stored_eol, 0, end)
        while at >= 0 and at % self._width:
            at = stored.rfind(self._stored_eol, 0, at + self._width - 1)
        return at

    def _last_end(self, stored: bytes) -> int:
        """Behind the last line end; 0 where there is none."""
        at = self._rfind(stored, len(stored))
        return at + self._width if at >= 0 else 0


def _encoding(declared: str | None, head: bytes, name: str) -> tuple[str, int]:
    """The codec to use and the length of the byte order mark."""
    marks = [(mark, codec) for mark, codec in _MARKS if head.startswith(mark)]
    if declared is None:
        return (marks[0][1], len(marks[0][0])) if marks else ("utf-8", 0)
    try:
        codec = codecs.lookup(declared).name
        "\n".encode(codec)
    except (LookupError, UnicodeError) as error:
        raise UsageError(
            f"--encoding {declared}: Python knows no text encoding of that name."
        ) from error
    codec = "utf-8" if codec == "utf-8-sig" else codec
    for mark, marked in marks:
        if marked.startswith(codec):
            return marked, len(mark)
    if marks:
        raise SourceError(
            f"{name}: begins with the byte order mark of {marks[0][1]}, and --encoding {declared} "
            f"says otherwise. Leave --encoding out.",
            code="encoding",
        )
    return _ORDERLESS.get(codec, codec), 0


def _refuse_utf16(head: bytes, name: str) -> None:
    """A first character with a NUL beside it, and NUL as every second byte from then on."""
    nul = head[:2].find(0)
    beside = head[nul::2] if head[:2].count(0) == 1 else b""
    if len(beside) > 1 and beside.count(0) * 2 > len(beside):
        raise SourceError(
            f"{name}: every second byte at the beginning is NUL, as in UTF-16, but there is no "
            f"byte order mark. Declare it: --encoding {'utf-16-le' if nul else 'utf-16-be'}.",
            code="encoding",
        )


def _line_end(head: bytes, quote: str) -> bytes:
    """The line end of the first line that has one outside of quotes."""
    mark = quote.encode()
    inside = False
    for found in re.finditer(rb"\r+\n|[\r\n]" + (b"|" + re.escape(mark) if mark else b""), head):
        if found.group() == mark:
            inside = not inside
        elif not inside:
            return b"\r" if found.group() == b"\r" else b"\n"
    return b"\r" if b"\r" in head and b"\n" not in head else b"\n"
