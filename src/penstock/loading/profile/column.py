"""Narrows down what one column can be, batch by batch, in bounded memory. Not for: reading files.

A reading that a value does not fit is dropped at once, and most of them within the first rows:
a column of a million rows is tried with a few patterns only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from penstock.loading.profile.facts import At, ColumnFacts, NumberFacts, Reading, Word
from penstock.loading.profile.readings import Fits, effective, number_fits, stricter
from penstock.loading.types.check import BLANKS, USUAL_NULLS
from penstock.model.batch import LINE, ROW
from penstock.model.marks import Marks

#: Different values above which nobody counts any more.
MOST_DISTINCT = 1_000_000
#: Values that are looked at first, where most readings end.
_PROBES = (64, 1024)
#: What may stand in a number besides digits and a sign.
_MARKS = (".", ",", " ", "'", "\u2019", "\u00a0", "\u202f")


@dataclass(frozen=True, slots=True)
class _Values:
    """Texts without blanks around, and their places in the batch."""

    texts: pl.Series
    places: pl.Series
    origin: _Origin

    def at(self, position: int) -> At:
        return self.origin.at(self.places[position], self.texts[position])

    def parts(self) -> Iterator[_Values]:
        start = 0
        for end in (*_PROBES, len(self.texts)):
            if start < len(self.texts):
                size = min(end, len(self.texts)) - start
                yield _Values(
                    self.texts.slice(start, size), self.places.slice(start, size), self.origin
                )
            start = max(end, start)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the rows of a batch stand."""

    file: str
    frame: pl.DataFrame

    def at(self, place: int, text: str) -> At:
        row: int = self.frame.get_column(ROW)[place]
        line: int = self.frame.get_column(LINE)[place]
        return At(self.file, line, row, text)


class ColumnReader:
    """Looks at one column, batch after batch.

    Args:
        name: Of the column, in the input.
        readings: Those that it is tried with, but as numbers.
        numbers: The ways to write numbers that it is tried with.
        nulls: Texts that were declared to mean NULL.
        typed: True where the column came typed.

    Attributes:
        facts: What is known so far; `distinct` after `finish`.
    """

    def __init__(
        self,
        name: str,
        readings: dict[Reading, Fits],
        numbers: tuple[str, ...],
        nulls: tuple[str, ...],
        *,
        typed: bool,
    ) -> None:
        alive = {*readings, *(Reading("number", example) for example in numbers)}
        self.facts = ColumnFacts(name, typed=typed, alive=alive)
        self._readings = readings
        self._numbers = numbers
        self._nulls = nulls
        self._seen: list[pl.Series] = []
        self._pending = 0

    def read(self, frame: pl.DataFrame, file: str) -> None:
        """Look at the column in a batch (String, with `_row` and `_line` beside it)."""
        facts = self.facts
        raw = frame.get_column(facts.name).alias("text")  # to Polars, `*` would be many
        facts.rows += len(raw)
        there = raw.is_not_null()
        if self._nulls:
            there &= ~raw.is_in(self._nulls).fill_null(False)
        facts.nulls += len(raw) - int(there.sum())
        places = there.arg_true()
        if not len(places):
            return
        texts = raw.gather(places)
        self._count(texts)
        stripped = texts.str.strip_chars(BLANKS)
        empty = stripped.str.len_bytes() == 0
        word = empty | stripped.str.to_lowercase().is_in(USUAL_NULLS)
        origin = _Origin(file, frame)
        if word.any():
            said = texts.scatter(empty.arg_true(), "").filter(word)  # all blanks are one word
            self._word(said, places.filter(word), origin)
            stripped, places = stripped.filter(~word), places.filter(~word)
        if not len(stripped):
            return
        values = _Values(stripped, places, origin)
        if facts.first is None:
            facts.first = values.at(0)
        for part in values.parts():
            self._narrow(part)

    def finish(self) -> ColumnFacts:
        """The facts, once all was read."""
        if self.facts.distinct is not None:
            self._gather()
        self._seen = []
        return self.facts

    def _count(self, texts: pl.Series) -> None:
        """Different texts, by a hash of 64 bits: a key is proposed on it, never made."""
        if self.facts.distinct is None:
            return
        self._seen.append(texts.hash().unique())
        self._pending += len(self._seen[-1])
        if self._pending > max(2 * (self.facts.distinct or 0), MOST_DISTINCT // 4):
            self._gather()

    def _gather(self) -> None:
        seen = pl.concat(self._seen).unique() if self._seen else pl.Series(dtype=pl.UInt64)
        self._seen, self._pending = [seen], 0
        self.facts.distinct = len(seen)
        if len(seen) > MOST_DISTINCT:
            self.facts.distinct, self._seen = None, []

    def _word(self, texts: pl.Series, places: pl.Series, origin: _Origin) -> None:
        found = pl.DataFrame({"text": texts, "place": places})
        counted = found.group_by("text", maintain_order=True).agg(
            pl.len().alias("rows"), pl.col("place").first()
        )
        for text, rows, place in counted.iter_rows():
            known = self.facts.words.get(text)
            if known is None:
                self.facts.words[text] = Word(rows, origin.at(place, text))
            else:
                known.rows += rows

    def _narrow(self, values: _Values) -> None:
        facts = self.facts
        examples = [one for one in self._numbers if Reading("number", one) in facts.alive]
        if examples:
            self._narrow_numbers(examples, values)
        for reading, fits in self._readings.items():
            if reading not in facts.alive or not facts.alive.isdisjoint(stricter(reading)):
                continue
            self._judge(reading, fits(values.texts), values)
        if Reading("boolean") in facts.alive:
            facts.booleans.update(values.texts.str.to_lowercase().unique())

    def _judge(self, reading: Reading, good: pl.Series, values: _Values) -> bool:
        if good.all():
            return True
        self.facts.alive.discard(reading)
        self.facts.died[reading] = values.at(int((~good).arg_true()[0]))
        return False

    def _narrow_numbers(self, examples: list[str], values: _Values) -> None:
        """Ways of writing that differ only in marks that do not occur are looked at once."""
        texts = values.texts
        there = frozenset(mark for mark in _MARKS if texts.str.contains(mark, literal=True).any())
        if there and self.facts.marked is None:
            marked = texts.str.contains_any(sorted(there))
            self.facts.marked = values.at(int(marked.arg_true()[0]))
        fits: dict[Marks, pl.Series] = {}
        measured: dict[Marks, NumberFacts] = {}
        for example in examples:
            marks = effective(example, there)
            if marks not in fits:
                fits[marks] = number_fits(texts, example, there)[0]
            reading = Reading("number", example)
            if not self._judge(reading, fits[marks], values):
                self.facts.numbers.pop(example, None)
                continue
            if marks not in measured:
                measured[marks] = _measured(values, marks)
            known = self.facts.numbers.get(example)
            new = measured[marks]
            self.facts.numbers[example] = new if known is None else _wider(known, new)


def _measured(values: _Values, marks: Marks) -> NumberFacts:
    """How large the numbers of a batch are; every text is one under these marks."""
    text = pl.col("text")
    point = pl.col("plain").str.find(".", literal=True)
    size = pl.col("plain").str.len_bytes()
    looked = (
        values.texts.alias("text")
        .to_frame()
        .lazy()
        .select(marks.plain(text).alias("signed"))
        .with_columns(pl.col("signed").str.strip_chars_start("+-").alias("plain"))
        .with_columns(
            pl.coalesce(point, size).alias("digits"),
            pl.when(point.is_null()).then(0).otherwise(size - point - 1).alias("scale"),
        )
        .with_columns(
            pl.when(pl.col("plain").str.starts_with("0"))
            .then(0)
            .otherwise("digits")
            .alias("whole"),
            pl.col("signed").str.replace(r"\..*$", "").cast(pl.Int64, strict=False).alias("value"),
        )
        .with_columns(
            ((pl.col("scale") > 0) & pl.col("plain").str.contains(r"\..*[1-9]")).alias("fraction")
        )
        .select("whole", "scale", "value", "fraction")
        .collect()
    )
    whole, scale, value = (looked.get_column(name) for name in ("whole", "scale", "value"))
    most: dict[str, Any] = looked.select(
        pl.col("whole", "scale").max(),
        pl.col("value").min().fill_null(0).alias("low"),
        pl.col("value").max().fill_null(0).alias("high"),
        pl.col("fraction").any(),
    ).row(0, named=True)
    counted = not value.null_count() or not most["whole"]  # `.5` has no whole part
    return NumberFacts(
        whole=most["whole"],
        scale=most["scale"],
        low=most["low"] if counted else None,
        high=most["high"] if counted else None,
        fraction=most["fraction"],
        widest=values.at(_place(value.abs() if counted else whole)),
        finest=values.at(_place(scale)),
    )


def _place(sizes: pl.Series) -> int:
    return sizes.arg_max() or 0


def _wider(one: NumberFacts, other: NumberFacts) -> NumberFacts:
    lows, highs = (one.low, other.low), (one.high, other.high)
    return NumberFacts(
        whole=max(one.whole, other.whole),
        scale=max(one.scale, other.scale),
        low=None if None in lows else min(low for low in lows if low is not None),
        high=None if None in highs else max(high for high in highs if high is not None),
        fraction=one.fraction or other.fraction,
        widest=other.widest if _size(other) > _size(one) else one.widest,
        finest=other.finest if other.scale > one.scale else one.finest,
    )


def _size(facts: NumberFacts) -> tuple[int, int]:
    if facts.low is None or facts.high is None:
        return facts.whole, 0
    return facts.whole, max(abs(facts.low), abs(facts.high))
