"""What every connector is, and what a check of one tells. Not for: connectors themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from penstock.errors import PenstockError


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Attributes:
        what: What was tried: `connect`, `log in`, `list /out`, `write`.
        ok: True where it worked.
        says: What was found: a version, a count; or what went wrong, in one line.
        advice: What to do about it; empty where it worked.
    """

    what: str
    ok: bool
    says: str = ""
    advice: str = ""


@runtime_checkable
class Connector(Protocol):
    """A named, configured way to one outside system.

    Attributes:
        name: Its key in `env`.
    """

    name: str

    def check(self) -> Iterator[Check]:
        """Try what will be needed, one step after the other; the first that fails is the last.

        Raises nothing that belongs to the system: it says what was wrong.
        """
        ...

    def where(self) -> str:
        """What it leads to, for people, without secrets: `sftp://shop@host:22/out`."""
        ...

    def close(self) -> None:
        """Give back what it holds; it may be used again afterwards."""
        ...


Step = tuple[str, Callable[[], str]]


def tried(*steps: Step) -> Iterator[Check]:
    """Try steps until one fails.

    Args:
        *steps: What is tried, and what does it: gives what was found, or raises a PenstockError
            whose message says what is wrong and whose `advice` says what to do.
    """
    for what, step in steps:
        try:
            says = step()
        except PenstockError as error:
            yield Check(what, False, error.message, getattr(error, "advice", ""))
            return
        yield Check(what, True, says)


class Closing(AbstractContextManager["Closing"]):
    """`with` for connectors: closed at the end of the block."""

    def close(self) -> None:
        """Give back what is held."""

    def __exit__(self, *error: object) -> None:
        self.close()
