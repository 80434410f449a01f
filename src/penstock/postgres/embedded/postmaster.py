"""Whether the server of a data folder is alive: the process, not what a file says about it.

`postmaster.pid` survives a kill and may name a process that is long gone, a zombie, or a
stranger. Not for starting or stopping.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The living main process of a server.

    Attributes:
        pid: Its process id.
        ready: True when it takes connections; False while it starts, recovers or stops.
    """

    pid: int
    ready: bool


def find_postmaster(data: Path) -> Postmaster | None:
    """The living server of this data folder, or None.

    Raises:
        PermissionError: The data folder belongs to another account.
    """
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Line 1 is the process, line 8 its state; both are written late: an unfinished file is a start.
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if not is_alive(pid, data):
        return None
    return Postmaster(pid, ready=len(lines) > 7 and lines[7].strip() == "ready")


def is_alive(pid: int, data: Path) -> bool:
    """Whether the process lives and works in this data folder (where /proc can tell)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # our server runs under our account, or we are root
    if not (_PROC / "self").exists():
        return True
    try:
        return (_PROC / str(pid) / "cwd").samefile(data)  # a zombie has none
    except PermissionError:  # root in a container without the right to look
        return _state(pid) not in ("Z", "X", "")
    except FileNotFoundError:
        return False


def _state(pid: int) -> str:
    """The state letter of a process as in proc(5); empty when it is gone."""
    try:
        said = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return said.rpartition(")")[2].split()[0]
