"""Which errors are tried again, and how long that waits."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest
from psycopg import errors

from penstock.errors import (
    BudgetExceeded,
    ConnectorError,
    LoadError,
    PenstockError,
    SourceError,
    TryAgain,
    UsageError,
)
from penstock.flow.attempts import Attempts, attempts_of, is_repeatable, is_transient
from penstock.model.result import LoadResult


@pytest.mark.parametrize(
    "error",
    [
        TryAgain("locked"),
        *(ConnectorError("x", code=code) for code in ("connect", "lost", "timeout")),
        *(ConnectorError("x", code=code) for code in ("08006", "57P03", "53300")),
        *(LoadError("x", code=code) for code in ("40001", "40P01", "55P03", "57P01", "57P02")),
        psycopg.OperationalError("server closed the connection unexpectedly"),
        errors.SerializationFailure("x"),
        errors.DeadlockDetected("x"),
        errors.AdminShutdown("x"),
        errors.TooManyConnections("x"),
        errors.LockNotAvailable("x"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_may_be_over_soon_is_tried_again(error: BaseException) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("x", code="40001"),
        *(ConnectorError("x", code=code) for code in ("login", "certificate", "28P01", "")),
        BudgetExceeded("too many"),
        SourceError("x", code="columns"),
        PenstockError("x", code="23505"),
        PenstockError("x", code="08"),
        errors.UniqueViolation("x"),
        errors.InvalidTextRepresentation("x"),
        errors.QueryCanceled("x"),
        psycopg.ProgrammingError("x"),
        ValueError("connect"),
        FileNotFoundError(),
    ],
    ids=repr,
)
def test_data_and_wrong_use_are_not(error: BaseException) -> None:
    assert not is_transient(error)


def test_waits_double_and_vary_by_half() -> None:
    found = [list(Attempts(4, 2.0).pauses()) for _ in range(200)]
    for place, due in enumerate((2.0, 4.0, 8.0, 16.0)):
        waits = [one[place] for one in found]
        assert due / 2 <= min(waits) < due < max(waits) <= due * 1.5
    assert list(Attempts().pauses()) == []
    assert max(Attempts(30, 60).pauses()) <= 450


def test_a_job_says_more_than_the_settings() -> None:
    env = {"retries": 2, "backoff": 0.5}
    assert attempts_of(SimpleNamespace(), "a", {}) == Attempts(0, 1.0)
    assert attempts_of(SimpleNamespace(), "a", env) == Attempts(2, 0.5)
    assert attempts_of(SimpleNamespace(retries=5), "a", env) == Attempts(5, 0.5)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"retries": -1}, "a: retries must be a number from 0, not -1"),
        ({"retries": "2"}, "a: retries must be a number from 0, not '2'"),
        ({"retries": True}, "a: retries must be a number from 0, not True"),
        ({"backoff": -0.1}, "a: backoff must be seconds, not -0.1"),
        ({"backoff": "1s"}, "a: backoff must be seconds, not '1s'"),
    ],
)
def test_wrong_numbers_are_wrong_use(said: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        attempts_of(SimpleNamespace(), "a", said)
    assert caught.value.message == why


@pytest.mark.parametrize(
    ("mode", "inserted", "dry_run", "repeatable"),
    [
        ("append", 1, False, False),
        ("create", 1, False, False),
        ("append", 0, False, True),
        ("append", 1, True, True),
        ("upsert", 1, False, True),
        ("truncate", 1, False, True),
    ],
)
def test_what_would_be_there_twice_is_not_begun_anew(
    mode: str, inserted: int, dry_run: bool, repeatable: bool
) -> None:
    done = LoadResult(
        run_id="", load_id="", target="", table="t", mode=mode, read=1, inserted=inserted,
        dry_run=dry_run,
    )  # fmt: skip
    assert is_repeatable([done]) is repeatable
    assert is_repeatable([])
