"""hstore: `"key"=>"value"` pairs, no key twice. Not for: JSON objects (`jsons`).

PostgreSQL keeps one of two equal keys and forgets the others; that is refused here.
"""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import (
    BLANKS,
    Check,
    Verdict,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

_TEXT = r'"(?:[^"\\]|\\.)*"|[\w.:+/@%-]+'
_PAIR = re.compile(rf"(?P<key>{_TEXT})\s*=>\s*(?:{_TEXT})\s*(?P<more>,\s*|$)", re.S)
_ESCAPE = re.compile(r"\\(.)", re.S)


def hstore_check(column: Column, grammar: Grammar) -> Check:
    """Pairs with a comma between them; a text without quotes has letters, digits and `.:+/@%_-`.

    The empty text is the empty hstore, unless `grammar.empty` makes it NULL.
    """
    raw = pl.col(column.name)
    careful = second_look(pl.String(), _judge, lambda canonical: canonical)
    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


def _judge(text: str) -> Verdict:
    stripped = text.strip(BLANKS)
    seen: set[str] = set()
    place = 0
    more = bool(stripped)
    while more:
        match = _PAIR.match(stripped, place)
        if match is None:
            reason = f'{shown(text)} is not written as "key"=>"value", …'
            return refuse("22P02", reason + null_hint(text))
        key = match["key"]
        if key.startswith('"'):
            key = _ESCAPE.sub(r"\1", key[1:-1])
        if key in seen:
            return refuse("duplicate_key", f"the key {shown(key)} stands twice, hstore keeps one")
        seen.add(key)
        place, more = match.end(), match["more"] != ""
    return Verdict(stripped)
