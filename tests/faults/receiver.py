"""A receiver of webhooks in a process of its own, told to die at a commit or not. Run by tests.

No production code knows of it: it hands the receiver connections of its own. Its argument is a JSON
object with `url` and, to die, `die_at` (`before` or `after`), `commit` (the number of the commit on
a connection, from 1; the first provides the days) and `marker` (a file that proves that it came so
far). It says its port in the first line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psycopg

from penstock.events.sources import WebhookSource
from penstock.events.staging import source_id
from penstock.events.webhooks.app import Receiver, Receiving
from penstock.events.webhooks.batching import GroupCommit
from penstock.events.webhooks.limits import Limits
from penstock.events.webhooks.schemes import STANDARD
from penstock.events.webhooks.server import listen, serve
from tests.fixtures.webhooks import PARTNER

ORDER = json.loads(sys.argv[1])


class Dying(psycopg.Connection[Any]):
    """Kills its process at a commit."""

    commits = 0

    def commit(self) -> None:
        self.commits += 1
        here = self.commits == ORDER.get("commit")
        if here and ORDER["die_at"] == "before":
            die()
        super().commit()
        if here:
            die()


def die() -> None:
    Path(ORDER["marker"]).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    with psycopg.connect(ORDER["url"], autocommit=True) as connection:
        number = source_id(connection, "shop_events", "partner")
    partner = Receiving(
        number=number,
        scheme=STANDARD,
        secrets=(PARTNER,),
        tolerance=300.0,
        identified=WebhookSource(name="partner", secret="partner.secret"),
        max_bytes=1 << 20,
        into=GroupCommit(connect=lambda: Dying.connect(ORDER["url"]), say=print),
    )
    at = listen("127.0.0.1", 0)
    sys.stdout.write(f"{at.getsockname()[1]}\n")
    sys.stdout.flush()
    serve(Receiver(sources={"partner": partner}, limits=Limits(), say=print), at)


if __name__ == "__main__":
    main()
