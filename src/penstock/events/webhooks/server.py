"""The receiver as a process: its socket, its start and its stop. Not for: answers (`app`)."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from penstock.errors import ConnectorError
from penstock.events.webhooks.app import Receiver, application
from penstock.events.webhooks.protocol import LimitedConfig

#: Connections that the system keeps until they are accepted.
_BACKLOG = 2048
#: Seconds after which the thread that answers makes way for the one that writes, which asks for it
#: some thirty times in each commit. Python's default, 5 ms, costs a third of the throughput.
_SWITCH = 0.0005
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Ends when it is told to, after what was begun; told twice, at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals stop the server, and then are done with: uvicorn would raise them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in _STOPS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop accepting, answer what was begun, and end."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True


def listen(host: str, port: int) -> socket.socket:
    """A socket that senders reach.

    Args:
        host: An address of this machine; `::` and `0.0.0.0` for all.
        port: 0: any that is free.

    Raises:
        ConnectorError: The address is not of this machine, or taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        number = error.errno or 0  # below 0 where the name is not known
        said = os.strerror(number) if number > 0 else error.strerror
        raise ConnectorError(
            f"Could not listen on {host}:{port}: {said}. Choose another by --port or --host."
        ) from None


def serve(receiver: Receiver, at: socket.socket) -> None:
    """Receive until a signal stops it. What was begun is written and answered first.

    Args:
        receiver: What is received.
        at: As `listen` gives it; it is closed in the end.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        with at:
            server_of(receiver).run(sockets=[at])
    finally:
        sys.setswitchinterval(before)


def server_of(receiver: Receiver) -> Server:
    """A server that is not yet run."""
    return Server(LimitedConfig(application(receiver), receiver.limits))
