"""What is sent to another system, and what became of it. Not for: the books (`flow.sending`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from penstock.errors import ConnectorError

#: `sent`: the system said so, or was found to have it. `unchanged`: it has it already. `refused`:
#: it said no. `unknown`: nobody can say. `not_sent`: it was not tried.
Outcome = Literal["sent", "unchanged", "refused", "unknown", "not_sent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record on its way.

    Attributes:
        record: Field -> value, as JSON has it.
        key: By which the other system knows it; None where it has none.
    """

    record: Mapping[str, Any]
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What became of one record.

    Attributes:
        outcome: See `Outcome`.
        target_id: The id that the other system gave it; empty where it said none.
        code: An HTTP status, the system's own code or a rule name; empty where it was taken.
        reason: In plain words; empty where it was taken.
        created: True where the system said that it is new there.
    """

    outcome: Outcome
    target_id: str = ""
    code: str = ""
    reason: str = ""
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of several records.

    Attributes:
        responses: One for each record, in order.
        error: Why nothing more can be sent at all; None where it can.
    """

    responses: Sequence[Response]
    error: ConnectorError | None = None


class Writer(Protocol):
    """Sends records of one kind in one way.

    Attributes:
        size: Records that are sent together.
        key: The fields that a record is known by; empty where it has no key.
        repeatable: True where sending a record twice is the same as sending it once.
    """

    size: int
    key: tuple[str, ...]
    repeatable: bool

    def send(self, records: Sequence[Outgoing]) -> Answered:
        """Send at most `size` records, none of them with the key of another one."""
        ...

    def look_up(self, record: Outgoing) -> Response | None:
        """What the system has of a record that may have arrived; None where it is not there.

        The outcome is `sent` where it is there as it is here, else `unknown`.

        Raises:
            ConnectorError: The system cannot be asked.
        """
        ...
