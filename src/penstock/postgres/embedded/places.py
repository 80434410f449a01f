"""Folders that a cluster makes for itself, where its own will not do.

Two needs: data that the server's account can reach although the project lies under a closed
folder, and a path short enough for a unix socket. Each is a new private folder; no existing
folder is reused on trust, and the rights of none are changed.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import tempfile
from pathlib import Path

from penstock.errors import TargetError
from penstock.postgres.embedded.account import Account, can_enter, hand_over

# sockaddr_un holds 108 bytes with the closing zero: unix(7). PostgreSQL adds the file's name.
_SOCKET_PATH = 107
_SOCKET_FILE = "/.s.PGSQL.65535"
_ELSEWHERE = Path("/var/tmp")  # noqa: S108 - survives a restart; what we make there is private


def own_folder(folder: Path) -> None:
    """Make the cluster's folder: passable for the server's account, listed by nobody else."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if made:
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")  # it holds a password


def private_place(folder: Path) -> Path:
    """Make a private folder elsewhere for the cluster of `folder`, named after its path."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    for turn in itertools.count(1):
        place = _ELSEWHERE / (f"penstock-pg-{name}" + (f"-{turn}" if turn > 1 else ""))
        try:
            place.mkdir(0o700)
        except FileExistsError:  # left by an earlier project of this path, or not ours at all
            continue
        place.chmod(0o711)
        return place
    raise AssertionError("unreachable")


def check_place(place: Path) -> None:
    """Refuse a remembered place that is gone, or that someone else put there.

    Raises:
        TargetError: It is not a folder of ours.
    """
    try:
        seen = place.lstat()
    except FileNotFoundError:
        raise TargetError(
            f"{place} is gone, and with it the data of the embedded PostgreSQL of this folder. "
            "Remove the folder .penstock/pg to start anew."
        ) from None
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
        raise TargetError(f"{place} is not the folder that was made here: it has another owner.")


def account_folder(path: Path, account: Account) -> Path:
    """Make a folder that only the server's account may use."""
    if not path.exists():
        path.mkdir(0o700)
        hand_over(path, account)
    return path


def socket_folder(wanted: Path, remembered: str | None, account: Account) -> Path:
    """The folder of the unix socket: `wanted` if its path is short enough, else a private one.

    Raises:
        TargetError: No folder has a short enough path.
    """
    if _short(wanted) and can_enter(wanted.parent, account):
        return account_folder(wanted, account)
    if remembered is not None and _still_private(Path(remembered), account):
        return Path(remembered)
    for parent in (Path(tempfile.gettempdir()), _ELSEWHERE):
        if _short(parent / "penstock-xxxxxxxx") and can_enter(parent, account):
            made = Path(tempfile.mkdtemp(prefix="penstock-", dir=parent))  # 0700
            hand_over(made, account)
            return made
    raise TargetError("No folder for temporary files has a path short enough for a unix socket.")


def _short(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(_SOCKET_FILE) <= _SOCKET_PATH


def _still_private(folder: Path, account: Account) -> bool:
    """Whether a folder in the shared temporary folder is still the one made for the account."""
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(seen.st_mode)
        and seen.st_uid == account.uid
        and stat.S_IMODE(seen.st_mode) == 0o700
    )
