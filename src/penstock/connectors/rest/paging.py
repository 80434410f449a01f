"""Which page comes after an answer. Not for: what is on it (`reading`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

from penstock.connectors.rest.answers import Answer
from penstock.connectors.rest.modules import (
    Cursor,
    Link,
    Module,
    NextUrl,
    Offset,
    PageNumber,
    Window,
)
from penstock.connectors.rest.paths import MISSING, at, text_of
from penstock.connectors.rest.transport import Request
from penstock.errors import ConnectorError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is.

    Attributes:
        path: Of the request, or a whole URL.
        params: Of its query.
        number: Pages before it.
        records: Records before it.
        end: Of windows: where the last one ends, in ISO form.
    """

    path: str
    params: Mapping[str, Any]
    number: int = 0
    records: int = 0
    end: str = ""

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
    elif isinstance(page, Window):
        return _window(module, Place(path=module.path, params=own, end=_iso(datetime.now(UTC))))
    return Place(path=module.path, params=own)


def _window(module: Module, place: Place) -> Place:
    """The window that begins where the parameters say."""
    page, cursor = module.page, module.cursor
    assert isinstance(page, Window)  # noqa: S101  only they come here
    assert cursor is not None  # noqa: S101  `read_modules` refuses windows without one
    begin = str(place.params.get(cursor.param, page.first))
    end = _iso(min(_moment(module, begin) + page.length, _moment(module, place.end)))
    return replace(place, params={**place.params, cursor.param: begin, page.until: end})


def _moment(module: Module, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{module.name}: windows begin at a time, not {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
    if isinstance(page, Window):
        assert module.cursor is not None  # noqa: S101  `read_modules` refuses it
        begin = place.params[page.until]
        if _moment(module, begin) >= _moment(module, place.end):
            return None
        params = {**place.params, module.cursor.param: begin}
        return _window(module, replace(place, params=params, number=number, records=total))
    if isinstance(page, (PageNumber, Offset)):
        if not (_more(found, page.more) if page.more else records):
            return None
        at_next = page.first + number if isinstance(page, PageNumber) else total
        params = {**place.params, page.param: at_next}
        return Place(path=place.path, params=params, number=number, records=total)
    if isinstance(page, Cursor):
        if page.more and not _more(found, page.more):
            return None
        mark = text_of(at(found, page.next))
        if not mark and page.more:
            raise ConnectorError(
                f"{module.name} page {number}: the answer says that there are more, and has no "
                f"{page.next} to ask for them with",
                code="missing",
                advice="Correct next and more in page, or tell the maker of the API.",
            )
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


def _more(found: Any, path: str) -> bool:
    more = at(found, path)
    return more is not MISSING and bool(more) and text_of(more).lower() != "false"
