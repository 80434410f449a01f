"""How an API is reached. Not for: what is read and written there (`modules`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.connectors.rest.auth import Auth, read_auth, url_mistakes
from penstock.connectors.rest.modules import Module, read_modules
from penstock.connectors.settings import read_settings
from penstock.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """How an API is reached.

    Attributes:
        base_url: Where every path begins, `https://api.example.com/v1`.
        modules: Name -> what is read and written there; see `modules`.
        auth: How it is logged in to; None: not at all; see `auth`.
        headers: Sent with every request; no secrets.
        timeout: Seconds for each step: connect, send, each part of the answer.
        retries: How often a request is tried again.
        backoff: Seconds before the first new try, at most; doubled for each further one.
        patience: Seconds that one request waits in all, before new tries and as told by the API.
        rate: Requests a second; None: as fast as it goes.
        max_bytes: Most bytes of an answer, unpacked.
        max_pages: Most pages of one read.
        insecure: True: `http://` to another machine is allowed.
        ca_file: Certificates that are trusted instead of the system's.
        max_seconds: Most seconds that one answer takes to come.
        private: True: a name may lead to an address that is not public. One that `base_url` itself
            has is meant.
    """

    base_url: str
    modules: Mapping[str, Any] = field(default_factory=dict)
    auth: Mapping[str, Any] | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0
    retries: int = 5
    backoff: float = 1.0
    patience: float = 300.0
    rate: float | None = None
    max_bytes: int = 64 << 20
    max_pages: int = 10_000
    insecure: bool = False
    ca_file: str | None = None
    max_seconds: float = 300.0
    private: bool = False

    def __post_init__(self) -> None:
        problems = url_mistakes("base_url", self.base_url, insecure=self.insecure)
        for name in ("timeout", "max_bytes", "max_pages", "max_seconds"):
            if getattr(self, name) <= 0:
                problems.append(f"{name} must be above 0")
        for name in ("retries", "backoff", "patience"):
            if getattr(self, name) < 0:
                problems.append(f"{name} must not be below 0")
        if self.rate is not None and self.rate <= 0:
            problems.append("rate must be above 0")
        if not all(isinstance(one, str) for one in self.headers.values()):
            problems.append("headers must be texts")
        if problems:
            raise ValueError("; ".join(problems))


def read_rest(
    given: Mapping[str, Any], name: str
) -> tuple[RestSettings, Auth | None, dict[str, Module]]:
    """The settings, the login, and the modules in them.

    Raises:
        UsageError: All mistakes, one a line.
    """
    problems: list[str] = []
    settings: RestSettings | None = None
    login: Auth | None = None
    try:
        settings = read_settings(RestSettings, given, name)
    except UsageError as error:
        problems.append(error.message)
    auth, modules = given.get("auth"), given.get("modules", {})
    if isinstance(auth, Mapping):
        try:
            login = read_auth(auth, name, insecure=given.get("insecure") is True)
        except UsageError as error:
            problems.append(error.message)
    found: dict[str, Module] = {}
    if isinstance(modules, Mapping):
        found, wrong = read_modules(modules, name)
        problems += wrong
    if problems or settings is None:
        raise UsageError("\n".join(problems))
    return settings, login, found
