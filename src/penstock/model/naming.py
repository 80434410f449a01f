"""When two names are one name. Not for: names as PostgreSQL quotes them (`postgres.names`)."""

from __future__ import annotations

import re

_INSIGNIFICANT = re.compile(r"[\s._-]+")


def plain_name(name: str) -> str:
    """A column name without what does not count: case, blanks, dots, dashes, underscores."""
    return _INSIGNIFICANT.sub("", name).casefold()
