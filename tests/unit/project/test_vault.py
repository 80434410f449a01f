"""Values of HashiCorp Vault, from a real HTTP server that speaks its KV version 2.

What it answers is as in Vault's own documentation of its HTTP API: `data.data` of a read, `errors`
with 403, 404 and 503 (sealed).
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from penstock.errors import UsageError
from penstock.model.secret import Secret
from penstock.project.environment import choose
from penstock.project.providers.vault import Vault
from tests.fixtures.certificates import Authority

TOKEN = "hvs.right"


class Server:
    """A Vault: paths -> data, and what it was asked."""

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self.secrets: dict[str, dict[str, object]] = {
            "kv/data/shop/prod": {"password": "s3cret", "port": 5432, "umlaut": "Übergröße"},
            "kv/data/with blank": {"a": "b"},
        }
        self.asked: list[tuple[str, str | None]] = []
        self.sealed = False
        self.body: bytes | None = None
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path).removeprefix("/v1/")
                vault.asked.append((path, self.headers.get("X-Vault-Namespace")))
                code, said = vault.answer(path, self.headers)
                body = json.dumps(said).encode() if vault.body is None else vault.body
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if trust is not None:
            self.http.socket = trust.wrap_socket(self.http.socket, server_side=True)
        scheme = "http" if trust is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def answer(self, path: str, headers: object) -> tuple[int, object]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers["X-Vault-Token"] != TOKEN or headers["X-Vault-Request"] != "true":  # type: ignore[index]
            return 403, {"errors": ["permission denied"]}
        if path not in self.secrets:
            return 404, {"errors": []}
        metadata = {"version": 3, "destroyed": False, "deletion_time": ""}
        return 200, {"data": {"data": self.secrets[path], "metadata": metadata}}

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("ADDR", "TOKEN", "TOKEN_FILE", "NAMESPACE", "CACERT"):
        monkeypatch.delenv(f"VAULT_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


@pytest.fixture
def server(clean: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server(None)
    clean.setenv("VAULT_ADDR", one.address + "/")
    clean.setenv("VAULT_TOKEN", TOKEN)
    yield one
    one.close()


def test_a_value_is_fetched_and_each_path_is_read_once(
    server: Server, clean: pytest.MonkeyPatch
) -> None:
    clean.setenv("VAULT_NAMESPACE", "team")
    vault = Vault()
    assert vault.fetch("kv/shop/prod#password") == "s3cret"
    assert vault.fetch("kv/shop/prod#port") == "5432"
    assert vault.fetch("kv/shop/prod#umlaut") == "Übergröße"
    assert vault.fetch("kv/with blank#a") == "b"
    assert server.asked == [("kv/data/shop/prod", "team"), ("kv/data/with blank", "team")]


def test_an_environment_has_it_as_a_secret(server: Server, tmp_path: Path) -> None:
    env = {"prod": {"warehouse": {"password": "vault:kv/shop/prod#password"}}}
    found = choose(env, "prod", tmp_path)
    assert found["warehouse"]["password"] == Secret("s3cret")
    assert found.origins["warehouse.password"] == "vault:kv/shop/prod#password"
    assert server.asked


def test_the_token_may_lie_in_a_file(
    server: Server, clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean.delenv("VAULT_TOKEN")
    with pytest.raises(UsageError, match=r"VAULT_TOKEN is not set, nor is there a ~/.vault-token"):
        Vault().fetch("kv/shop/prod#password")
    (tmp_path / ".vault-token").write_text(TOKEN)
    assert Vault().fetch("kv/shop/prod#password") == "s3cret"
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    clean.setenv("HOME", "/nowhere")
    clean.setenv("VAULT_TOKEN_FILE", str(tmp_path / "token"))
    assert Vault().fetch("kv/shop/prod#password") == "s3cret"
    clean.setenv("VAULT_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"there is no file .*none \(VAULT_TOKEN_FILE\)"):
        Vault().fetch("kv/shop/prod#password")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("kv/shop/prod", "write vault:MOUNT/PATH#KEY"),
        ("kv#password", "write vault:MOUNT/PATH#KEY"),
        ("kv/shop/prod#user", "Vault has no key user at kv/shop/prod"),
        ("kv/shop/none#user", r"Vault has nothing at kv/shop/none \(KV version 2\)"),
    ],
)
def test_what_is_not_there_is_told(server: Server, reference: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Vault().fetch(reference)
    assert len(server.asked) == (0 if "write" in said else 1)


def test_a_wrong_token_is_told_without_it(server: Server, clean: pytest.MonkeyPatch) -> None:
    clean.setenv("VAULT_TOKEN", "hvs.wrong-one")
    with pytest.raises(UsageError) as caught:
        Vault().fetch("kv/shop/prod#password")
    assert caught.value.message == (
        "Vault refused kv/shop/prod: the token is wrong or has no right"
    )
    assert server.asked


def test_a_sealed_vault_is_told(server: Server) -> None:
    server.sealed = True
    with pytest.raises(UsageError) as caught:
        Vault().fetch("kv/shop/prod#password")
    assert caught.value.message == (
        "Vault answered 503 for kv/shop/prod: it is sealed or stands by: somebody must unseal it"
    )
    assert server.asked


@pytest.mark.parametrize("body", [b"<html>a proxy's page</html>", b"[]", b'{"data": {"a": "b"}}'])
def test_another_server_than_a_vault_is_told(server: Server, body: bytes) -> None:
    server.body = body
    with pytest.raises(UsageError, match="did not answer as Vault's KV version 2 does"):
        Vault().fetch("kv/shop/prod#password")


def test_no_server_is_told(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("VAULT_TOKEN", TOKEN)
    with pytest.raises(UsageError, match="VAULT_ADDR is not set: which Vault"):
        Vault().fetch("kv/shop/prod#password")
    clean.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    with pytest.raises(UsageError, match=r"Vault at http://127.0.0.1:1 cannot be reached"):
        Vault().fetch("kv/shop/prod#password")
    clean.setenv("VAULT_ADDR", "127.0.0.1:8200")
    with pytest.raises(UsageError, match="cannot be reached"):
        Vault().fetch("kv/shop/prod#password")


@pytest.mark.parametrize("fault", ["", "unknown authority", "expired", "another host", "no file"])
def test_its_certificate_is_verified(clean: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    authority = Authority(tmp_path)
    now = datetime.now(UTC)
    made = authority.server(
        "127.0.0.2" if fault == "another host" else "127.0.0.1",
        until=now - timedelta(days=1) if fault == "expired" else now + timedelta(days=1),
    )
    server = Server(made)
    try:
        clean.setenv("VAULT_ADDR", server.address)
        clean.setenv("VAULT_TOKEN", TOKEN)
        if fault == "no file":
            clean.setenv("VAULT_CACERT", str(tmp_path / "none.pem"))
        elif fault != "unknown authority":
            clean.setenv("VAULT_CACERT", str(authority.path))
        if not fault:
            assert Vault().fetch("kv/shop/prod#password") == "s3cret"
            return
        why = {
            "unknown authority": "unable to get local issuer certificate",
            "expired": "certificate has expired",
            "another host": "IP address mismatch",
            "no file": "VAULT_CACERT",
        }[fault]
        with pytest.raises(UsageError, match=why):
            Vault().fetch("kv/shop/prod#password")
        assert server.asked == []
    finally:
        server.close()
