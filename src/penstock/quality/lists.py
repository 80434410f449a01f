"""Checks as they are listed for a pipeline or a load. Not for: one of them (`declared`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from penstock.errors import UsageError
from penstock.quality.declared import ON_ROWS, Check


def checked_list(given: Any, what: str) -> tuple[Check, ...]:
    """Checks as they are declared for a pipeline or a load.

    Args:
        given: What was given.
        what: For messages: `Pipeline shop: checks`.

    Raises:
        UsageError: Something else is among them, or two have one name.
    """
    if isinstance(given, Check) or not isinstance(given, Collection) or isinstance(given, str):
        raise UsageError(f"{what}: give a list of checks, such as [quality.not_null('email')]")
    found = tuple(given)
    for one in found:
        if not isinstance(one, Check):
            raise UsageError(f"{what}: {one!r} is no check of penstock.quality")
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{what}: two checks are called {', '.join(twice)}: give them a name=")
    return found


def of_load(given: Any) -> tuple[Check, ...]:
    """Checks of one load, which are all tried on its rows.

    Raises:
        UsageError: As `checked_list`; or one of them is about tables.
    """
    found = checked_list(given, "quality")
    for one in found:
        if not one.on_rows:
            raise UsageError(
                f"quality {one.name}: {one.kind} is about a whole table, and not about the rows of "
                "a load: declare it for a pipeline (checks=), where penstock check tries it. A "
                f"load tries {', '.join(ON_ROWS)}."
            )
    return found
