"""What settings of connectors mean, and that all their mistakes are listed at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from penstock.connectors.registry import connectors, is_connector
from penstock.connectors.settings import read_settings
from penstock.errors import UsageError
from penstock.model.outside import Outside
from penstock.model.secret import Secret


@dataclass(frozen=True)
class Settings:
    host: str
    port: int = 22
    password: Secret | None = None
    to: tuple[str, ...] = ()
    wait: float = 1.0
    more: Mapping[str, Any] | None = None


def test_settings_become_a_frozen_object_with_defaults() -> None:
    given = {"kind": "x", "host": "h", "password": "p", "to": "a@b.c", "wait": 2}
    found = read_settings(Settings, given, "drops")
    assert found == Settings("h", 22, Secret("p"), ("a@b.c",), 2.0, None)


def test_a_number_may_come_as_the_text_of_a_variable() -> None:
    given = {"host": Outside("h"), "port": Outside("2222"), "wait": Outside("0.5")}
    assert read_settings(Settings, given, "drops") == Settings("h", 2222, wait=0.5)
    with pytest.raises(UsageError, match=r"drops\.port must be a whole number, not 'many'"):
        read_settings(Settings, {"host": "h", "port": Outside("many")}, "drops")


def test_all_mistakes_are_listed_with_the_nearest_name_and_without_secrets() -> None:
    given = {"hots": "h", "port": "22", "password": 5, "to": [1], "wait": True}
    with pytest.raises(UsageError) as said:
        read_settings(Settings, given, "drops")
    lines = str(said.value).splitlines()
    assert lines == [
        "drops: there is no setting hots; host?",
        "drops: host is missing",
        "drops.port must be a whole number, not '22'",
        "drops.password must be a text or None, not 5",
        "drops.to must be a list of texts, not [1]",
        "drops.wait must be a number, not True",
    ]


def test_the_mistakes_of_every_connector_are_listed_before_anything_starts() -> None:
    env = {
        "project": "shop",
        "a": {"kind": "files"},
        "b": {"kind": "nonsense"},
        "c": {"kind": "postgres", "host": "h"},
        "d": {"url": "postgresql://me@localhost/shop"},
        "limits": {"rows": 5},
    }
    with pytest.raises(UsageError) as said:
        connectors(env)
    lines = str(said.value).splitlines()
    assert lines[0] == "a: folder is missing"
    assert lines[1].startswith("b: there is no kind 'nonsense' of connector; known are ")
    assert lines[2] == "c: host, database and user belong together"
    assert len(lines) == 3


def test_a_connector_is_named_by_its_kind_or_by_the_scheme_of_its_url() -> None:
    assert is_connector({"kind": "anything"})
    assert is_connector({"url": "postgresql://me@h/d"})
    assert is_connector({"url": Secret("postgresql+psycopg://me:pw@h/d")})
    assert not is_connector({"url": "https://example.com"})
    assert not is_connector({"rows": 5})
    assert not is_connector("postgresql://me@h/d")
