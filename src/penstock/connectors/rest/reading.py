"""Reads a module page by page into files, and those as JSON files are read. Not for: paging.

The pages are kept as they came, so that numbers, duplicate keys and broken records are what they
are in a file: big numbers are not rounded, and each row knows its page and place.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from penstock.connectors.rest.answers import Answer, message_of
from penstock.connectors.rest.modules import Module, Window
from penstock.connectors.rest.paging import Place, first_place, next_place
from penstock.connectors.rest.paths import MISSING, at
from penstock.connectors.rest.transport import Transport
from penstock.errors import ConnectorError, UsageError
from penstock.loading.extract import Extract, extract
from penstock.loading.load import options_from

#: Digits of a number that Python reads as one.
_DIGITS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page that was read.

    Attributes:
        content: As it came.
        keys: Of its records, in the order in which they were met.
        records: How many there are.
        number: Of the page, from 1.
        after: Where the next one is, as `pages` takes it again; None: there is none.
        complete: True: this is the last one, and none is missing, as far as the API tells.
    """

    content: bytes
    keys: tuple[str, ...]
    records: int
    number: int
    after: Mapping[str, Any] | None
    complete: bool


def read(
    transport: Transport,
    module: Module,
    *,
    first: int,
    spool: Callable[[], Path],
    since: Any = None,
    params: Mapping[str, Any] | None = None,
) -> Extract | None:
    """All records of a module, as text; None where there is none.

    Args:
        transport: The way there.
        module: What is read.
        first: Number of the first page, as `_row` has it.
        spool: Gives a folder for the pages.
        since: Only what has changed since then; a time, a text, or what has it as `value`.
        params: More parameters.

    Raises:
        UsageError: `since`, and no cursor is declared.
        ConnectorError: See `pages`.
    """
    own = {**(params or {}), **params_since(module, getattr(since, "value", since))}
    folder = Path(tempfile.mkdtemp(prefix="pages-", dir=spool()))
    paths: list[Path] = []
    names: list[str] = []
    keys: dict[str, None] = {}
    for number, page in enumerate(pages(transport, module, own), start=1):
        if not page.records:
            continue
        paths.append(folder / f"{len(paths):08}.json")
        paths[-1].write_bytes(page.content)
        names.append(f"{transport.name} {module.name} page {number}")
        keys |= dict.fromkeys(page.keys)
    if not paths:
        return None
    more = {"json_path": module.records} if module.records else {}
    options = options_from(format="json", columns=list(keys), **more)
    return replace(extract(paths, options, spool, first=first), names=tuple(names))


def pages(
    transport: Transport,
    module: Module,
    params: Mapping[str, Any],
    start: Mapping[str, Any] | None = None,
) -> Iterator[Page]:
    """The pages, one after the other.

    Args:
        transport: The way there.
        module: What is read.
        params: More parameters.
        start: Where to begin, as `Page.after` said; None: at the first page.

    Raises:
        ConnectorError: The API refuses, answers something else than the declared JSON, gives a
            page twice, more than `max_pages`, or, as far as it tells, not all of them.
    """
    place: Place | None = first_place(module, params) if start is None else Place(**start)
    seen = _Seen(transport, module)
    while place is not None:
        where = f"{transport.name}: {module.name} page {place.number + 1}"
        seen.place(place, where)
        answer = transport.ask(place.request)
        if answer.status >= 400:
            raise transport.told(answer, answer.where)
        found = _json_of(answer, where)
        records = _records_of(module, found, where)
        seen.records(records, where)
        keys = dict.fromkeys(key for one in records if isinstance(one, Mapping) for key in one)
        after = next_place(module, place, answer, found, len(records))
        missing = "" if after is not None else _missing(module, found, place.records + len(records))
        yield Page(
            content=answer.content,
            keys=tuple(keys),
            records=len(records),
            number=place.number + 1,
            after=None if after is None else asdict(after),
            complete=after is None and not missing,
        )
        if missing:
            raise ConnectorError(
                f"{where}: {missing}",
                code="missing",
                advice="Read again; if it stays so, correct total or tell the maker of the API.",
            )
        place = after


class _Seen:
    """Notices circles, and pages without end."""

    def __init__(self, transport: Transport, module: Module) -> None:
        self._module = module
        self._most = transport.settings.max_pages
        self._marks: set[str] = set()
        self._contents: dict[str, int] = {}

    def place(self, place: Place, where: str) -> None:
        """A page that is asked for now."""
        if place.mark in self._marks:
            raise ConnectorError(
                f"{where} is the same as one before: the API leads in a circle",
                code="loop",
                advice="Check page in the module's declaration, and tell the maker of the API.",
            )
        self._marks.add(place.mark)
        if place.number >= self._most:
            raise ConnectorError(
                f"{where}: more than {self._most:,} pages",
                code="max_pages",
                advice="Take bigger pages, read less with since=, or raise max_pages.",
            )

    def records(self, records: list[Any], where: str) -> None:
        """What it holds; windows may hold the same, as nothing leads from one to the next."""
        page = self._module.page
        if isinstance(page, Window):
            if page.most is not None and len(records) >= page.most:
                raise ConnectorError(
                    f"{where} has {len(records):,} records: the API may have cut it off",
                    code="missing",
                    advice="Make span shorter.",
                )
            return
        if not records:
            return
        content = hashlib.sha256(json.dumps(records).encode()).hexdigest()
        number = len(self._contents) + 1
        first = self._contents.setdefault(content, number)
        if first != number:
            before = "the page before" if first == len(self._contents) else "one before"
            raise ConnectorError(
                f"{where} has the same records as {before}",
                code="loop",
                advice="Check the parameters in page: the API seems not to know them.",
            )


def _missing(module: Module, found: Any, records: int) -> str:
    """What the API's own count says is missing at the end; empty where nothing is."""
    if module.page is None or not module.page.total:
        return ""
    total = at(found, module.page.total)
    if isinstance(total, str) and total.isdigit():
        total = int(total)
    if isinstance(total, bool) or not isinstance(total, int):
        return f"the answer has no number at {module.page.total}"
    return f"only {records:,} of {total:,} records came" if records < total else ""


def whole(text: str) -> int | str:
    """A whole number of JSON; as text where Python's int would refuse it (4,300 digits)."""
    return int(text) if len(text) < _DIGITS else text


def _json_of(answer: Answer, where: str) -> Any:
    kind = answer.kind
    if answer.status == 204 or not answer.content.strip():
        raise ConnectorError(
            f"{where}: the answer is empty ({answer.status})",
            code="empty",
            advice="Check the path of the module.",
        )
    if "html" in kind or answer.content.lstrip()[:1] == b"<":
        raise ConnectorError(
            f"{where}: the answer is a page for people (HTML), not JSON",
            code="html",
            advice="Check base_url: it may lead to a login page or to a proxy's message.",
        )
    if kind and not (kind.endswith(("/json", "+json"))):
        raise ConnectorError(
            f"{where}: the answer is {kind}, not JSON",
            code="content_type",
            advice="Check the path of the module.",
        )
    try:
        # Python reads bytes that are no UTF-8 (surrogates) and gives what cannot be written again.
        text = answer.content.decode(json.detect_encoding(answer.content))
        return json.loads(text, parse_int=whole)
    except (ValueError, RecursionError) as error:
        raise ConnectorError(
            f"{where}: the answer is no JSON, perhaps cut off ({len(answer.content):,} bytes): "
            f"{error}",
            code="json",
            advice="Try again; then tell the maker of the API.",
        ) from None


def _records_of(module: Module, found: Any, where: str) -> list[Any]:
    records = at(found, module.records)
    if isinstance(records, list):
        return records
    said = message_of(found)
    what = f"no {module.records}" if records is MISSING else f"no list at {module.records or 'it'}"
    if isinstance(found, Mapping):
        keys = ", ".join(list(found)[:8]) or "nothing"
        there = f"it has {keys}" + (f", and says: {said}" if said else "")
    else:
        there = f"it is a {type(found).__name__}"
    raise ConnectorError(
        f"{where}: the answer has {what}; {there}",
        code="records",
        advice="Correct records in the module's declaration.",
    )


def params_since(module: Module, since: Any) -> dict[str, Any]:
    """The parameters that ask for what has changed since then; none for None.

    Raises:
        UsageError: No cursor is declared, or `since` is nothing that it can begin at.
    """
    if since is None:
        return {}
    cursor = module.cursor
    if cursor is None:
        raise UsageError(f"{module.name} has no cursor: it cannot be read since {since}")
    if isinstance(since, (bool, float)) or not isinstance(since, (str, int, date)):
        raise UsageError(f"{module.name}: since must be a time, a text or a number, not {since!r}")
    if not cursor.span:
        return {cursor.param: since.isoformat() if isinstance(since, date) else since}
    moment = since
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            moment = 0
    if isinstance(moment, int):
        raise UsageError(
            f"{module.name}: since {since!r} is no time, so that overlap {cursor.overlap} cannot "
            "be taken from it"
        )
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001  as it is written
    text = (moment - cursor.span).isoformat()
    return {cursor.param: text.replace("+00:00", "Z")}
