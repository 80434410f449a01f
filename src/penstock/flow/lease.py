"""One run of a flow at a time: its lease in the ledger, kept alive. Not for: what the run does."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from penstock.errors import TryAgain
from penstock.ledger import flows
from penstock.ledger.flows import FlowRun, Holder

#: Seconds between two signs of life.
_BEAT = flows.LEASE / 6
#: Seconds between two looks whether the flow is free.
_LOOK = 1.0


class Lease:
    """The right of a run to be the only one of its flow.

    Args:
        connect: Opens a connection in autocommit to the ledger.
        run: The run.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], run: FlowRun) -> None:
        self._connect = connect
        self._run = run
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def take(self, connection: psycopg.Connection[Any], wait: float) -> None:
        """Take it, and keep it alive.

        Args:
            connection: In autocommit.
            wait: Seconds to wait for another run that has it.

        Raises:
            TryAgain: Another run has it still.
        """
        until = time.monotonic() + wait
        while True:
            had = flows.holder(connection, self._run.flow)
            dead = had.run_id if had is not None and _is_dead(had) else None
            if flows.take(connection, self._run, dead):
                break
            if time.monotonic() >= until:
                who = "" if had is None else f" (run {had.run_id[:8]}, process {had.process} on "
                who += "" if had is None else f"{had.host}, since {had.since:%Y-%m-%d %H:%M})"
                raise TryAgain(
                    f"{self._run.flow} runs already{who}. Nothing was done. Wait for it, or set "
                    'env["wait"] to the seconds that a second run waits.',
                    code="locked",
                )
            time.sleep(min(_LOOK, max(0.0, until - time.monotonic())))
        self._thread = threading.Thread(target=self._keep, name="penstock-lease", daemon=True)
        self._thread.start()

    def give_back(self, connection: psycopg.Connection[Any]) -> None:
        """Let the next run have it."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        flows.give_back(connection, self._run)

    def _keep(self) -> None:
        while not self._over.wait(_BEAT):
            try:
                with self._connect() as connection:
                    self.lost = not flows.beat(connection, self._run)
            except Exception:  # noqa: BLE001, S112  the next beat may come through; the lease lasts
                continue


def _is_dead(had: Holder) -> bool:
    """True where the holder was a process of this machine, and is no more."""
    if had.host != platform.node():
        return False
    try:
        os.kill(had.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
