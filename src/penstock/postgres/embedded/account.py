"""Which account of the operating system runs the server, and what that account can reach.

PostgreSQL refuses to run as root; root therefore hands the server to `nobody`, or to the account
named by PENSTOCK_PG_OSUSER. Accounts are only looked up here: none is made, and the rights of no
folder are changed to suit one. Not for roles of the database.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import TargetError, UsageError

VARIABLE = "PENSTOCK_PG_OSUSER"
# What a server needs. Everything else in our environment may be a secret, and any user of the
# server can read the server's environment (COPY ... FROM PROGRAM 'env').
_KEPT_VARIABLES = ("PATH", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Account:
    """The account under which the server and its tools run.

    Attributes:
        name: Its name in the password file.
        uid: Its user id.
        gid: Its primary group id.
        switched: True when we are root and the account is another one.
    """

    name: str
    uid: int
    gid: int
    switched: bool


def server_account(data: Path) -> Account:
    """Choose the account: the owner of existing data, else by PENSTOCK_PG_OSUSER, else oneself.

    Args:
        data: The data folder; it need not exist.

    Raises:
        UsageError: PENSTOCK_PG_OSUSER names no account, or root.
        TargetError: The account has no entry in the password file.
    """
    if os.geteuid() != 0:
        return _by_id(os.geteuid(), switched=False)
    if data.exists() and data.stat().st_uid != 0:
        return _by_id(data.stat().st_uid, switched=True)
    name = os.environ.get(VARIABLE) or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(
            f"There is no account {name!r} here to run the embedded PostgreSQL (it refuses root). "
            f"Set {VARIABLE} to an existing account that is not root."
        ) from None
    if entry.pw_uid == 0:
        raise UsageError(
            f"{VARIABLE} is {name!r}, but PostgreSQL refuses to run as root. "
            "Name an ordinary account, or unset it for 'nobody'."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switched=True)


def _by_id(uid: int, *, switched: bool) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise TargetError(
            f"User id {uid} has no entry in the password file, and PostgreSQL does not start "
            "without one. Add the entry, or run as an account that has one."
        ) from None
    return Account(entry.pw_name, uid, entry.pw_gid, switched=switched)


def can_enter(folder: Path, account: Account) -> bool:
    """Whether the account may pass through the folder and all its parents.

    Judged by the permission bits (root cannot ask the kernel for someone else). True for oneself.
    """
    if not account.switched:
        return True
    real = folder.resolve()
    return all(_may_pass(place.stat(), account) for place in (real, *real.parents))


def _may_pass(seen: os.stat_result, account: Account) -> bool:
    if seen.st_uid == account.uid:
        return bool(seen.st_mode & 0o100)
    if seen.st_gid == account.gid:
        return bool(seen.st_mode & 0o010)
    return bool(seen.st_mode & 0o001)


def hand_over(path: Path | int, account: Account) -> None:
    """Give a file or folder of ours (or an open file) to the account."""
    if account.switched:
        os.chown(path, account.uid, account.gid)


def leave_to_owner(handle: int, folder: Path) -> None:
    """Give an open file of ours to the folder's owner: root at work in a user's project."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def run(
    account: Account,
    command: Sequence[str | Path],
    *,
    typed: str = "",
    log: int | None = None,
    data: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a tool of PostgreSQL as the account, in English, without our environment.

    Args:
        account: Who runs it.
        command: The program and its arguments; no shell is involved.
        typed: What the program reads from its standard input.
        log: An open file for its output; without one the output is in the answer.
        data: The data folder, passed as PGDATA.

    Raises:
        OSError: The program cannot be started by this account.
    """
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment |= {"LC_ALL": "C.UTF-8"}
    if data is not None:
        environment["PGDATA"] = str(data)
    return subprocess.run(
        [str(part) for part in command],
        input=typed,
        stdout=subprocess.PIPE if log is None else log,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd="/",  # ours may be closed to the account
        env=environment,
        user=account.uid if account.switched else None,
        group=account.gid if account.switched else None,
        extra_groups=[] if account.switched else None,
    )
