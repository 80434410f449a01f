"""When a job that failed is tried again, and how long it waits. Not for: running it (`working`)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from penstock.errors import ConnectorError, PenstockError, UsageError
from penstock.model.result import LoadResult
from penstock.postgres.sqlstates import Kind, kind_of

#: Codes of `ConnectorError` for what may be over soon.
_CODES = ("connect", "lost", "timeout")
#: SQLSTATEs and classes that mean the same: the connection, conflicts with others, out of
#: resources, the server stops or starts, a lock was not to be had (appendix A of PostgreSQL).
_STATES = ("08", "40001", "40P01", "53", "55P03", "57P01", "57P02", "57P03")
#: Modes that do again what was done: rows would be there twice.
_REPEATING = ("append", "create")
#: Waits grow no longer than this, in seconds.
_LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often a job is tried again.

    Attributes:
        retries: After the first attempt.
        backoff: Seconds before the second attempt; it doubles with each further one.
    """

    retries: int = 0
    backoff: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or self.retries < 0:
            raise ValueError(f"retries must be a number from 0, not {self.retries!r}")
        if not isinstance(self.backoff, (int, float)) or self.backoff < 0:
            raise ValueError(f"backoff must be seconds, not {self.backoff!r}")

    def pauses(self) -> Iterator[float]:
        """Seconds before each further attempt, half to one and a half times what is due.

        Jobs that failed together are so not tried again together.
        """
        for number in range(self.retries):
            yield min(_LONGEST, self.backoff * 2**number) * random.uniform(0.5, 1.5)  # noqa: S311  no secret


def attempts_of(job: Any, name: str, env: Mapping[str, Any]) -> Attempts:
    """What a job says by `retries` and `backoff`, else `env`.

    Raises:
        UsageError: They are no numbers.
    """
    said = {key: env[key] for key in ("retries", "backoff") if key in env}
    said |= {key: getattr(job, key) for key in ("retries", "backoff") if hasattr(job, key)}
    try:
        return replace(Attempts(), **said)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def is_transient(error: BaseException) -> bool:
    """True for what may be over soon, with nothing changed; never for data or wrong use."""
    if isinstance(error, UsageError):
        return False
    if isinstance(error, ConnectorError) and error.code in _CODES:
        return True
    if isinstance(error, PenstockError):
        return error.retryable or _is_state(error.code)
    if isinstance(error, psycopg.Error):
        if error.sqlstate is None:
            return kind_of(error) is Kind.TRANSIENT
        return _is_state(error.sqlstate)
    return isinstance(error, (ConnectionError, TimeoutError))


def is_repeatable(done: Iterable[LoadResult]) -> bool:
    """True where a job that has done this may begin anew: nothing of it would be there twice."""
    return not any(
        one.mode in _REPEATING and one.inserted + one.updated and not one.dry_run for one in done
    )


def _is_state(code: str) -> bool:
    return len(code) == 5 and code.startswith(_STATES)
