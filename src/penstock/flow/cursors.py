"""How far sources were read. Not for: reading (`job`), nor where it is kept (`ledger`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from penstock.errors import SourceError, UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d+)\s*([smhd])")
#: Texts that no later value exceeds.
_ENDLESS = ("infinity", "-infinity", "NaN")
_OVERLAPS = 'overlap is "30s", "5m", "2h", "1d" or a timedelta for times, a number for numbers'


@dataclass(slots=True)
class Cursor:
    """Up to where a source was read.

    Attributes:
        name: Of the cursor, in its flow.
        column: Of the source: its largest value moves the cursor.
        value: The largest value that earlier runs have read and loaded; None: there was none.
        initial: Stands for it as long as there is none.
        overlap: Rows this far before the value are read again.
        reached: The largest value that this run has read; None: it has read no row.
    """

    name: str
    column: str
    value: Any = None
    initial: Any = None
    overlap: timedelta | int | Decimal | None = None
    reached: Any = field(default=None, init=False)
    used: bool = field(default=False, init=False, repr=False)

    @property
    def since(self) -> Any:
        """What a query's `:since` is given: the value less the overlap, else `initial`."""
        if self.value is None:
            return self.initial
        if self.overlap is None:
            return self.value
        moment = isinstance(self.value, date)  # a datetime is one too
        if isinstance(self.value, str) or moment != isinstance(self.overlap, timedelta):
            raise UsageError(
                f"cursor {self.name}: {self.value!r} less {self.overlap!r} means nothing: "
                f"{_OVERLAPS}"
            )
        if moment and not isinstance(self.value, datetime):  # a day has no parts
            assert isinstance(self.overlap, timedelta)  # noqa: S101  asked above
            return self.value - timedelta(days=-(-self.overlap // timedelta(days=1)))
        return self.value - self.overlap

    def note(self, frame: pl.DataFrame) -> None:
        """What was read with it.

        Raises:
            UsageError: It was used for another read already.
            SourceError: Its column is not there, has no value, or none that can be compared with
                the one before.
        """
        if self.used:
            raise UsageError(f"cursor {self.name} has been read with: take one for each read")
        self.used = True
        if self.column not in frame.columns:
            had = ", ".join(name for name in frame.columns if name != "_row")
            raise SourceError(
                f"cursor {self.name}: there is no column {self.column} among those read ({had}): "
                "select it too",
                code="cursor",
            )
        if frame.is_empty():
            return
        found = frame.get_column(self.column).max()
        if found is None:
            raise SourceError(
                f"cursor {self.name}: {self.column} is NULL in every row that was read: "
                "a cursor needs a column that is always set",
                code="cursor",
            )
        kind = _tag(found)
        if kind == "" or found in _ENDLESS:
            raise SourceError(
                f"cursor {self.name}: {self.column} has {found!r}; a cursor goes by whole numbers, "
                "decimals, dates, timestamps or texts, none of them endless",
                code="cursor",
            )
        if self.value is not None and _tag(self.value) != kind:
            raise SourceError(
                f"cursor {self.name} stands at {self.value!r}, and {self.column} is now {found!r}, "
                "of another type: give the cursor another name, or cast the column",
                code="cursor",
            )
        self.reached = found if self.value is None else max(found, self.value)


class Cursors:
    """The cursors of one job.

    Args:
        kept: Gives the kept form of a cursor by its name, None where there is none.
        keep: Writes one by a connection to the ledger: the connection, its name, its kept form.
        ledger: Name of the connector whose database has the ledger.
    """

    def __init__(
        self,
        kept: Callable[[str], Any] | None = None,
        keep: Callable[[Any, str, Any], None] | None = None,
        ledger: str = "",
    ) -> None:
        self._kept = kept
        self._keep = keep
        self._ledger = ledger
        self._made: dict[str, Cursor] = {}

    def take(self, name: str, column: str, initial: Any, overlap: Any) -> Cursor:
        """The cursor as earlier runs left it.

        Raises:
            UsageError: The job has taken it already, or the overlap means nothing.
        """
        if name in self._made:
            raise UsageError(f"cursor {name} was taken already: take one for each read")
        kept = None if self._kept is None else self._kept(name)
        value = None if kept is None else loaded(kept)
        made = Cursor(name, column, value, initial, _overlap(overlap))
        self._made[name] = made
        return made

    def along(self, cursor: Cursor, target: str) -> Callable[[Any], None]:
        """What moves a cursor in the transaction of a load.

        Args:
            cursor: It was read with already.
            target: Name of the connector that is loaded to.

        Raises:
            UsageError: The ledger is not in that database, so that there is no such transaction.
        """
        if self._ledger != target:
            raise UsageError(
                f"cursor {cursor.name} cannot move with a load to {target}: the ledger is in "
                f"{self._ledger or 'none of the databases'}. Leave moves= out: it then moves when "
                "the job has succeeded"
            )
        if not cursor.used:
            raise UsageError(f"cursor {cursor.name} has read nothing yet: read(..., since=cursor)")

        def move(connection: Any) -> None:
            if self._keep is not None and cursor.reached not in (None, cursor.value):
                self._keep(connection, cursor.name, dumped(cursor.reached))

        return move

    def moved(self) -> dict[str, Any]:
        """The kept forms of the cursors that this job moves, by name."""
        return {
            name: dumped(one.reached)
            for name, one in self._made.items()
            if one.reached is not None and one.reached != one.value
        }


def dumped(value: Any) -> dict[str, Any]:
    """A value as JSON keeps it: its type beside its text, all digits of it."""
    text = value.isoformat() if isinstance(value, date) else str(value)
    return {"type": _tag(value), "value": text}


def loaded(kept: Mapping[str, Any]) -> Any:
    """The value of what `dumped` gave.

    Raises:
        UsageError: It is no such thing.
    """
    try:
        return _READERS[kept["type"]](kept["value"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise UsageError(
            f"penstock.cursors holds {kept!r}, which is no cursor's value: correct the row, or "
            "delete it"
        ) from None


def _tag(value: Any) -> str:
    if isinstance(value, datetime):
        return "timestamp" if value.tzinfo is None else "timestamptz"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, ""),
        (date, "date"),
        (int, "integer"),
        (Decimal, "decimal"),
        (str, "text"),
    )
    return next((tag for kind, tag in kinds if isinstance(value, kind)), "")


def _overlap(given: Any) -> timedelta | int | Decimal | None:
    if isinstance(given, str) and (found := _SPAN.fullmatch(given.strip())):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    number = isinstance(given, (int, Decimal)) and not isinstance(given, bool) and given >= 0
    if given is None or number or (isinstance(given, timedelta) and given >= timedelta()):
        return given  # type: ignore[no-any-return]
    raise UsageError(f"{_OVERLAPS}, not {given!r}")


_READERS: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "decimal": Decimal,
    "text": str,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
}
