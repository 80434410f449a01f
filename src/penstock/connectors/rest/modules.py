"""Modules of an API by declaration: what is read, page by page, and how it is written.

Not for: doing it (`reading`, `writing`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from penstock.connectors.rest.actions import ACTIONS, Action, Find
from penstock.connectors.settings import read_settings
from penstock.errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged:
    """What all kinds of pages have.

    Attributes:
        total: Where the answer says how many records there are in all; a read that has had fewer
            at its end is an error. Empty: it does not say.
    """

    total: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber(Paged):
    """Pages are counted; the first one that is empty is behind the last.

    Attributes:
        param: The parameter with the number.
        first: Of the first page.
        size_param: The parameter with the page's size; None: the API's own size.
        size: Records a page.
        more: Where the answer says whether there are more; empty: an empty page tells.
    """

    param: str = "page"
    first: int = 1
    size_param: str | None = None
    size: int = 100
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset(Paged):
    """Records are counted; as `PageNumber`.

    Attributes:
        param: The parameter with the number of records before the page.
        size_param: The parameter with the page's size; None: the API's own size.
        size: Records a page.
        more: Where the answer says whether there are more; empty: an empty page tells.
    """

    param: str = "offset"
    size_param: str | None = "limit"
    size: int = 100
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor(Paged):
    """Each answer has a mark, with which the next page is asked for.

    Attributes:
        param: The parameter that the mark is sent in.
        next: Where the answer has it: `paging.next.after`, or `data.-1.id` for the last record's
            id; not there, NULL or empty: the end.
        more: Where the answer says whether there are more; empty: the mark tells.
        size_param: The parameter with the page's size; None: the API's own size.
        size: Records a page.
    """

    param: str
    next: str
    more: str = ""
    size_param: str | None = None
    size: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Paged):
    """The header `Link` has the next page's URL as `rel="next"` (RFC 8288).

    Attributes:
        size_param: The parameter with the page's size; None: the API's own size.
        size: Records a page.
    """

    size_param: str | None = None
    size: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NextUrl(Paged):
    """Each answer has the next page's URL.

    Attributes:
        next: Where the answer has it; not there, NULL or empty: the end.
        size_param: The parameter with the page's size; None: the API's own size.
        size: Records a page.
    """

    next: str
    size_param: str | None = None
    size: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Paged):
    """Windows of time, one after the other, until now; the module's `cursor` says where they begin.

    Attributes:
        until: The parameter with the end of a window; its begin is in the parameter of `cursor`.
        first: Where the first one begins, in ISO form, where nothing was read yet.
        span: How long each is: `1h`, `1d`.
        most: Records at which an answer is taken to be cut off, which is an error.
        size_param: The parameter with the page's size; None: the API's own size.
        size: Records a page.
    """

    until: str
    first: str
    span: str = "1h"
    most: int | None = None
    size_param: str | None = None
    size: int = 100

    def __post_init__(self) -> None:
        if not self.length:
            raise ValueError("span must be above 0")
        try:
            begin = datetime.fromisoformat(self.first)
        except ValueError:
            begin = datetime.min  # noqa: DTZ901  refused below, as it has no zone
        if begin.tzinfo is None:
            raise ValueError(f"first must be a time such as 2026-01-01T00:00Z, not {self.first!r}")

    @property
    def length(self) -> timedelta:
        """The span."""
        return span_of("span", self.span)


Page = PageNumber | Offset | Cursor | Link | NextUrl | Window
_PAGES: Mapping[str, type[Any]] = {
    "page": PageNumber,
    "offset": Offset,
    "cursor": Cursor,
    "link": Link,
    "next_url": NextUrl,
    "window": Window,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """How only what has changed is read.

    Attributes:
        field: Of the records: when they were changed.
        param: The parameter that the time is sent in.
        overlap: Read again so much before it, as clocks and commits differ: `5m`, `1h`; `0s`.
    """

    field: str
    param: str
    overlap: str = "0s"

    def __post_init__(self) -> None:
        self.span  # noqa: B018  raises where it is wrong

    @property
    def span(self) -> timedelta:
        """The overlap."""
        return span_of("overlap", self.overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A module as `env` has it."""

    path: str = ""
    records: str = ""
    params: Mapping[str, Any] | None = None
    page: Mapping[str, Any] | None = None
    cursor: Mapping[str, Any] | None = None
    find: Mapping[str, Any] | None = None
    create: Mapping[str, Any] | None = None
    update: Mapping[str, Any] | None = None
    upsert: Mapping[str, Any] | None = None
    link: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One kind of records of an API.

    Attributes:
        name: Its key in `modules`.
        path: Where it is read; empty: it is not.
        records: Where an answer has the records: `data.items`; empty: the answer is the list.
        params: Parameters of every read.
        page: How pages follow one another; None: one answer has everything.
        cursor: How only what has changed is read; None: everything is, each time.
        find: How one record is looked up by its key; None: it cannot be.
        actions: `create`, `update`, `upsert`, `link` -> how it is done.
    """

    name: str
    path: str = ""
    records: str = ""
    params: Mapping[str, Any]
    page: Page | None = None
    cursor: Since | None = None
    find: Find | None = None
    actions: Mapping[str, Action]


def read_modules(given: Mapping[str, Any], name: str) -> tuple[dict[str, Module], list[str]]:
    """The modules of an API, and everything that is wrong with them.

    Args:
        given: Module -> its declaration.
        name: The connector's, for messages.
    """
    found, problems = {}, []
    for key, one in given.items():
        where = f"{name}.modules.{key}"
        if not isinstance(one, Mapping):
            problems.append(f"{where} must be a dictionary")
            continue
        reader = _Reader(where)
        made = reader.module(key, one)
        problems += reader.problems
        if made is not None and not reader.problems:
            found[key] = made
    return found, problems


class _Reader:
    """Reads one module, and notes what is wrong."""

    def __init__(self, where: str) -> None:
        self.problems: list[str] = []
        self._where = where

    def module(self, name: str, given: Mapping[str, Any]) -> Module | None:
        written: _Written | None = self._tried(lambda: read_settings(_Written, given, self._where))
        if written is None:
            return None
        actions = {}
        for action, preset in ACTIONS.items():
            one = getattr(written, action)
            if one is not None and (made := self._part(Action, {**preset, **one}, action)):
                actions[action] = replace(made, mode=action)
        if not written.path and not actions:
            self.problems.append(f"{self._where}: it has neither a path to read nor a way to write")
        if (written.page or written.cursor) and not written.path:
            self.problems.append(f"{self._where}: page and cursor need the path that is read")
        if (written.page or {}).get("kind") == "window" and not written.cursor:
            self.problems.append(
                f"{self._where}: windows need a cursor, which says where they begin"
            )
        return Module(
            name=name,
            path=written.path,
            records=written.records,
            params=written.params or {},
            page=self._page(written.page),
            cursor=self._part(Since, written.cursor, "cursor"),
            find=self._part(Find, written.find, "find"),
            actions=actions,
        )

    def _page(self, given: Mapping[str, Any] | None) -> Page | None:
        if given is None:
            return None
        if given.get("kind") not in _PAGES:
            known = ", ".join(_PAGES)
            self.problems.append(
                f"{self._where}.page: there is no kind {given.get('kind')!r}; known are {known}"
            )
            return None
        made: Page | None = self._part(_PAGES[given["kind"]], given, "page")
        if made is not None and made.size <= 0:
            self.problems.append(f"{self._where}.page: size must be above 0")
        return made

    def _part(self, kind: type[Any], given: Mapping[str, Any] | None, name: str) -> Any:
        if given is None:
            return None
        return self._tried(lambda: read_settings(kind, given, f"{self._where}.{name}"))

    def _tried(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except UsageError as error:
            self.problems.append(error.message)
            return None


def span_of(name: str, text: str) -> timedelta:
    """The time that `30s`, `5m`, `1h` or `1d` means.

    Raises:
        ValueError: It is no such text.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise ValueError(f"{name} must be such as 30s, 5m, 1h or 1d, not {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def named(modules: Iterable[str]) -> str:
    """Names of modules, for messages."""
    return ", ".join(sorted(modules)) or "none"
