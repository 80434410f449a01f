"""An API over HTTP, read and written by declaration. Not for: the steps (the other rooms)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.connectors.protocol import Check, tried
from penstock.connectors.rest import reading
from penstock.connectors.rest.modules import Module, named
from penstock.connectors.rest.settings import read_rest
from penstock.connectors.rest.transport import Request, Transport
from penstock.connectors.rest.writing import RestWriter
from penstock.connectors.sending import Writer
from penstock.errors import UsageError
from penstock.loading.extract import Extract


class Rest:
    """An API.

    Args:
        settings: See `RestSettings`.
        name: Its key in `env`.
        root: The project's root, where a relative `ca_file` begins.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "rest", root: Path = Path()
    ) -> None:
        self.name = name
        self.settings, auth, self.modules = read_rest(settings, name)
        self._transport = Transport(self.settings, auth, name=name, root=root)

    def where(self) -> str:
        """The base URL."""
        return self.settings.base_url

    def extract(
        self,
        module: str,
        *,
        first: int,
        spool: Callable[[], Path],
        since: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Extract | None:
        """All records of a module, as text; None where there is none.

        Args:
            module: Its name in the settings.
            first: Number of the first page, as `_row` has it.
            spool: Gives a folder for the pages.
            since: Only what has changed since then; a time, a text, or what has it as `value`.
            params: More parameters of the query.

        Raises:
            UsageError: There is no such module, or it cannot be read (so).
            ConnectorError: The API cannot be reached, refuses, or answers what it should not.
        """
        its = self._readable(module)
        return reading.read(
            self._transport, its, first=first, spool=spool, since=since, params=params
        )

    def pages(
        self, module: str, *, since: Any = None, start: Mapping[str, Any] | None = None
    ) -> Iterator[reading.Page]:
        """The pages of a module, one after the other, as they came.

        Args:
            module: Its name in the settings.
            since: Only what has changed since then: a time, a text or a whole number.
            start: Where to begin, as an earlier page's `after` said; `since` is in it.

        Raises:
            UsageError: There is no such module, or it cannot be read (so).
            ConnectorError: As for `extract`.
        """
        its = self._readable(module)
        params = {} if start is not None else reading.params_since(its, since)
        return reading.pages(self._transport, its, params, start)

    def records_at(self, module: str) -> tuple[str, ...]:
        """The keys that lead to the records in a page of a module."""
        path = self._readable(module).records
        return tuple(path.split(".")) if path else ()

    def declared(self, module: str) -> str:
        """Differs when another declaration of a module holds: its pages are then others."""
        told = f"{self.settings.base_url} {self._readable(module)!r}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def shows_secret(self, text: str) -> bool:
        """True for a text with a secret of the login in it."""
        return self._transport.hidden(text) != text

    def writer(self, module: str, mode: str, key: tuple[str, ...] = ()) -> Writer:
        """What sends records of a module.

        Args:
            module: Its name in the settings.
            mode: `create`, `update`, `upsert` or `link`.
            key: Fields that a record is known by; default: as declared.

        Raises:
            UsageError: There is no such module, it is not written so, or a key is needed.
        """
        its = self._module(module)
        if mode not in its.actions:
            raise UsageError(
                f"{self.name}: {module} has no {mode}; declared are {named(its.actions)}"
            )
        return RestWriter(self._transport, its, its.actions[mode], key)

    def check(self) -> Iterator[Check]:
        """Connect, log in, and read the first page of each module that can be read."""
        readable = [one for one in self.modules.values() if one.path]
        if not readable:
            return tried(("connect and log in", self._connect))
        return tried(*((f"read {one.name}", self._first_page(one)) for one in readable))

    def close(self) -> None:
        """Close connections."""
        self._transport.close()

    def _module(self, name: str) -> Module:
        if name not in self.modules:
            raise UsageError(
                f"{self.name}: there is no module {name!r}; known are {named(self.modules)}"
            )
        return self.modules[name]

    def _readable(self, module: str) -> Module:
        its = self._module(module)
        if not its.path:
            raise UsageError(f"{self.name}: {module} has no path to read from")
        return its

    def _connect(self) -> str:
        answer = self._transport.ask(Request(method="GET", path=""))
        if answer.status in (401, 403):
            raise self._transport.told(answer, answer.where)
        return f"{self.where()} answers"

    def _first_page(self, module: Module) -> Callable[[], str]:
        def step() -> str:
            page = next(reading.pages(self._transport, module, {}))
            return f"{page.records} records on the first page"

        return step
