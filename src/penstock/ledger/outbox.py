"""Mails that wait to be sent, and what was mailed. Not for: writing or sending them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import psycopg

from penstock.errors import PenstockError
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "flows.sql")
_ERROR_LENGTH = 1000
#: Codes of errors by which other mails need not fare as this one did.
_OF_ONE_MAIL = ("smtp", "recipients")
#: Days of runs whose refused rows are still told by a later one.
_LOOKED_BACK = 30


def not_mailed(connection: psycopg.Connection[Any], load_id: str, flow: str, job: str) -> list[int]:
    """Rejects that a load met, that wait, and that nobody was mailed.

    With them come those that earlier runs of the job met in the same table, and were killed
    before they could tell.
    """
    said = {"load": load_id, "flow": flow, "job": job, "days": _LOOKED_BACK}
    return [int(row[0]) for row in connection.execute(_SQL["not_mailed"], said)]


def is_booked(connection: psycopg.Connection[Any], load_id: str) -> bool:
    """Whether this ledger has the load: its refused rows are here then."""
    return connection.execute(_SQL["is_booked"], {"load": load_id}).fetchone() is not None


def not_told(
    connection: psycopg.Connection[Any], flow: str
) -> list[tuple[str, str, str, str | None]]:
    """Loads whose refused rows a job caught, and whose run is over and has not mailed them.

    Each with its job, load, table, and who is to be told as the job said.
    """
    said = {"flow": flow, "days": _LOOKED_BACK}
    return connection.execute(_SQL["not_told"], said).fetchall()


def put(
    connection: psycopg.Connection[Any],
    run_id: str,
    kind: str,
    message: EmailMessage,
    rejects: Sequence[int] = (),
) -> None:
    """Put a mail into the outbox, and mark the rejects that it tells as mailed, in one transaction.

    Args:
        connection: In autocommit.
        run_id: The flow's run.
        kind: `failure`, `rejects`, `recovered` or `mail`.
        message: With recipients and a Message-ID, which stays the same however often it is sent.
        rejects: Those that it tells.
    """
    recipients = [str(one) for one in message["To"].addresses]
    with connection.transaction():
        connection.execute(
            _SQL["put_mail"],
            {
                "mail_id": str(uuid.uuid4()),
                "run_id": run_id,
                "kind": kind,
                "subject": holdable(connection, str(message["Subject"])),
                "recipients": recipients,
                "message": message.as_bytes(),
            },
        )
        if rejects:
            connection.execute(_SQL["mark_mailed"], {"ids": list(rejects), "to": recipients})


def mail_anew(
    connection: psycopg.Connection[Any], loads: Sequence[str]
) -> dict[tuple[str, ...], list[int]]:
    """Have what these loads refused again told again; to whom it was told -> rejects.

    What was told to nobody has an empty key.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for reject, to in connection.execute(_SQL["mail_anew"], {"loads": list(loads)}):
        found.setdefault(tuple(to or ()), []).append(reject)
    return {to: sorted(rejects) for to, rejects in found.items()}


def send_due(
    connection: psycopg.Connection[Any], send: Callable[[bytes, Sequence[str]], Sequence[str]]
) -> tuple[int, list[str]]:
    """Send what is due; what cannot be sent waits for the next time.

    Each mail is booked at once: a kill repeats at most the one that is on its way, and who has one
    does not get it again because another reader's address is wrong.

    Args:
        connection: In autocommit.
        send: Sends a message's bytes to these recipients; gives those who were refused, where
            others have it, and raises PenstockError where nobody has.

    Returns:
        Mails sent, and why others were not.
    """
    sent, problems, stop = 0, list[str](), False
    while not stop:
        with connection.transaction():
            due = connection.execute(_SQL["due_mail"]).fetchone()
            if due is None:
                break
            mail_id, message, recipients = due
            refused: Sequence[str] = recipients
            try:
                refused = send(bytes(message), recipients)
                problem = f"{', '.join(refused)} refused; the others have it" if refused else ""
            except PenstockError as error:
                problem, stop = error.message, error.code not in _OF_ONE_MAIL
            if problem:
                problems.append(problem)
                said = holdable(connection, problem)[:_ERROR_LENGTH]
                more = {"error": said, "recipients": list(refused)}
                connection.execute(_SQL["not_sent"], {"mail_id": mail_id, **more})
            else:
                connection.execute(_SQL["sent"], {"mail_id": mail_id})
                sent += 1
    return sent, problems


def open_incident(
    connection: psycopg.Connection[Any], flow: str, fingerprint: str, run_id: str
) -> tuple[int, datetime, bool]:
    """Book a problem: how often it came, since when, and whether it is to be told now."""
    said = {"flow": flow, "fingerprint": fingerprint, "run_id": run_id}
    row = connection.execute(_SQL["open_incident"], said).fetchone()
    assert row is not None  # noqa: S101  the statement returns its row
    return row[0], row[1], row[2]


def close_incidents(
    connection: psycopg.Connection[Any], flow: str
) -> list[tuple[str, datetime, int]]:
    """Close a flow's problems: fingerprint, since when, how often."""
    return connection.execute(_SQL["close_incidents"], {"flow": flow}).fetchall()
