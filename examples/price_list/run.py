"""The whole example: October's list, November's, the mail, the correction: python run.py."""

from __future__ import annotations

import sys
from pathlib import Path

from generate import CORRECTIONS, lists, write

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import projects  # noqa: E402  beside the examples
from servers import Servers  # noqa: E402


def run() -> None:
    """Everything in turn."""
    url = projects.database(HERE, HERE / "sql" / "schema.sql")
    october, november = lists()
    servers = Servers(HERE / "servers")
    try:
        print("October's list")
        write(servers.out / "prices-2025-10.xlsx", "Preisliste Oktober 2025", october)
        projects.run(HERE, servers.variables)
        print("\nNovember's list")
        before = servers.count
        write(servers.out / "prices-2025-11.xlsx", "Preisliste November 2025", november)
        projects.run(HERE, servers.variables)
        print(f"\nMails to the pricing team: {servers.count - before}")
        for attached in sorted(servers.mails.glob(f"{before + 1}/*.xlsx")):
            corrections = HERE / "data" / "import" / "corrections"
            projects.correct(attached, corrections / "prices.xlsx", CORRECTIONS)
            print("They put the corrected file into data/import/corrections")
        projects.run(HERE, servers.variables)
    finally:
        servers.close()
    print()
    projects.show(url)


if __name__ == "__main__":
    run()
