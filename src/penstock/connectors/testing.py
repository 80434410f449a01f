"""Tries every connector of an environment, one after the other. Not for: one connector's steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.connectors.protocol import Check, Connector


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of one connector.

    Attributes:
        connector: Its key in `env`.
        where: What it leads to.
        check: What was tried, and what came of it.
        seconds: That it took.
    """

    connector: str
    where: str
    check: Check
    seconds: float


def try_all(connectors: Mapping[str, Connector]) -> Iterator[Tried]:
    """Try each with what it will really need; one that fails does not keep the others from it."""
    for name, one in connectors.items():
        began = time.perf_counter()
        try:
            for check in one.check():
                now = time.perf_counter()
                yield Tried(name, one.where(), check, now - began)
                began = now
        except Exception as error:  # noqa: BLE001  a connector of the project's own may raise anything
            said = f"{type(error).__name__}: {error}"
            failed = Check("check", False, said, "This is a fault of the connector itself.")
            yield Tried(name, type(one).__name__, failed, time.perf_counter() - began)
        finally:
            one.close()
