"""Runs a program to its end and says what it took. Not for: deciding which."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: `ru_maxrss` is in KiB on Linux (getrusage(2)).
_KIB = 1024


@dataclass(frozen=True)
class Took:
    """What a whole process took.

    Attributes:
        seconds: From its start to its end, by the wall clock.
        peak: Bytes of memory at the most, those of programs that it called included. Never less
            than what this process has, of which the new one is a copy for a moment.
        said: Its standard output.
    """

    seconds: float
    peak: int
    said: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Took:
    """Run it in the folder.

    Raises:
        RuntimeError: It failed; the message ends with what it said.
    """
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    said = out.read_text(encoding="utf-8", errors="replace")
    if process.returncode != 0:
        complaint = err.read_text(encoding="utf-8", errors="replace")[-4000:]
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{complaint}")
    return Took(seconds, usage.ru_maxrss * _KIB, said)
