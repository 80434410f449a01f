"""The whole example: the ERP system's files, the flow, the balance: python run.py."""

from __future__ import annotations

import sys
from pathlib import Path

from crm import Crm
from generate import generate

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import projects  # noqa: E402  beside the examples
from servers import Servers  # noqa: E402


def run() -> None:
    """Everything in turn."""
    url = projects.database(HERE, HERE / "sql" / "schema.sql")
    servers, crm = Servers(HERE / "servers"), Crm(HERE / "servers" / "crm.json")
    try:
        generate(servers.out)
        before = servers.count
        projects.run(HERE, servers.variables | crm.variables)
        print(f"\nMails: {servers.count - before}")
        told = ", ".join(f"{len(records)} {name}" for name, records in crm.records.items())
        print(f"In the CRM: {told}\n")
    finally:
        servers.close()
        crm.close()
    projects.show(url)


if __name__ == "__main__":
    run()
