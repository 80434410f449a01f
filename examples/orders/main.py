"""The flow of this project: python main.py"""

from penstock import Etl

from config import env
from jobs import orders


def flow(etl: Etl) -> None:
    etl.start()
    etl.fetch("host", "orders*.dat")
    etl.run(orders)
    etl.backup()
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
