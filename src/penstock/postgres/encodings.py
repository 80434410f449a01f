"""What a database's encoding can hold. Not for: the encoding of files (`formats`).

PostgreSQL converts what a client sends to the database's encoding, and refuses a whole COPY for
one character that the encoding does not have. A UTF8 database has all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg

#: PostgreSQL's name -> Python's codec, where both have the same characters: compared one by one,
#: by `convert`, over the basic multilingual plane. EUC_JP, EUC_JIS_2004 and EUC_KR differ from
#: Python's, EUC_TW and MULE_INTERNAL are unknown to it: there the server's word must do.
_CODECS: Mapping[str, str] = {
    **{f"LATIN{n}": f"iso8859-{part}" for n, part in enumerate((1, 2, 3, 4, 9, 10, 13, 14, 15), 1)},
    "LATIN10": "iso8859-16",
    **{f"ISO_8859_{part}": f"iso8859-{part}" for part in (5, 6, 7, 8)},
    **{f"WIN{page}": f"cp{page}" for page in range(1250, 1259)},
    "WIN866": "cp866",
    "WIN874": "cp874",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "EUC_CN": "gb2312",
}
#: Takes every byte as it comes, so every text; only escapes in jsonb must be converted.
_ANY = "SQL_ASCII"


@dataclass(frozen=True, slots=True)
class Encoding:
    r"""An encoding that does not have every character.

    Attributes:
        name: PostgreSQL's name of it.
        of_texts: Python's codec for what it holds as text; None: every text.
        of_escapes: Python's codec for what an escape such as `\u20ac` may stand for in jsonb.
    """

    name: str
    of_texts: str | None
    of_escapes: str

    def shown(self, text: str) -> str:
        r"""The text with `\u20ac` for each character that it does not have."""
        return self._replaced(text, lambda char: char.encode("ascii", "backslashreplace").decode())

    def in_json(self, text: str) -> str:
        """JSON text of the same meaning, with escapes for characters that it does not have."""
        return self._replaced(text, lambda char: json.dumps(char)[1:-1])

    def _replaced(self, text: str, replace: Callable[[str], str]) -> str:
        if self.of_texts is None or text.isascii():
            return text
        lost = missing(text, self.of_texts)
        return text.translate({ord(char): replace(char) for char in lost}) if lost else text


def missing(text: str, codec: str) -> list[str]:
    """The characters of a text that a codec does not have, each once, in their order."""
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return [char for char in dict.fromkeys(text) if not _has(char, codec)]
    return []


def _has(char: str, codec: str) -> bool:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def encoding_of(connection: psycopg.Connection[Any]) -> Encoding | None:
    """The database's encoding; None where it has every character, or only the server can say.

    The server told it when the connection was made: nothing is asked.
    """
    return named_encoding(connection.info.parameter_status("server_encoding") or "")


@cache
def named_encoding(name: str) -> Encoding | None:
    """An encoding by PostgreSQL's name; None as in `encoding_of`."""
    if name == _ANY:
        return Encoding(name, None, "ascii")
    codec = _CODECS.get(name)
    return None if codec is None else Encoding(name, codec, codec)


def writable(text: str) -> str:
    r"""The text without what no database and no terminal takes.

    NUL becomes `\x00`; half a character, as in the name of a file that is no text, `\udce9`.
    """
    return text.replace("\0", r"\x00").encode("utf-8", "backslashreplace").decode()


def holdable(connection: psycopg.Connection[Any], text: str) -> str:
    r"""The text with `\u20ac` for each character that the database's encoding does not have."""
    text = writable(text)
    encoding = encoding_of(connection)
    return text if encoding is None else encoding.shown(text)
