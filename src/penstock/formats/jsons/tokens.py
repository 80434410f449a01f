"""One JSON record taken apart into tokens, exactly as they are written.

A token is a value's own text in the source: `1e400` stays `1e400`, and a nested value keeps its
blanks. The grammar is that of RFC 8259, and nothing beyond it.
Not for: many records at a time (`shapes`).
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

#: Deepest nesting of a record, itself included.
MAX_DEPTH = 64
#: What JSON takes for blanks.
BLANKS = " \t\r\n"
STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
NULL = "null"
SCALAR = f"{STRING}|{NUMBER}|true|false|null"

_SPACE = re.compile(f"[{BLANKS}]*")
_KEY = re.compile(f"({STRING})[{BLANKS}]*:[{BLANKS}]*")
_SCALAR = re.compile(SCALAR)
_STRINGS = re.compile(STRING)
_SHOWN = 40


class Refused(Exception):
    """A record that cannot be taken apart.

    Attributes:
        code: The rule's name (`penstock.model.batch.Malformed`).
        reason: Plain words.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _constant(name: str) -> NoReturn:
    raise Refused("json", f"{name} is no value of JSON: write null")


#: Numbers stay text: no digit is lost, and none is too many for Python's int.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_constant)


def fields(text: str) -> list[tuple[str, str, str]]:
    """The members of a record: (key, the key's token, the value's token), in its order.

    Raises:
        Refused: The text is no JSON, no object, nested too deep, or has a key twice.
    """
    found = _members(text)
    if found is None:
        raise _why(text)
    seen: set[str] = set()
    for key, _, _ in found:
        if key in seen:
            raise Refused("duplicate_key", f"the key {_shown(key)} stands twice in the object")
        seen.add(key)
    return found


def text_of(token: str) -> str | None:
    """What a token says: a string without its quotes, NULL for null, the source text of others.

    Raises:
        Refused: A string that PostgreSQL's text cannot hold.
    """
    if token == NULL:
        return None
    if not token.startswith('"'):
        return token
    if "\\" not in token:
        return token[1:-1]
    value: str = json.loads(token)
    if "\0" in value:
        raise Refused("nul", "\\u0000, a NUL character, which no text in PostgreSQL can hold")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(
            "surrogate", "half of a surrogate pair (\\ud800 to \\udfff) stands alone: no character"
        ) from None
    return value


def _members(text: str) -> list[tuple[str, str, str]] | None:
    """The members as they come, or None where the text is no object of JSON."""
    at = _blanks(text, 0)
    if text[at : at + 1] != "{":
        return None
    at = _blanks(text, at + 1)
    found: list[tuple[str, str, str]] = []
    if text[at : at + 1] == "}":
        return found if _blanks(text, at + 1) == len(text) else None
    while True:
        key = _KEY.match(text, at)
        if key is None:
            return None
        end = _end(text, key.end())
        if end is None:
            return None
        found.append((text_of(key[1]) or "", key[1], text[key.end() : end]))
        at = _blanks(text, end)
        mark = text[at : at + 1]
        if mark == "}":
            return found if _blanks(text, at + 1) == len(text) else None
        if mark != ",":
            return None
        at = _blanks(text, at + 1)


def _end(text: str, start: int) -> int | None:
    """Behind the value that begins at `start`; None where there is none."""
    if text[start : start + 1] not in ("{", "["):
        scalar = _SCALAR.match(text, start)
        return None if scalar is None else scalar.end()
    try:
        _, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        return None
    except RecursionError:
        raise _too_deep() from None
    if _depth(text[start:end]) >= MAX_DEPTH:
        raise _too_deep()
    return end


def _blanks(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _depth(token: str) -> int:
    if token.count("[") + token.count("{") < MAX_DEPTH:
        return 0
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", _STRINGS.sub("", token)):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _too_deep() -> Refused:
    return Refused("too_deep", f"nested deeper than {MAX_DEPTH} levels")


def _why(text: str) -> Refused:
    """Why a text is not taken for an object of JSON."""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return Refused("json", f"not valid JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return _too_deep()
    except Refused as refused:
        return refused
    kinds = ((list, "an array"), (bool, "a boolean"), (type(None), "null"))
    kind = next((noun for one, noun in kinds if isinstance(value, one)), "a string or a number")
    return Refused("not_object", f"{kind}, not an object with a key for each column")


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…", ensure_ascii=False)
