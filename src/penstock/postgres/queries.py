"""Named queries out of `.sql` files. Not for: built SQL, which goes through `psycopg.sql`.

A file holds queries, each begun by a line `-- name: what_it_is`; the comment lines after it say
why the query exists.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import LiteralString


@cache
def queries(package: str, file: str) -> dict[str, LiteralString]:
    """The queries of one `.sql` file by name.

    Args:
        package: The package whose folder holds the file, such as `penstock.postgres.sql`.
        file: The file's name.

    Raises:
        FileNotFoundError: The package has no such file.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for line in resources.files(package).joinpath(file).read_text("utf-8").splitlines():
        if line.startswith("-- name:"):
            name = line.removeprefix("-- name:").strip()
            found[name] = []
        elif name and not line.startswith("--"):
            found[name].append(line)
    # The files ship with the package: their text is as fixed as a literal.
    return {key: "\n".join(lines).strip() for key, lines in found.items()}
