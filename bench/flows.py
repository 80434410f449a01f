"""Flows against what they add something to: a bare load, `sftp`, COPY to COPY.

Not for: loads themselves (`contestants`, `modes`).
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import KEYED, Contestant, load_of, script
from bench.generate import PRODUCTS, Files
from bench.server import OWNER, Server

#: Bytes of the file that is fetched.
GIGABYTE = 1_000_000_000
_BLOCK = bytes(range(256)) * 4096
_CONFIG = """
import os

env = {
    "project": "bench",
    "drops": {"kind": "files", "folder": "data/import"},
    "warehouse": {"kind": "postgres", "url": os.environ["PENSTOCK_DSN"]},
    **%s,
    "dev": {},
}
"""
_MAIN = """
from penstock import Etl, Field, Map
from config import env

TRANSFORM = Map(
    {
        "sale_id": "sale_id", "sale_date": "sale_date", "customer_id": "customer_id",
        "product_id": "product_id", "units": Field("units", required=True),
        "discount": "discount", "revenue": "revenue", "cost": "cost", "margin": "margin",
    }
)


def products(job):
    rows = job.connect("drops").read("products.csv")
    job.connect("warehouse").load(rows, "products", mode="truncate")


def nothing(job):
    job.connect("drops").read("nothing*.csv")


def bare(job):
    copy(job, "fact_sales_bare")


def keyed(job):
    copy(job, "fact_sales")


def copy(job, table):
    warehouse = job.connect("warehouse")
    rows = warehouse.read("select * from fact_sales_source")
    warehouse.load(rows, table, TRANSFORM, mode="truncate")


def flow(etl):
    etl.start()
    %s
    etl.end()


if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
"""


@dataclass(frozen=True)
class Sftp:
    """A server with the file.

    Attributes:
        port: Where it listens.
        key: File of the client's key.
        known_hosts: File with the server's.
    """

    port: int
    key: Path
    known_hosts: Path


@contextmanager
def sftp_server(server: Server) -> Iterator[Sftp]:
    """A process of its own that serves a file of a gigabyte."""
    folder = server.folder / "sftp"
    (folder / "out").mkdir(parents=True)
    with (folder / "out" / "big.bin").open("wb") as file:
        for _ in range(GIGABYTE // len(_BLOCK)):
            file.write(_BLOCK)
        file.write(_BLOCK[: GIGABYTE % len(_BLOCK)])
    for name in ("host", "client"):
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(command, check=True)
    process = subprocess.Popen(
        script("sftp_server", str(folder), str(folder / "host"), str(folder / "client.pub")),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101  it was asked for
        port = int(process.stdout.readline())
        kind, key, *_ = (folder / "host.pub").read_text(encoding="utf-8").split()
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {kind} {key}\n", encoding="utf-8")
        yield Sftp(port, folder / "client", known)
    finally:
        process.terminate()
        process.wait()


def flows(server: Server, files: Files, rows: int, sftp: Sftp) -> list[Contestant]:
    """The contestants of the group.

    Args:
        server: In whose folder the projects are made.
        files: The generated files.
        rows: Of the sales, which `fact_sales_source` holds.
        sftp: Where the file is fetched from.
    """
    drops = {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": sftp.port,
        "user": "bench",
        "key": str(sftp.key),
        "known_hosts": str(sftp.known_hosts),
        "complete": "name",
    }
    few = _project(server, "few", {}, "etl.run(products)")
    (few / "data" / "import" / "products.csv").write_bytes(files.products.read_bytes())
    copies = _project(server, "copies", {}, "etl.run(bare)")
    keyed = _project(server, "keyed", {}, "etl.run(keyed)")
    idle = _project(server, "idle", {}, "etl.run(nothing)")
    fetches = _project(server, "fetches", {"far": drops}, 'etl.fetch("far", "/out/big.bin")')
    here = server.folder / "big.bin"
    ssh = f"-P {sftp.port} -i {sftp.key} -o UserKnownHostsFile={sftp.known_hosts} -q"
    psql = f"{shlex.quote(server.psql)} -X -q -v ON_ERROR_STOP=1"
    return [
        _one(
            "few-bare", "`penstock load` of 20 rows", load_of(files.products, "products"), few=True
        ),
        _one("few-flow", "a flow with that load", _run(few), few=True),
        _one("idle", "a flow with nothing to do", _run(idle)),
        _one(
            "copy-psql",
            "`psql` COPY TO, piped into COPY FROM, bare table",
            _shell(
                f"{psql} -c 'copy fact_sales_source to stdout' | "
                f"{psql} -c 'copy fact_sales_bare from stdin'"
            ),
            rows=rows,
            table="fact_sales_bare",
        ),
        _one(
            "copy-flow",
            "a job: read by query, map, truncate load of the same bare table",
            _run(copies),
            rows=rows,
            table="fact_sales_bare",
        ),
        _one(
            "copy-flow-keyed",
            "the same into the table with keys",
            _run(keyed),
            rows=rows,
            table=KEYED,
        ),
        _one(
            "sftp",
            "`sftp`: 1 GB",
            _shell(f"echo 'get /out/big.bin {here}' | sftp -b - {ssh} bench@127.0.0.1"),
            setup=_shell(f"rm -f {here}"),
        ),
        _one(
            "fetch",
            "`etl.fetch`: the same file, hashed, synced, booked",
            _run(fetches),
            setup=_shell(f"rm -f {fetches}/data/import/big.bin"),
        ),
    ]


def _one(
    name: str,
    says: str,
    command: tuple[str, ...],
    *,
    rows: int = 0,
    table: str = "",
    setup: tuple[str, ...] = (),
    few: bool = False,
) -> Contestant:
    return Contestant(
        name=name,
        group="flows",
        says=says,
        command=command,
        role=OWNER,
        rows=PRODUCTS if few else rows,
        table="products" if few else table,
        lands=PRODUCTS if few else rows,
        sales=rows,
        setup=setup,
    )


def _project(server: Server, name: str, more: Mapping[str, object], steps: str) -> Path:
    folder = server.folder / "flows" / name
    (folder / "data" / "import").mkdir(parents=True)
    (folder / "config.py").write_text(_CONFIG % repr(more), encoding="utf-8")
    (folder / "main.py").write_text(_MAIN % steps, encoding="utf-8")
    return folder


def _run(folder: Path) -> tuple[str, ...]:
    return _shell(f"cd {folder} && exec {sys.executable} main.py")


def _shell(line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", line)
