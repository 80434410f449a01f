"""The flow of this project: python main.py."""

from config import env
from jobs import companies, contacts, offers

from penstock import Etl


def flow(etl: Etl) -> None:
    """Which jobs, in which order."""
    etl.start()
    etl.fetch("erp", "*.csv")
    etl.run(companies, contacts)  # contacts need their companies: skipped where those failed
    etl.run(offers)  # independent of both
    etl.backup()
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
