"""What a request may cost the receiver. Not for: what a source may send (`sources`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds within which the receiver stays whatever is sent to it.

    Attributes:
        connections: Open at once. When there are more, the one that has waited longest without a
            request is closed; half of the files that a process may usually have open.
        head: Bytes of a request's line and headers.
        headers: Their number.
        body: Bytes of a body where there is no source that says so.
        held: Bytes of bodies in memory; more are answered 503.
        seconds: Until a request must have been read: its head, and then its body.
        commit_seconds: Until a delivery must be durable, else its sender is to try again; GitHub
            waits 10 seconds for an answer, others 15 to 30.
        idle_seconds: That a connection is kept between two requests.
        stop_seconds: That a stop waits for what was begun.
    """

    connections: int = 500
    head: int = 16 << 10
    headers: int = 100
    body: int = 1 << 20
    held: int = 64 << 20
    seconds: float = 10.0
    commit_seconds: float = 8.0
    idle_seconds: int = 5
    stop_seconds: int = 20
