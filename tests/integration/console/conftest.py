"""A console with users and refused rows, and browsers that keep cookies and nothing else."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest

from penstock import load_table
from penstock.console import access
from penstock.console.guarding import Console
from penstock.console.server import engine_for, server_of
from penstock.events.webhooks.server import listen
from tests.fixtures.postgres import Database

PASSWORDS = {"vic": "look but not touch", "ola": "put it right again", "ann": "everything there is"}
ROLES = {"vic": "viewer", "ola": "operator", "ann": "admin"}
_HASHES: dict[str, str] = {}
GOODS = """
create table goods (id int primary key, name text, price numeric(8,2));
create table others (id int primary key);
"""
#: Three rows are refused; one has a script in it, one what a spreadsheet takes for a formula.
FILE = (
    "id,name,price\n1,fine,1.50\n2,bolt,x\n3,<script>alert(1)</script>,y\n4,=cmd|' /C calc'!A0,z\n"
)


class Browser:
    """Somebody who looks at the console, until the test is over."""

    opened: ClassVar[list[httpx2.Client]] = []

    def __init__(self, address: str, name: str = "") -> None:
        self.client = httpx2.Client(base_url=address, follow_redirects=False, timeout=30)
        self.opened.append(self.client)
        if name:
            answer = self.sign_in(name, PASSWORDS[name])
            assert answer.status_code == 303, answer.text

    def sign_in(self, name: str, password: str, to: str = "/") -> httpx2.Response:
        given = {"name": name, "password": password, "next": to}
        return self.client.post("/sign-in", data=given)

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path)

    def token(self, path: str = "/") -> str:
        """The token of a page's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def post(self, path: str, **form: object) -> httpx2.Response:
        """Send a form as its page would."""
        return self.client.post(path, data={"csrf": self.token(), **form})


@pytest.fixture
def shop(ledger_database: Database, tmp_path: Path) -> Database:
    """A database with users, and three rows of goods that wait."""
    connection = ledger_database.connect()
    connection.execute(GOODS)
    for name, role in ROLES.items():
        if name not in _HASHES:  # it takes long, as it should
            access.put_user(connection, name, role, PASSWORDS[name])
            found = connection.execute(
                "select password_hash from penstock.users where user_name = %s", [name]
            ).fetchone()
            assert found is not None
            _HASHES[name] = found[0]
        else:
            connection.execute(
                "insert into penstock.users values (%s, %s, %s)", [name, role, _HASHES[name]]
            )
    path = tmp_path / "goods.csv"
    path.write_text(FILE, encoding="utf-8")
    result = load_table(ledger_database.engine(), path, "goods", max_rejects="all")
    assert (result.inserted, result.quarantined) == (1, 3)
    return ledger_database


@pytest.fixture
def address(shop: Database) -> Iterator[str]:
    """Where the console of this shop answers."""
    with engine_for(shop.url) as engine:
        server = server_of(Console(engine=engine, label="me@localhost:5432/shop"))
        at = listen("127.0.0.1", 0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at]}, daemon=True)
        thread.start()
        port = at.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield f"http://127.0.0.1:{port}"
        while Browser.opened:
            Browser.opened.pop().close()
        server.should_exit = True
        thread.join(10)
        at.close()
        assert not thread.is_alive()
