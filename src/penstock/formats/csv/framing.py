"""Cut a text into blocks that end where a record ends.

A block is looked at, taken apart by `fast` or `careful`, and then consumed as far as it was
understood; what is left opens the next block.
Not for: whether a record is well-formed.
"""

from __future__ import annotations

from penstock.formats.csv.text import Text

#: Bytes of UTF-8 in a block: big enough for Polars, small enough for flat memory.
BLOCK = 4 << 20


class Frames:
    """Blocks of whole records, as far as counting quotes can tell.

    Args:
        text: The source as whole physical lines.
        quote: The quote character; empty: none.
    """

    def __init__(self, text: Text, quote: str) -> None:
        self._text = text
        self._quote = quote.encode()
        self._eol = text.eol
        self._buffer = b""
        self._stored = b""
        self._ended = False

    def peek(self, size: int) -> tuple[bytes, bool]:
        """About `size` bytes of whole physical lines, and whether they are the last.

        The block ends behind the last line end with an even number of quotes before it: for a
        well-formed file a record's end. Where there is none, or quotes are malformed, it ends
        behind some line end, and the last record may be incomplete. Empty at the end.
        """
        # Half is enough: one piece of the text is then one block, and is not copied again.
        while 2 * len(self._buffer) < size and not self._ended:
            text, stored = self._text.read()
            self._ended = not text
            same = self._buffer is self._stored and text is stored
            self._buffer += text
            self._stored = self._buffer if same else self._stored + stored
        if len(self._buffer) <= size:
            if self._ended:
                return self._buffer, True
            return self._buffer[: self._safe_end(len(self._buffer))], False
        return self._buffer[: self._safe_end(size)], False

    def consume(self, size: int) -> bytes:
        """Take `size` bytes (whole lines) off; gives the stored bytes that they came from."""
        same = self._buffer is self._stored
        self._buffer = self._buffer[size:]
        if same:
            taken, self._stored = self._stored[:size], self._buffer
            return taken
        cut = len(self._stored)
        if self._buffer:
            cut = self._text.split_off(self._stored, self._buffer.count(self._eol))
        taken, self._stored = self._stored[:cut], self._stored[cut:]
        return taken

    def _safe_end(self, size: int) -> int:
        """Behind the last safe line end within `size`; else behind the nearest line end."""
        last = self._buffer.rfind(self._eol, 0, size)
        if last < 0:
            last = self._buffer.find(self._eol, size)
            return last + 1 if last >= 0 else len(self._buffer)
        if not self._quote or self._quote not in self._buffer:
            return last + 1
        end, odd = last, self._buffer.count(self._quote, 0, last) % 2
        while odd and end >= 0:
            before = self._buffer.rfind(self._eol, 0, end)
            odd ^= self._buffer.count(self._quote, max(before, 0), end) % 2
            end = before
        return (last if odd or end < 0 else end) + 1
