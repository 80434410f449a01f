"""Making the data folder of a new cluster. Not for starting the server on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from penstock.errors import TargetError
from penstock.postgres.embedded.account import Account, hand_over, run
from penstock.postgres.embedded.binaries import Binaries
from penstock.postgres.embedded.places import account_folder

#: Not `penstock`: tables made by a role of the ledger's name would land in the ledger's schema,
#: for `"$user"` comes first in the search path.
SUPERUSER = "postgres"
_INITDB = (
    "--auth-local=scram-sha-256",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
)


def make_data(data: Path, password: str, programs: Binaries, account: Account) -> None:
    """Make the data folder under a draft name, so that a killed start leaves no half of one.

    Raises:
        TargetError: initdb failed; the message ends with what it said.
    """
    draft = data.with_name("data.draft")
    shutil.rmtree(draft, ignore_errors=True)
    account_folder(draft, account)
    handle, secret = tempfile.mkstemp(prefix="initdb.", dir=data.parent)  # 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(password + "\n")
            stream.flush()
            hand_over(handle, account)
        named = ["-D", str(draft), "-U", SUPERUSER, f"--pwfile={secret}"]
        made = run(account, [programs.tool("initdb"), *named, *_INITDB])
    finally:
        Path(secret).unlink()
    if made.returncode != 0:
        raise TargetError(f"initdb failed in {draft}. It said:\n{made.stdout.strip()}")
    first = files("penstock.postgres.embedded").joinpath("new_cluster.sql")
    typed = run(
        account,
        [programs.tool("postgres"), "--single", "-D", draft, "postgres"],
        typed=first.read_text(encoding="utf-8"),
    )
    # The single-user server goes on after an error, and ends with success.
    if typed.returncode != 0 or "ERROR:" in typed.stdout:
        raise TargetError(f"The new cluster took no database. It said:\n{typed.stdout.strip()}")
    draft.rename(data)
