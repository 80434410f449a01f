"""The flow of this project: python main.py."""

from config import env
from jobs import prices

from penstock import Etl


def flow(etl: Etl) -> None:
    """Which jobs, in which order."""
    etl.start()
    etl.fetch("supplier", "prices-*.xlsx")
    etl.run(prices)
    etl.backup()
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
