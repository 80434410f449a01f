"""Writes the table of the checker's rules into docs/howto/change-a-table.md. Not for: the rules."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.postgres.revisions.rules import RULES, Rule

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "change-a-table.md"
_TABLE = re.compile(r"(?<=\| rule \| said of \|\n\|---\|---\|\n).*?(?=\n\n)", re.S)


def page() -> str:
    """The whole page, with the table as the rules are."""
    rows = "\n".join(_row(name, rule) for name, rule in RULES.items())
    return _TABLE.sub(lambda _: rows, PAGE.read_text(encoding="utf-8"))


def _row(name: str, rule: Rule) -> str:
    told = {"column": "the column", "detail": "...", "table": "the table"}
    size = "any size" if rule.always else "not empty" if rule.breaks else "big"
    text = f"{rule.what.format(**told)}. {rule.instead.format(**told)}"
    return f"| `{name}` | {size}: {text} |"
