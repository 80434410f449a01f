"""The flow of this project: python main.py -e test"""

from penstock import Etl

from config import env
from jobs import customers


def flow(etl: Etl) -> None:
    etl.start()
    etl.run(customers)
    etl.backup()
    etl.purge(days=30)
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
