"""uuid. Not for: telling versions apart."""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import (
    Check,
    Verdict,
    bare,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

_DASHED = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CANONICAL = f"^{_DASHED}$"
_FORMS = re.compile(rf"(?P<open>\{{)?(?P<digits>[0-9a-f]{{32}}|{_DASHED})(?(open)\}})", re.I)


def uuid_check(column: Column, grammar: Grammar) -> Check:
    """32 hexadecimal digits, plain or 8-4-4-4-12, in any case, also within braces.

    The value is the text in lower case with dashes, as PostgreSQL writes it.
    """
    raw = pl.col(column.name)

    def regular(text: pl.Expr) -> pl.Expr:
        low = text.str.to_lowercase()
        return pl.when(low.str.contains(_CANONICAL)).then(low)

    suspect = raw.is_not_null() & ~raw.str.contains(_CANONICAL)
    careful = second_look(
        pl.String(), bare(_judge, "a UUID", grammar), lambda canonical: canonical, regular
    )
    return Check(column, pl.String(), raw, suspect, careful)


def _judge(text: str) -> Verdict:
    match = _FORMS.fullmatch(text)
    if match is None:
        return refuse("22P02", f"{shown(text)} is not a UUID" + null_hint(text))
    digits = match["digits"].lower().replace("-", "")
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return Verdict("-".join(parts))
