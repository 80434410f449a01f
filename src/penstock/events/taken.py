"""What came of an intake. Not for: taking (`drops`, `polling`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.events.encrypting import Cipher
from penstock.events.staging import Staged

#: Events of one commit at the most, and about their bytes.
CHUNK, CHUNK_BYTES = 50_000, 32 << 20
#: Called with the name of each step that was done.
OnStep = Callable[[str], None]


def unobserved(step: str) -> None:
    """Nobody looks."""
    del step


@dataclass(slots=True)
class Taken:
    """What one intake of a source has done: `received = staged + repeated`.

    Attributes:
        received: Events that were read.
        staged: Of them, new ones.
        repeated: Of them, those that had been received before.
        files: Files that were taken to their end.
        known: Files whose content had been taken before.
        waiting: Files that somebody was still writing; the next intake looks again.
        pages: Pages of an API that were read.
        busy: Another process is taking from it, and this one has taken nothing.
        problems: What could not be taken, and why; the rest was.
        notes: What a person should know.
    """

    received: int = 0
    staged: int = 0
    repeated: int = 0
    files: int = 0
    known: int = 0
    waiting: int = 0
    pages: int = 0
    busy: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, staged: Staged) -> None:
        """Count what was committed."""
        self.received += staged.staged + staged.repeated
        self.staged += staged.staged
        self.repeated += staged.repeated

    def note_paths(self, cipher: Cipher | None) -> None:
        """Say which of the paths that are to be encrypted no event had that was received."""
        for path in cipher.not_met() if cipher is not None and self.received else ():
            self.notes.append(f"encrypt: none of {self.received:,} events has {path}")
