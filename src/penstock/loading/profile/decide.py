"""Chooses from a profile: how the file is written, and a type for each column.

Nothing is guessed: what no row decides is said to be open, with the options that would decide it.
Not for: finding facts (`reading`), names and keys of a new table (`loading.create`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.loading.profile.facts import At, ColumnFacts, NumberFacts, Profile, Reading
from penstock.loading.profile.readings import BOOLEAN_PAIRS, LEADING_ZERO, NUMBERS, stricter
from penstock.loading.types.check import shown
from penstock.model.marks import marks_of
from penstock.model.options import Grammar
from penstock.model.patterns import ISO, USUAL_DATES

_MOMENTS = ("date", "timestamp", "timestamptz")
_PLAIN = NUMBERS[0]
_INT4, _INT8 = 1 << 31, 1 << 63
#: Most digits of numeric(p,s).
_MOST_DIGITS = 1000
#: Spellings that a note offers.
_OFFERED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The type of a column, and why.

    Attributes:
        type: As PostgreSQL writes it.
        because: Why, in words.
        at: The row that decided; None where no single one did.
        note: What a person should know or decide, with the option for it.
    """

    type: str
    because: str
    at: At | None = None
    note: str = ""

    def __str__(self) -> str:
        return self.because if self.at is None else f"{self.because} ({self.at})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How a file is written, as far as its rows say.

    Attributes:
        grammar: With `dates`, `numbers`, `null` and `empty` as found out or declared.
        because: Option -> the row that decided it, in words.
        open: What no row decides, with the options that would.
    """

    grammar: Grammar
    because: Mapping[str, str]
    open: tuple[str, ...] = ()


def how_written(
    profile: Profile, grammar: Grammar, wanted: Mapping[str, Collection[str]] | None = None
) -> Written:
    """How dates, numbers and missing values are written.

    Args:
        profile: Of the input.
        grammar: What was declared; that stands.
        wanted: Column -> kinds of readings that its target can use (of `Reading.kind`); a column
            that is not named has no say. Default: every column, every kind.
    """
    voters = [
        (one, frozenset(wanted.get(one.name, ())) if wanted is not None else None)
        for one in profile.columns
        if not one.typed
    ]
    because: dict[str, str] = {}
    open_: list[str] = []
    found = grammar
    if grammar.dates == ISO:
        days = [one for one, kinds in voters if kinds is None or kinds & set(_MOMENTS)]
        found = replace(found, dates=_dates(days, because, open_))
    if grammar.numbers == _PLAIN:
        numeric = [one for one, kinds in voters if kinds is None or "number" in kinds]
        found = replace(found, numbers=_numbers(numeric, because, open_))
    nulled = [
        one
        for one, kinds in voters
        if one.words and (decide(one, found).type != "text" if kinds is None else kinds)
    ]
    found = _nulls(nulled, found, because)
    return Written(grammar=found, because=because, open=tuple(open_))


def _dates(columns: Sequence[ColumnFacts], because: dict[str, str], open_: list[str]) -> str:
    alive = {one.name: _patterns(one) for one in columns if not _is_number(one)}
    alive = {name: patterns for name, patterns in alive.items() if patterns}
    if not alive:
        return ISO
    tried = [reading.written for reading in _in_order(columns)]
    votes = {pattern: sum(pattern in one for one in alive.values()) for pattern in tried}
    best = max(votes.values())
    chosen = next(pattern for pattern in tried if votes[pattern] == best)
    if chosen == ISO or votes[ISO] == best:
        return ISO
    rival = _swapped(chosen)
    fitting = [one for one in columns if chosen in alive.get(one.name, ())]
    if votes.get(rival, 0) == best:
        names = ", ".join(one.name for one in fitting)
        open_.append(
            f"{names}: no row says whether the day or the month comes first "
            f"({fitting[0].first}): --dates {chosen} or --dates {rival}"
        )
        return ISO
    died = [
        one.died[Reading(k, rival)]
        for one in fitting
        for k in _MOMENTS
        if Reading(k, rival) in one.died and Reading(k, chosen) in one.alive
    ]
    at = min(died, key=lambda one: one.row, default=fitting[0].first)
    because["dates"] = f"{fitting[0].name}, {at}"
    return chosen


def _in_order(columns: Sequence[ColumnFacts]) -> list[Reading]:
    """The readings as dates in the order in which they are preferred."""
    known = {
        reading.written
        for one in columns
        for reading in (*one.alive, *one.died)
        if reading.kind in _MOMENTS
    }
    patterns = [*USUAL_DATES, *sorted(known - set(USUAL_DATES))]
    return [Reading("date", pattern) for pattern in patterns]


def _patterns(facts: ColumnFacts) -> set[str]:
    return {one.written for one in facts.alive if one.kind in _MOMENTS}


def _swapped(pattern: str) -> str:
    return pattern.translate(str.maketrans("DM", "MD"))


def _is_number(facts: ColumnFacts) -> bool:
    return bool(facts.numbers)


def _numbers(columns: Sequence[ColumnFacts], because: dict[str, str], open_: list[str]) -> str:
    marked = [one for one in columns if one.marked is not None and one.numbers]
    if not marked:
        return _PLAIN
    votes = {example: sum(example in one.numbers for one in marked) for example in NUMBERS}
    best = max(votes.values())
    likely = [example for example in NUMBERS if votes[example] == best]
    chosen = likely[0]
    readings = {marks_of(example).decimal: example for example in reversed(likely)}
    sure = [one for one in marked if not _two_ways(one, likely) and chosen in one.numbers]
    if len(readings) > 1 and not sure:
        names = ", ".join(one.name for one in marked)
        offered = " or ".join(f'--numbers "{example}"' for example in readings.values())
        open_.append(
            f"{names}: no row says whether the mark is a decimal one or groups digits "
            f"({marked[0].marked}): {offered}; without either it is {_PLAIN}"
        )
        return _PLAIN
    if chosen != _PLAIN:
        one = (sure or marked)[0]
        at = one.died.get(Reading("number", _PLAIN), one.marked)
        because["numbers"] = f"{one.name}, {at}"
    return chosen


def _two_ways(facts: ColumnFacts, examples: Sequence[str]) -> bool:
    """True where the marks may be decimal marks, and may group digits."""
    if facts.marked is None:
        return False
    mark = "." if "." in facts.marked.value else "," if "," in facts.marked.value else ""
    alive = [marks_of(example) for example in examples if example in facts.numbers]
    return any(one.decimal == mark for one in alive) and any(one.group == mark for one in alive)


def _nulls(columns: Sequence[ColumnFacts], grammar: Grammar, because: dict[str, str]) -> Grammar:
    words: dict[str, str] = {}
    empty = grammar.empty
    for one in columns:
        for text, word in one.words.items():
            if text.strip():
                words.setdefault(text, f"{one.name}, {word.first.place}")
            elif empty is None:
                empty = "null"
                because["empty"] = f"{one.name}, {word.first}"
    if words:
        because["null"] = "; ".join(f"{shown(text)}: {at}" for text, at in words.items())
    return replace(grammar, null=(*grammar.null, *words), empty=empty)


def decide(facts: ColumnFacts, grammar: Grammar) -> Decision:
    """The type of a column under a grammar, its usual words for "no value" left aside."""
    if facts.typed:
        grammar = replace(grammar, dates=ISO, numbers=_PLAIN)
    if facts.first is None:
        return Decision(type="text", because="no values")
    words = facts.booleans
    pair = any(words <= set(one) for one in BOOLEAN_PAIRS)
    if Reading("boolean") in facts.alive and pair and (len(words) > 1 or words & {"true", "false"}):
        return Decision(type="boolean", because=f"only {' and '.join(sorted(words))}")
    for kind in ("uuid", "jsonb"):
        if Reading(kind) in facts.alive:
            return Decision(type=kind, because="every value", at=facts.first)
    moment = _moment(facts, grammar.dates)
    if moment is not None and (grammar.dates != ISO or not facts.numbers):
        return moment
    if grammar.numbers in facts.numbers:
        return _number(facts, facts.numbers[grammar.numbers], grammar.numbers)
    if Reading("float") in facts.alive and not facts.numbers:
        at = facts.died.get(Reading("number", _PLAIN), facts.first)
        return Decision(type="double precision", because="numbers with exponents", at=at)
    return _text(facts, grammar)


def _moment(facts: ColumnFacts, pattern: str) -> Decision | None:
    for kind in _MOMENTS:
        if Reading(kind, pattern) not in facts.alive:
            continue
        if kind == "date":
            rival = facts.died.get(Reading("date", _swapped(pattern)), facts.first)
            return Decision(type=kind, because=f"written {pattern}", at=rival)
        if kind == "timestamp":
            at = facts.died.get(Reading("date", pattern), facts.first)
            return Decision(type=kind, because="with a time of day", at=at)
        return Decision(type=kind, because="every value has an offset", at=facts.first)
    return None


def _number(facts: ColumnFacts, size: NumberFacts, written: str) -> Decision:
    note = ""
    other = [one for one in NUMBERS if one in facts.numbers and _two_ways(facts, (written, one))]
    if other and written == _PLAIN:
        note = f'{shown(size.finest.value)} may be a whole number: --numbers "{other[0]}"'
    if not size.fraction and size.scale <= 1:  # 17850.0 is what other programs make of 17850
        low, high = size.low, size.high
        if low is None or high is None:
            return Decision(
                type=f"numeric({size.whole},0)" if size.whole <= _MOST_DIGITS else "numeric",
                because="whole numbers beyond bigint",
                at=size.widest,
                note=note,
            )
        if low >= -_INT4 and high < _INT4:
            because = f"whole numbers from {low} to {high}"
            return Decision(type="integer", because=because, at=size.widest, note=note)
        return Decision(type="bigint", because="beyond integer", at=size.widest, note=note)
    digits = max(size.whole + size.scale, 1)
    type_name = f"numeric({digits},{size.scale})" if digits <= _MOST_DIGITS else "numeric"
    because = (
        f"{size.whole} {'digit' if size.whole == 1 else 'digits'} ({size.widest}) and "
        f"{size.scale} {'decimal' if size.scale == 1 else 'decimals'}"
    )
    return Decision(type=type_name, because=because, at=size.finest, note=note)


def _is_offered(facts: ColumnFacts, pattern: str) -> bool:
    """True for a pattern that fits, and for which no stricter one does."""
    for kind in _MOMENTS:
        reading = Reading(kind, pattern)
        padded = [one for one in stricter(reading) if one.kind == kind]
        if reading in facts.alive and facts.alive.isdisjoint(padded):
            return True
    return False


def _text(facts: ColumnFacts, grammar: Grammar) -> Decision:
    first = facts.first
    zero = facts.died.get(Reading("number", grammar.numbers))
    if zero is not None and LEADING_ZERO.fullmatch(zero.value):
        return Decision(type="text", because="leading zeros", at=zero)
    if facts.numbers:
        examples = {marks_of(one).decimal: one for one in reversed(NUMBERS) if one in facts.numbers}
        offered = " or ".join(f'--numbers "{one}"' for one in sorted(examples.values()))
        return Decision(
            type="text", because="no numbers as declared", at=first, note=f"numbers by {offered}"
        )
    patterns = [one for one in _in_order([facts]) if _is_offered(facts, one.written)]
    if patterns:
        offered = " or ".join(f"--dates {one.written}" for one in patterns[:_OFFERED])
        return Decision(
            type="text", because="no dates as declared", at=first, note=f"dates by {offered}"
        )
    died = max(facts.died.values(), key=lambda one: one.row, default=first)
    return Decision(type="text", because="fits no other type", at=died)
