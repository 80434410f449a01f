"""How an API knows who asks. Not for: when a request is tried again (`transport`)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError, UsageError
from penstock.model.secret import Secret

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: Seconds before its end in which a token is not used any more.
_BEFORE = 60.0
#: Seconds that a token is good for where the server does not say.
_DEFAULT_LIFE = 300.0
#: Asks for a token: URL, form and headers -> the members of the answer.
Ask = Callable[[str, Mapping[str, str]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """`Authorization: Bearer TOKEN`.

    Attributes:
        token: The token.
    """

    token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """`Authorization: Basic`, RFC 7617.

    Attributes:
        user: The user.
        password: The password.
    """

    user: str
    password: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key in a header, or in the query.

    Attributes:
        api_key: The key.
        header: The header's name.
        query: The parameter's name, instead of a header.
    """

    api_key: Secret
    header: str | None = None
    query: str | None = None

    def __post_init__(self) -> None:
        if (self.header is None) == (self.query is None):
            raise ValueError("name the header or the query parameter of the api_key, one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2:
    """Client credentials, RFC 6749 section 4.4.

    Attributes:
        token_url: Where tokens are given.
        client_id: Who asks.
        secret: The client's secret.
        scope: What is asked for; empty: what the server gives by itself.
    """

    token_url: str
    client_id: str
    secret: Secret
    scope: str = ""


Auth = Bearer | Basic | ApiKey | OAuth2
_KINDS: Mapping[str, type[Any]] = {
    "bearer": Bearer,
    "basic": Basic,
    "api_key": ApiKey,
    "oauth2": OAuth2,
}


def url_mistakes(name: str, url: str, *, insecure: bool) -> list[str]:
    """What is wrong with a URL that credentials are sent to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"{name} must be a URL such as https://api.example.com/v1"]
    if parts.username or parts.password:
        return [f"{name} must not hold a login: it belongs to auth"]
    if parts.query or parts.fragment:
        return [f"{name} must not have a query"]
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not insecure:
        return [f"{name} is not encrypted: take https, or say insecure=True in a trusted network"]
    return []


def read_auth(given: Mapping[str, Any], name: str, *, insecure: bool = False) -> Auth:
    """The login of the settings `auth`, by its `kind`.

    Raises:
        UsageError: All mistakes, one a line.
    """
    kind = str(given.get("kind"))
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise UsageError(f"{name}.auth: there is no kind {kind!r}; known are {known}")
    made: Auth = read_settings(_KINDS[kind], given, f"{name}.auth")
    if isinstance(made, OAuth2):
        wrong = url_mistakes("token_url", made.token_url, insecure=insecure)
        if wrong:
            raise UsageError(f"{name}.auth: {wrong[0]}")
    return made


class Login:
    """Puts the credentials into requests; a token is fetched when it is needed.

    Args:
        auth: How; None: not at all.
        ask: Asks for a token.
    """

    def __init__(self, auth: Auth | None, ask: Ask) -> None:
        self._auth = auth
        self._ask = ask
        self._token: Secret | None = None
        self._until = 0.0

    @property
    def renewable(self) -> bool:
        """True where a token that is refused can be replaced by another one."""
        return isinstance(self._auth, OAuth2)

    def headers(self) -> dict[str, str]:
        """What a request has in its head.

        Raises:
            ConnectorError: No token is given.
        """
        auth = self._auth
        if isinstance(auth, Bearer):
            return {"Authorization": f"Bearer {auth.token.reveal()}"}
        if isinstance(auth, Basic):
            both = f"{auth.user}:{auth.password.reveal()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}
        if isinstance(auth, ApiKey) and auth.header:
            return {auth.header: auth.api_key.reveal()}
        if isinstance(auth, OAuth2):
            return {"Authorization": f"Bearer {self._fresh(auth).reveal()}"}
        return {}

    def params(self) -> dict[str, str]:
        """What a request has in its query."""
        auth = self._auth
        if isinstance(auth, ApiKey) and auth.query:
            return {auth.query: auth.api_key.reveal()}
        return {}

    def renew(self) -> None:
        """Forget the token: the next request fetches another one."""
        self._token = None

    def hidden(self, text: str) -> str:
        """A text of the API's without our secrets in it."""
        auth = self._auth
        known = [self._token]
        if isinstance(auth, Bearer):
            known.append(auth.token)
        elif isinstance(auth, Basic):
            known.append(auth.password)
        elif isinstance(auth, ApiKey):
            known.append(auth.api_key)
        elif isinstance(auth, OAuth2):
            known.append(auth.secret)
        for one in known:
            if one:
                text = text.replace(one.reveal(), "***")
        return text

    def _fresh(self, auth: OAuth2) -> Secret:
        if self._token is not None and time.monotonic() < self._until:
            return self._token
        form = {
            "grant_type": "client_credentials",
            "client_id": auth.client_id,
            "client_secret": auth.secret.reveal(),
        }
        if auth.scope:
            form["scope"] = auth.scope
        answer = self._ask(auth.token_url, form)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise ConnectorError(
                f"{auth.token_url} answered without an access_token",
                code="token",
                advice="Check token_url.",
            )
        life = str(answer.get("expires_in", ""))
        seconds = float(life) if life.isdigit() else _DEFAULT_LIFE
        # Half of the life of a token that is shorter than what is kept free.
        self._until = time.monotonic() + max(seconds - _BEFORE, seconds / 2)
        self._token = Secret(token)
        return self._token
