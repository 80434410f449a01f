"""Tries every connector of an environment, one after the other. Not for: one connector's steps."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.connectors.protocol import Check, Connector
from penstock.connectors.registry import connector, is_connector
from penstock.errors import PenstockError


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


def try_environment(
    environment: Mapping[str, Any], root: Path, problems: Sequence[str] = ()
) -> Iterator[Tried]:
    """Try each connector of an environment; those whose settings are wrong fail for that.

    Args:
        environment: The settings.
        root: The project's root.
        problems: What is wrong with values, each beginning with its dotted path.
    """
    wrong = set()
    for problem in problems:
        name = re.split(r"[.:\[ ]", problem, maxsplit=1)[0]
        wrong.add(name)
        yield Tried(name, "", Check("settings", False, problem), 0.0)
    for name, settings in environment.items():
        if name in wrong or not is_connector(settings):
            continue
        try:
            made = connector(name, settings, root)
        except PenstockError as error:
            yield Tried(name, "", Check("settings", False, error.message), 0.0)
            continue
        yield from try_all({name: made})


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
