"""HTTP/1.1 connections that give up on slow senders. Not for: what is answered (`app`).

uvicorn's protocol lets a sender take any time for the head of a request, and for a body that was
answered before it ended. Here both have an end, and connections that only wait make way for new
ones.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from penstock.events.webhooks.limits import Limits


class LimitedConfig(uvicorn.Config):
    """How the server is run, with the limits of its connections.

    Attributes:
        limits: See `Limits`.
        idle: Connections that have no request in work, the longest-waiting first.
    """

    def __init__(self, app: Any, limits: Limits) -> None:
        super().__init__(
            app,
            http=LimitedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="critical",  # it would quote what strangers send
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle_seconds,
            timeout_graceful_shutdown=limits.stop_seconds,
            h11_max_incomplete_event_size=limits.head,
        )
        self.limits = limits
        self.idle: dict[LimitedProtocol, None] = {}


class LimitedProtocol(H11Protocol):
    """A connection.

    Args:
        config: Of the server.
        server_state: What its connections share.
        app_state: Of the application.
        _loop: The event loop.
    """

    def __init__(
        self,
        config: LimitedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._idle = config.idle
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A sender came: the one that has waited longest makes way, where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections and self._idle:
            next(iter(self._idle)).give_up()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Bytes came, perhaps the rest of a head."""
        super().data_received(data)
        if self._is_working():
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()

    def on_response_complete(self) -> None:
        """All was answered; what is still sent of the body is thrown away, for a while."""
        super().on_response_complete()
        if not self._is_working() and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP, or too much of it."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # it was answered already
            return
        error = sys.exc_info()[1]  # why, which uvicorn does not hand on
        hint = getattr(error, "error_status_hint", 0)
        status = (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if hint == 431 else HTTPStatus.BAD_REQUEST
        )
        self._answer(status)

    def give_up(self) -> None:
        """Close it: no whole request came in time."""
        self._stop_waiting()
        if self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE:
            self._answer(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.abort()  # it sends on and on what was refused

    def _answer(self, status: HTTPStatus) -> None:
        body = f"{status.phrase.lower()}\n".encode()
        self.transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        self.transport.close()

    def _is_working(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._stop_waiting()
        self._idle[self] = None
        self._deadline = self.loop.call_later(self._limits.seconds, self.give_up)

    def _stop_waiting(self) -> None:
        self._idle.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
