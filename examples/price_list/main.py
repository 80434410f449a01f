"""The flow of this project: python main.py"""

from penstock import Etl

from config import env
from jobs import prices


def flow(etl: Etl) -> None:
    etl.start()
    etl.fetch("supplier", "prices-*.xlsx")
    etl.run(prices)
    etl.backup()
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
