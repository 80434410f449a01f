"""The flow of this project: python main.py."""

from config import env
from jobs import orders

from penstock import Etl


def flow(etl: Etl) -> None:
    """Which jobs, in which order."""
    etl.start()
    etl.fetch("host", "orders*.dat")
    etl.run(orders)
    etl.backup()
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
