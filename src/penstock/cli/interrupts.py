"""What Ctrl-C and a service manager's stop do to the program. Not for: what became of a load.

While modules are imported the program ends at once: nothing was begun, and an exception raised
within an import may be swallowed there, or printed by whoever met it. Later they raise
KeyboardInterrupt, and the work says what became of it. Imports next to nothing, as it is the first
thing that is run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: What a shell answers for a program that Ctrl-C ended: 128 + SIGINT.
INTERRUPTED = 130
_STOPS = (signal.SIGINT, signal.SIGTERM)
_came: list[int] = []


def raise_later() -> None:
    """From now on they raise KeyboardInterrupt."""
    _take(_raise)


@contextmanager
def end_at_once(*, as_json: bool) -> Iterator[None]:
    """Inside, they end the process with one line.

    Args:
        as_json: True: with one object on standard output besides.
    """

    def end(number: int, frame: object) -> None:
        del number, frame
        tell("Interrupted: nothing was changed.", as_json=as_json)
        os._exit(INTERRUPTED)

    before = _take(end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def tell(message: str, *, as_json: bool) -> None:
    """Say it as every error is said, without an import."""
    os.write(2, f"Error: {message}\n".encode())
    if as_json:
        error = f'{{"code": "interrupted", "message": "{message}", "exit_code": {INTERRUPTED}}}'
        os.write(1, f'{{"error": {error}}}\n'.encode())


def asked_to_stop() -> bool:
    """True once one of them came: what the server then cancelled was cancelled by us."""
    return bool(_came)


def _raise(number: int, frame: object) -> None:
    del frame
    _came.append(number)
    raise KeyboardInterrupt


def _take(handler: Callable[[int, Any], None]) -> dict[signal.Signals, Any]:
    """Handle them so; gives how they were handled before, of those that are not ignored."""
    before = {}
    for one in _STOPS:
        now = signal.getsignal(one)
        if now is signal.SIG_IGN:
            continue  # as nohup and a shell's background jobs want it
        try:
            signal.signal(one, handler)
        except ValueError:
            break  # another thread than the main one, which has the signals
        before[one] = now
    return before
