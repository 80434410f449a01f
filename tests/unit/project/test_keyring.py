"""Values of the keyring, from a backend of the test's own that keeps them in a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from penstock.errors import UsageError
from penstock.model.secret import Secret
from penstock.project.environment import choose
from penstock.project.providers.keyrings import Keyring


class InFile(KeyringBackend):
    """A keyring in a JSON file."""

    priority = 1
    path: Path
    locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("the collection is locked")
        found = json.loads(self.path.read_text()) if self.path.exists() else {}
        password: str | None = found.get(f"{service}|{username}")
        return password

    def set_password(self, service: str, username: str, password: str) -> None:
        found = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.path.write_text(json.dumps({**found, f"{service}|{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        raise AssertionError("nobody deletes")


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[InFile]:
    before = keyring.get_keyring()
    ring = InFile()  # type: ignore[no-untyped-call]
    ring.path = tmp_path / "ring.json"
    keyring.set_keyring(ring)
    keyring.set_password("shop", "etl", "s3cret")
    keyring.set_password("team/shop", "etl", "other")
    yield ring
    keyring.set_keyring(before)


def test_a_password_is_fetched_by_service_and_user(ring: InFile, tmp_path: Path) -> None:
    assert ring.path.exists()
    assert Keyring().fetch("shop/etl") == "s3cret"
    assert Keyring().fetch("team/shop/etl") == "other"
    env = {"prod": {"warehouse": {"password": "keyring:shop/etl"}}}
    assert choose(env, "prod", tmp_path)["warehouse"]["password"] == Secret("s3cret")


def test_what_is_not_there_is_told(ring: InFile) -> None:
    with pytest.raises(UsageError, match="the keyring has no entry for shop, root"):
        Keyring().fetch("shop/root")
    for wrong in ("shop", "/etl", "shop/"):
        with pytest.raises(UsageError, match="write keyring:SERVICE/USER"):
            Keyring().fetch(wrong)
    ring.locked = True
    with pytest.raises(UsageError, match="the keyring cannot be opened: the collection is locked"):
        Keyring().fetch("shop/etl")


def test_a_machine_without_a_keyring_is_told() -> None:
    before = keyring.get_keyring()
    from keyring.backends.fail import Keyring as Nothing

    keyring.set_keyring(Nothing())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(UsageError, match="the keyring cannot be opened: "):
            Keyring().fetch("shop/etl")
    finally:
        keyring.set_keyring(before)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(UsageError, match=r"pip install 'penstock\[keyring\]'"):
        Keyring().fetch("shop/etl")
