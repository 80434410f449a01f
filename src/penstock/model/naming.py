"""When two names are one name. Not for: names as PostgreSQL quotes them (`postgres.names`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from penstock.model.table import TableName

_INSIGNIFICANT = re.compile(r"[\s._-]+")


def plain_name(name: str) -> str:
    """A column name without what does not count: case, blanks, dots, dashes, underscores."""
    return _INSIGNIFICANT.sub("", name).casefold()


def link_label(key: Sequence[str], table: str) -> str:
    """The column by which people know the rows of a link that the table's own key stands for."""
    return f"{', '.join(key)} of {table}"


def is_link_label(name: str, table: TableName) -> bool:
    """Whether a column of a file is a `link_label` for this table."""
    return name.endswith((f" of {table.table}", f" of {table.schema}.{table.table}"))
