"""Answers of an API, and what they say in a line. Not for: fetching them (`transport`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.connectors.rest.paths import MISSING, at

#: Where APIs say what was wrong.
_USUAL = (
    "message",
    "error.message",
    "errors.0.message",
    "errors.0.detail",
    "error_description",
    "error_info",
    "detail",
    "title",
    "0.message",
    "error",
    "errors.0",
    "msg",
)
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        status: Of HTTP.
        headers: Names in small letters.
        content: Unpacked.
        links: `rel` -> URL of the header `Link`.
        url: What was asked; it may hold a key.
        where: Method and path, for messages.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    links: Mapping[str, str]
    url: str = field(repr=False)
    where: str

    @property
    def kind(self) -> str:
        """Its content type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """What it holds; `MISSING` where that is no JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return MISSING


def message_of(value: Any, path: str = "") -> str:
    """What a piece of JSON says was wrong, in one line; empty where it says nothing."""
    for place in (path,) if path else _USUAL:
        found = at(value, place)
        if isinstance(found, (str, int)) and not isinstance(found, bool) and str(found).strip():
            return " ".join(str(found).split())[:_LONGEST]
        if path and found is not MISSING and found is not None:
            return json.dumps(found)[:_LONGEST]
    return ""


def line_of(answer: Answer, hidden: Callable[[str], str]) -> str:
    """`: what it said`, in one line, for the end of a message; empty where it says nothing."""
    said = message_of(answer.json())
    if not said and answer.kind.startswith("text/plain"):
        said = " ".join(answer.content[: 4 * _LONGEST].decode(errors="replace").split())
    said = hidden(said)[:_LONGEST]
    return f": {said}" if said else ""
