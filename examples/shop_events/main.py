"""The daily flow of this project: python main.py."""

from config import env
from jobs import sessions

from penstock import Etl


def flow(etl: Etl) -> None:
    """Which jobs, in which order."""
    etl.start()
    etl.run(sessions)
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
