"""Literals that hold values of another type, each looked at by that type's own check.

Not for: the literals' forms (`arrays`, `ranges`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from penstock.loading.types.check import BLANKS, Careful, Check, Verdict, bare, second_look
from penstock.loading.types.typed import to_text
from penstock.model.options import Grammar

#: Options that do not reach into a literal: its values are written as PostgreSQL writes them.
FOREIGN = re.compile(r": --(?:null|empty|dates|numbers) .*$", re.S)


@dataclass(frozen=True, slots=True)
class Part:
    """An accepted value inside a literal.

    Attributes:
        value: Typed, as Polars hands it to Python.
        text: Canonical, as the server reads it.
    """

    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal taken apart.

    Attributes:
        parts: The texts of its values in order, NULLs left out.
        named: What a message calls each of them: `element 2`.
        write: From the accepted values to the canonical text, or to a refusal of their relation.
    """

    parts: Sequence[str]
    named: Sequence[str]
    write: Callable[[Sequence[Part]], Verdict]


def inside(grammar: Grammar) -> Grammar:
    """What of the declarations holds inside a literal: zone, rounding and trimming."""
    return replace(Grammar(), round=grammar.round, trim=grammar.trim, timezone=grammar.timezone)


def nested_look(
    element: Check, read: Callable[[str], Literal | Verdict], noun: str, grammar: Grammar
) -> Careful:
    """Make the careful look of a type of literals.

    Args:
        element: The check of the values inside.
        read: Takes a text without blanks around it apart, or refuses its form.
        noun: With its article, for the message about an empty text: `an array`.
        grammar: Of the column.
    """

    def careful(texts: pl.Series) -> pl.DataFrame:
        stripped = {text.strip(BLANKS) for text in texts.unique().to_list()}
        literals = {text: read(text) for text in stripped if text}
        wanted: dict[str, None] = {}
        for literal in literals.values():
            if isinstance(literal, Literal):
                wanted.update(dict.fromkeys(literal.parts))
        known = looked_at(element, list(wanted))

        def judge(text: str) -> Verdict:
            literal = literals[text]
            return literal if isinstance(literal, Verdict) else _whole(literal, known)

        look = second_look(pl.String(), bare(judge, noun, grammar), lambda canonical: canonical)
        return look(texts)

    return careful


def looked_at(element: Check, texts: list[str]) -> dict[str, tuple[Part | None, Verdict]]:
    """What the element's check says of each text."""
    looked = element.careful(pl.Series("text", texts, dtype=pl.String))
    canonical = to_text(looked.select("value")).to_series()
    rows = looked.select("value", "code", "reason", "change").iter_rows()
    return {
        text: (
            None if written is None else Part(value, written),
            Verdict(code=code, reason=reason, change=change),
        )
        for text, written, (value, code, reason, change) in zip(texts, canonical, rows, strict=True)
    }


def _whole(literal: Literal, known: dict[str, tuple[Part | None, Verdict]]) -> Verdict:
    parts: list[Part] = []
    change = None
    for text, name in zip(literal.parts, literal.named, strict=True):
        part, verdict = known[text]
        if part is None:
            reason = FOREIGN.sub("", verdict.reason or "is NULL")
            return Verdict(code=verdict.code, reason=f"{name}: {reason}")
        parts.append(part)
        change = change or verdict.change
    whole = literal.write(parts)
    return replace(whole, change=change) if whole.code is None else whole
