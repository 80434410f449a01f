"""Which page comes after an answer. Not for: what is on it (`reading`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from penstock.connectors.rest.answers import Answer
from penstock.connectors.rest.modules import Cursor, Link, Module, NextUrl, Offset, PageNumber
from penstock.connectors.rest.paths import MISSING, at, text_of
from penstock.connectors.rest.transport import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is.

    Attributes:
        path: Of the request, or a whole URL.
        params: Of its query.
        number: Pages before it.
        records: Records before it.
    """

    path: str
    params: Mapping[str, Any]
    number: int = 0
    records: int = 0

    @property
    def request(self) -> Request:
        """What is asked for it."""
        return Request(method="GET", path=self.path, params=self.params)

    @property
    def mark(self) -> str:
        """Tells one page from another."""
        return f"{self.path}?{sorted((key, str(value)) for key, value in self.params.items())}"


def first_place(module: Module, params: Mapping[str, Any]) -> Place:
    """Where a read begins."""
    page, own = module.page, {**module.params, **params}
    if page is not None and page.size_param:
        own[page.size_param] = page.size
    if isinstance(page, PageNumber):
        own[page.param] = page.first
    elif isinstance(page, Offset):
        own[page.param] = 0
    return Place(path=module.path, params=own)


def next_place(
    module: Module, place: Place, answer: Answer, found: Any, records: int
) -> Place | None:
    """Where the page after this one is; None: this was the last.

    A page with fewer records than were asked for is not the last one: APIs have bounds of their
    own, so that its end would be missed in silence.

    Args:
        module: What is read.
        place: Of this page.
        answer: The page.
        found: What it holds.
        records: Records on it.
    """
    page = module.page
    number, total = place.number + 1, place.records + records
    if page is None:
        return None
    if isinstance(page, (PageNumber, Offset)):
        more = at(found, page.more) if page.more else bool(records)
        if more is MISSING or not more or text_of(more).lower() == "false" or not records:
            return None
        at_next = page.first + number if isinstance(page, PageNumber) else total
        params = {**place.params, page.param: at_next}
        return Place(path=place.path, params=params, number=number, records=total)
    if isinstance(page, Cursor):
        mark = text_of(at(found, page.next))
        if not mark:
            return None
        params = {**place.params, page.param: mark}
        return Place(path=place.path, params=params, number=number, records=total)
    assert isinstance(page, (Link, NextUrl))  # noqa: S101  the last of them
    url = answer.links.get("next", "") if isinstance(page, Link) else at(found, page.next)
    url = text_of(url)
    if not url:
        return None
    # It has the parameters in it, and may be relative to where this page was (RFC 3986).
    return Place(path=urljoin(answer.url, url), params={}, number=number, records=total)
