"""Each thing that can be wrong with a connection fails `test-connections` for that reason.

The others are tried all the same: a folder is always the last one, and works.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from cryptography.fernet import Fernet
from psycopg import sql

from penstock.postgres.embedded import Cluster
from tests.fixtures.certificates import Authority
from tests.fixtures.flows import FlowFolder
from tests.fixtures.mail import Mailbox
from tests.integration.cli.program import penstock

Break = Callable[[FlowFolder, dict[str, str]], dict[str, Any]]
KEY = Fernet.generate_key()


class Encrypted(Controller):
    """A mail server that speaks TLS from the first byte."""

    def _trigger_server(self) -> None:
        """As aiosmtpd looks whether it listens; but no certificate is judged here."""
        socket.create_connection((self.hostname, self.port), 5).close()


def tried(folder: FlowFolder, broken: dict[str, Any], **variables: str) -> dict[str, Any]:
    """What was said of the broken connector; the other one was tried and works."""
    good = folder.env["drops"]
    env = {"project": "shop", "dev": {"broken": broken, "good": good}}
    folder.write("config.py", f"env = {env!r}\n")
    done = penstock(folder.path, "test-connections", "--json", **variables)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [one["ok"] for one in checks if one["connector"] == "good"] == [True]
    assert re.search(r"^FAIL  broken ", done.stderr, flags=re.M)
    (failed,) = [one for one in checks if not one["ok"]]
    assert failed["connector"] == "broken"
    for secret in ("geheim", "falsch"):
        assert secret not in done.stdout + done.stderr
    found: dict[str, Any] = failed
    return found


def parts(url: str, **more: Any) -> dict[str, Any]:
    there = urlsplit(url)
    return {
        "kind": "postgres",
        "host": there.hostname,
        "port": there.port,
        "database": there.path[1:],
        "user": there.username,
        "password": there.password,
        **more,
    }


def test_a_wrong_password(flow_folder: FlowFolder) -> None:
    failed = tried(flow_folder, parts(flow_folder.database.url, password="falsch"))
    assert failed["what"] == "connect and log in"
    assert "password authentication failed" in failed["says"]
    assert failed["advice"] == "Check user and password."


def test_a_role_that_may_only_read(flow_folder: FlowFolder) -> None:
    role = flow_folder.database.role("reader")
    with flow_folder.database.connect() as connection:
        connection.execute("create table customers (id int primary key)")
        grant = sql.SQL("grant select on customers to {}").format(sql.Identifier(role.name))
        connection.execute(grant)
    failed = tried(flow_folder, parts(role.url))
    assert failed["what"] == "rights of the role"
    assert failed["says"] == "the role may write to none of 1 tables"
    assert '"write": False' in failed["advice"]


def test_a_session_that_is_read_only(flow_folder: FlowFolder) -> None:
    role = flow_folder.database.role("reader", default_transaction_read_only="on")
    failed = tried(flow_folder, parts(role.url))
    assert "transaction_read_only is on" in failed["says"]


def test_a_source_needs_no_right_to_write(flow_folder: FlowFolder) -> None:
    role = flow_folder.database.role("reader", default_transaction_read_only="on")
    env = {"dev": {"erp": parts(role.url, write=False)}}
    flow_folder.write("config.py", f"env = {env!r}\n")
    assert penstock(flow_folder.path, "test-connections").returncode == 0


@pytest.mark.parametrize("fault", ["missing", "another", "altered", "cut"])
def test_a_key_that_does_not_fit(flow_folder: FlowFolder, fault: str) -> None:
    text = Fernet(KEY).encrypt(b"geheim").decode()
    if fault == "altered":
        text = f"{text[:40]}{'A' if text[40] != 'A' else 'B'}{text[41:]}"
    if fault == "cut":
        text = text[:-20]
    keys = {"missing": "", "another": Fernet.generate_key().decode()}
    variables = {"PENSTOCK_KEY": keys.get(fault, KEY.decode())}
    if fault == "missing":
        variables = {"PENSTOCK_KEY_FILE": str(flow_folder.path / "none.key")}
    broken = parts(flow_folder.database.url, password=f"enc:{text}")
    failed = tried(flow_folder, broken, **variables)
    assert failed["what"] == "settings"
    assert failed["says"].startswith("broken.password: ")
    assert "key" in failed["says"]
    assert text not in failed["says"]


def test_wrong_settings(flow_folder: FlowFolder) -> None:
    failed = tried(flow_folder, {"kind": "smtp", "hots": "x"})
    assert failed["what"] == "settings"
    assert "hots" in failed["says"]


def test_an_environment_that_is_not_there(flow_folder: FlowFolder) -> None:
    flow_folder.write("config.py", f"env = {flow_folder.env!r}\n")
    done = penstock(flow_folder.path, "test-connections", "-e", "prod")
    assert done.returncode == 2
    assert "There is no environment 'prod'; this project has dev" in done.stderr


@pytest.mark.parametrize("expired", [True, False])
def test_a_mail_server_with_an_expired_certificate(
    flow_folder: FlowFolder, tmp_path: Path, expired: bool
) -> None:
    authority, box = Authority(tmp_path), Mailbox()
    until = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    controller = Encrypted(
        box, hostname="127.0.0.1", port=box.port, ssl_context=authority.server("127.0.0.1", until)
    )
    controller.start()
    shutil.copy(authority.path, flow_folder.path / "ca.pem")
    settings = {**box.settings, "security": "tls", "ca_file": "ca.pem"}
    try:
        if expired:
            failed = tried(flow_folder, settings)
            assert "the certificate is not trusted: certificate has expired" in failed["says"]
            assert failed["advice"].startswith("Have it renewed")
            assert box.messages == []
        else:
            flow_folder.write("config.py", f"env = { ({'dev': {'mail': settings}})!r}\n")
            assert penstock(flow_folder.path, "test-connections").returncode == 0
            assert len(box.messages) == 1
    finally:
        controller.stop()


def test_a_database_with_an_expired_certificate(
    flow_folder: FlowFolder, session_folder: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    cluster = Cluster(session_folder / "tls", major=17)
    cluster.start()
    try:
        data = next(cluster.folder.rglob("PG_VERSION")).parent
        now = datetime.now(UTC)
        for days, works in ((-1, False), (1, True)):
            for path in authority.files("127.0.0.1", now + timedelta(days=days)):
                copy = data / path.name
                shutil.copy(path, copy)
                owner = (data / "PG_VERSION").stat()
                shutil.chown(copy, owner.st_uid, owner.st_gid)
                copy.chmod(0o600)
            cluster.stop()
            cluster.start(
                {"ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key"}
            )
            settings = parts(cluster.url, sslmode="verify-full", sslrootcert=str(authority.path))
            if works:
                flow_folder.write("config.py", f"env = { ({'dev': {'db': settings}})!r}\n")
                done = penstock(flow_folder.path, "test-connections")
                assert done.returncode == 0, done.stderr
                assert "TLS" in done.stderr
                assert "no TLS" not in done.stderr
            else:
                failed = tried(flow_folder, settings)
                assert "certificate" in failed["says"]
                assert failed["advice"].startswith("Have it renewed")
    finally:
        cluster.remove()
