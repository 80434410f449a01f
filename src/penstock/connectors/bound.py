"""Values of a query: `:name` in its text, handed over by the driver. Not for: running it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from penstock.errors import UsageError

#: The name that stands for how far a source was read.
SINCE = "since"


def bound(query: str, drivername: str) -> str:
    r"""The query with each `:name` as the driver writes it; `::type` and `\:` are left alone.

    Args:
        query: In SQLAlchemy's form.
        drivername: Such as `postgresql+psycopg`.
    """
    from sqlalchemy import text  # takes longer to import than a small flow to run

    return str(text(query).compile(dialect=_dialect(drivername)))


@cache
def _dialect(drivername: str) -> Any:
    from sqlalchemy.engine.url import make_url

    return make_url(f"{drivername}://").get_dialect()()


def values_of(query: str, since: Any, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values by their names.

    Args:
        query: In SQLAlchemy's form.
        since: The value of `:since`; used where the query has that name.
        params: The values of the others.

    Raises:
        UsageError: A name has no value, or a value has no name.
    """
    if not isinstance(query, str):
        raise UsageError(f"A database is read by a query, a text, not {type(query).__name__}")
    names = _names(query) if ":" in query else set()
    given = dict(params or {})
    if SINCE in given and since is not None:
        raise UsageError(f":{SINCE} is given twice, by since= and in params")
    if SINCE in names:
        given.setdefault(SINCE, since)
    elif since is not None:
        raise UsageError("since= is given, and the query has no :since: where changed > :since")
    if missing := sorted(names - set(given)):
        raise UsageError(
            f"The query needs a value for :{missing[0]}: params={{{missing[0]!r}: ...}}. "
            "A colon that begins no name is written \\:"
        )
    if unused := sorted(set(given) - names):
        name = unused[0]
        raise UsageError(f"params: the query has no :{name}; before :: write cast(:{name} as type)")
    return given


def _names(query: str) -> set[str]:
    from sqlalchemy import text

    return set(text(query).compile().params)
