"""Events as their transform gets them: decrypted in memory, and nothing of it is told.

Not for: what is kept (`staging`), which stays encrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from penstock.events.encrypting import Altered, Cipher
from penstock.events.personal import FORGOTTEN
from penstock.events.queue import Batch, Failure
from penstock.model.batch import ROW, record_of
from penstock.project.keys import ProjectKey

#: What is told in the place of a reason that may hold a value.
WITHHELD = "the value is not told, as fields of its event are encrypted"


@dataclass(frozen=True, slots=True)
class Clear:
    """Events, numbered from 0.

    Attributes:
        raws: As they were received.
        hidden: Those that are encrypted where they are kept: nothing of them may be told.
        failures: Those that cannot be read; in their place stands what gives no row.
    """

    raws: Sequence[bytes]
    hidden: frozenset[int] = frozenset()
    failures: dict[int, Failure] = field(default_factory=dict)


class Reader:
    """Decrypts the events of a pipeline.

    Args:
        pipeline: Its name.
        key: The project's, which is read only where something is encrypted; None: there is none.
    """

    def __init__(self, pipeline: str, key: ProjectKey | None) -> None:
        self._pipeline = pipeline
        self._key = key
        self._ciphers: dict[str, Cipher] = {}

    def one(self, source: str, raw: bytes) -> bytes:
        """An event of a source.

        Raises:
            Altered: It is not what was staged.
            UsageError: The key is not here, or another one.
        """
        cipher = self._ciphers.get(source)
        if cipher is None:
            cipher = self._ciphers[source] = Cipher(self._key, self._pipeline, source)
        return cipher.decrypt(raw)

    def all_of(self, batches: Sequence[Batch], raws: Sequence[bytes]) -> Clear:
        """The events of batches.

        Raises:
            UsageError: The key is not here, or another one.
        """
        if not any(one.encrypted for one in batches):
            return Clear(raws)
        sources = [one.source if one.encrypted else None for one in batches for _ in _places(one)]
        read, failures = [*raws], dict[int, Failure]()
        for number, source in enumerate(sources):
            if source is None:
                continue
            try:
                read[number] = self.one(source, raws[number])
            except Altered:
                read[number] = FORGOTTEN
                said = "an encrypted field was altered since it was staged: it cannot be decrypted"
                failures[number] = Failure("altered", said)
        hidden = frozenset(number for number, one in enumerate(sources) if one is not None)
        return Clear(read, hidden, failures)


def _places(one: Batch) -> range:
    return range(one.events)


def concealing(
    events: Sequence[int], hidden: Collection[int], raws: Sequence[bytes]
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What a load's refused rows become before they are kept.

    Rows of hidden events are their events as they are staged, without values; the key stays, by
    which a later load resolves them.

    Args:
        events: Of each row that is loaded, the number of its event.
        hidden: Numbers of the events that nothing may be told of.
        raws: All events, as they are staged.
    """

    def concealed(refused: pl.DataFrame) -> pl.DataFrame:
        numbers = [record_of(row) - 1 for row in refused[ROW]]
        of = [events[one] if one < len(events) else -1 for one in numbers]
        mine = pl.Series([one in hidden for one in of], dtype=pl.Boolean)
        if not mine.any():
            return refused
        kept = pl.Series([raws[one] if one in hidden else None for one in of], dtype=pl.Binary)
        return refused.with_columns(
            raw=pl.when(mine).then(kept).otherwise("raw"),
            values=pl.when(~mine).then("values"),
            reasons=pl.when(mine).then(_each(refused["reasons"], WITHHELD)).otherwise("reasons"),
            bad=pl.when(mine).then(_each(refused["bad"], None)).otherwise("bad"),
        )

    return concealed


def _each(lists: Iterable[Sequence[str | None]], text: str | None) -> pl.Series:
    return pl.Series([[text] * len(one) for one in lists], dtype=pl.List(pl.String))
