"""`--rejects FILE`: the rows that a load refused, as a file. Not for: how (`loading.export`)."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.model.result import LoadResult

#: Runs that may have begun on the same ledger since ours did.
_LATEST = 200


def check(path: str, *, ledger: bool, dry_run: bool) -> None:
    """Can this load's rejects be written there? Asked before the load.

    Raises:
        UsageError: They cannot, or the load keeps none.
    """
    from penstock.loading.export import check_path

    if not ledger or dry_run:
        odd = "--dry-run" if dry_run else "--no-ledger"
        raise UsageError(f"--rejects writes what the ledger keeps: it does not go with {odd}.")
    check_path(path)


def after_load(dsn: str, path: str, results: Sequence[LoadResult]) -> str:
    """Write what a load refused; gives what to say of it.

    Raises:
        PenstockError: The file cannot be written, or the server does not answer.
    """
    from penstock.ledger.quarantine import Selection
    from penstock.loading.export import export_rejects
    from penstock.postgres.connection import connect

    loads = tuple(result.load_id for result in results)
    with connect(dsn) as connection:
        rows = export_rejects(connection, path, Selection(loads=loads, statuses=("waiting",)))
    return _told(rows, path)


def after_failure(dsn: str, path: str) -> str:
    """Write what the failed load of this process refused; gives what to say of it.

    Nothing is written where it refused none, or came to no load.

    Raises:
        PenstockError: The file cannot be written, or the server does not answer.
    """
    from penstock.ledger import history
    from penstock.ledger.quarantine import Selection, number
    from penstock.loading.export import export_rejects
    from penstock.loading.spool import KEPT_AFTER_ROLLBACK
    from penstock.postgres.connection import connect

    own = (platform.node(), os.getpid())
    with connect(dsn) as connection:
        for past in history.runs(connection, _LATEST):  # the newest first
            if (past.host, past.process) == own:
                loads = tuple(load.load_id for load in history.loads(connection, past))
                what = Selection(loads=loads, statuses=("void",))
                if not number(connection, what):
                    return ""
                rows = export_rejects(connection, path, what)
                return f"{_told(rows, path)} (at most {KEPT_AFTER_ROLLBACK:,} of each reason)"
    return ""


def _told(rows: int, path: str) -> str:
    return f"{rows:,} refused {'row is' if rows == 1 else 'rows are'} in {path}"
