"""Sends requests and takes answers, with patience and within limits. Not for: what they mean.

`Retry-After` as RFC 9110 section 10.2.3 has it, in seconds or as a date; else waits are random up
to a bound that doubles ("full jitter": clients that failed together do not come back together).
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import httpx2

from penstock.connectors.rest.answers import Answer, line_of
from penstock.connectors.rest.auth import Auth, Login
from penstock.connectors.rest.guard import Guard
from penstock.connectors.rest.settings import RestSettings
from penstock.errors import ConnectorError

#: Most seconds of one wait that the API did not ask for.
_LONGEST = 60.0
#: Answers that say that nothing was done, and to come again.
_LATER = (429, 503)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_TOO_LARGE = "too_large"
#: Nothing was sent when these happened.
_BEFORE = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked.

    Attributes:
        method: Of HTTP.
        path: Below the base URL, or a whole URL on the same host.
        params: Of the query.
        body: Sent as JSON; None: nothing.
        again: `always` where asking twice does no harm; `sure`: only where nothing was done.
    """

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    body: Any = None
    again: Literal["always", "sure"] = "always"


class Unanswered(Exception):
    """A request was sent, and nobody knows what became of it."""


class Transport:
    """The way to one API.

    Args:
        settings: How it is reached.
        auth: How it is logged in to.
        name: The connector's, for messages.
        root: Where a relative `ca_file` begins.
    """

    def __init__(self, settings: RestSettings, auth: Auth | None, *, name: str, root: Path) -> None:
        self.settings = settings
        self.name = name
        self.login = Login(auth, self._token)
        self._root = root
        self._client: httpx2.Client | None = None
        self._base = httpx2.URL(settings.base_url.rstrip("/") + "/")
        self._last = 0.0

    def close(self) -> None:
        """Close connections; they are opened again when they are needed."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def url_of(self, path: str) -> httpx2.URL:
        """The URL of a path, or of another URL, which must be of the same host.

        Raises:
            ConnectorError: It leads to another host.
        """
        if "://" not in path and not path.startswith("//"):
            return httpx2.URL(str(self._base) + path.lstrip("/"))
        return self._joined(self._base, path)

    def ask(self, request: Request) -> Answer:
        """Send a request until it is answered; what the answer says is for who asked.

        Raises:
            ConnectorError: The API cannot be reached, asks to come too late again, refuses the
                login, or answers too much.
            Unanswered: It was sent, and may have been done or not; only with `again="sure"`.
        """
        waited, tries, renewed = 0.0, 0, False
        while True:
            answer: Answer | None = None
            problem: Exception | None = None
            try:
                answer = self._once(request)
            except ConnectorError as error:
                if error.code == _TOO_LARGE and request.again == "sure":
                    raise Unanswered(error.message) from None
                raise
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                problem = error
                if not isinstance(error, _BEFORE) and request.again == "sure":
                    raise Unanswered(self._said(error)) from None
            if answer is not None:
                if answer.status == 401 and self.login.renewable and not renewed:
                    renewed = True
                    self.login.renew()
                    continue
                if answer.status not in _LATER and answer.status < 500:
                    return answer
                if answer.status not in _LATER and request.again == "sure":
                    raise Unanswered(f"it answered {answer.status}{line_of(answer, self.hidden)}")
            wait = self._wait(answer, tries)
            last = tries >= self.settings.retries or _untrusted(problem)
            if last or waited + wait > self.settings.patience:
                raise self._gave_up(answer, problem, tries + 1, wait)
            time.sleep(wait)
            waited, tries = waited + wait, tries + 1

    def pause(self, tries: int) -> None:
        """Wait before something that was tried so often is tried again."""
        time.sleep(self._wait(None, tries))

    def hidden(self, text: str) -> str:
        """A text of the API's without our secrets."""
        return self.login.hidden(text)

    def told(self, answer: Answer, what: str) -> ConnectorError:
        """The error of an answer that is a refusal."""
        advice = {
            401: "Check auth: the login is refused.",
            403: "The login lacks a right: give it the one that this needs.",
            404: "Check base_url and the path of the module.",
        }.get(answer.status, "")
        return ConnectorError(
            f"{self.name}: {what} answered {answer.status}{line_of(answer, self.hidden)}",
            code=str(answer.status),
            advice=advice,
        )

    def _once(self, request: Request) -> Answer:
        url = self.url_of(request.path)
        method, body = request.method, request.body
        for _ in range(_MOST_REDIRECTS + 1):
            params = {**(request.params or {}), **self.login.params()}
            answer = self._sent(method, url.copy_merge_params(params) if params else url, body)
            if answer.status not in _REDIRECTS:
                return answer
            if method != "GET":
                raise ConnectorError(
                    f"{self.name}: {url.path} answered {answer.status}, it has moved to "
                    f"{self.hidden(answer.headers.get('location', 'nowhere'))}",
                    code="redirect",
                    advice="Correct base_url or the path: what is written is not sent elsewhere.",
                )
            url = self._joined(url, answer.headers.get("location", ""))
        raise ConnectorError(
            f"{self.name}: {request.path} redirects more than {_MOST_REDIRECTS} times",
            code="redirect",
        )

    def _sent(self, method: str, url: httpx2.URL, body: Any) -> Answer:
        self._keep_rate()
        client = self._opened()
        headers = {
            "Accept": "application/json",
            **{key: str(one) for key, one in self.settings.headers.items()},
            **self.login.headers(),
        }
        request = client.build_request(
            method, url, json=body, headers=headers, extensions=self._guarded(url.host)
        )
        return self._taken(client.send(request, stream=True))

    def _taken(self, response: httpx2.Response) -> Answer:
        parts, size = [], 0
        until = time.monotonic() + self.settings.max_seconds
        try:
            for part in response.iter_bytes():
                size += len(part)
                if time.monotonic() > until:
                    raise ConnectorError(
                        f"{self.name}: {response.url.path} was not answered whole within "
                        f"{self.settings.max_seconds:g} s",
                        code=_TOO_LARGE,
                        advice="Ask for smaller pages, or raise max_seconds.",
                    )
                if size > self.settings.max_bytes:
                    raise ConnectorError(
                        f"{self.name}: {response.url.path} answered more than "
                        f"{self.settings.max_bytes:,} bytes",
                        code=_TOO_LARGE,
                        advice="Ask for smaller pages, or raise max_bytes.",
                    )
                parts.append(part)
        finally:
            response.close()
        links = {key: str(one.get("url", "")) for key, one in response.links.items() if key}
        return Answer(
            status=response.status_code,
            headers={key.lower(): value for key, value in response.headers.items()},
            content=b"".join(parts),
            links=links,
            url=str(response.url),
            where=f"{response.request.method} {response.url.path}",
        )

    def _guarded(self, host: str) -> dict[str, Any]:
        return {} if self.settings.private else {"trace": Guard(host, self.name)}

    def _token(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        where = url.partition("?")[0]
        answer = self._asked_for_token(url, form)
        tries = 0
        while (answer.status in _LATER or answer.status >= 500) and tries < self.settings.retries:
            time.sleep(min(self._wait(answer, tries), self.settings.patience))
            answer = self._asked_for_token(url, form)
            tries += 1
        found = answer.json()
        if answer.status >= 400 or not isinstance(found, Mapping):
            text = form["client_secret"]
            raise ConnectorError(
                f"{self.name}: no token: {where} answered {answer.status}"
                f"{line_of(answer, lambda said: said.replace(text, '***'))}",
                code="token",
                advice="Check client_id and secret.",
            )
        return found

    def _asked_for_token(self, url: str, form: Mapping[str, str]) -> Answer:
        client = self._opened()
        try:
            guarded = self._guarded(httpx2.URL(url).host)
            request = client.build_request("POST", url, data=dict(form), extensions=guarded)
            return self._taken(client.send(request, stream=True))
        except httpx2.TransportError as error:
            raise ConnectorError(
                f"{self.name}: {url.partition('?')[0]}: {self._said(error)}",
                code="connect",
                advice="Check token_url and firewall.",
            ) from None

    def _joined(self, here: httpx2.URL, there: str) -> httpx2.URL:
        base = self._base
        try:
            url = here.join(there)
        except httpx2.InvalidURL:
            raise ConnectorError(
                f"{self.name}: the API leads to {there[:100]!r}, which is no URL", code="other_host"
            ) from None
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise ConnectorError(
                f"{self.name}: the API leads to {url.scheme}://{url.host}, which is not "
                f"{base.scheme}://{base.host}",
                code="other_host",
                advice="Credentials are sent to base_url only; correct it where the API has moved.",
            )
        return url

    def _keep_rate(self) -> None:
        if self.settings.rate is not None:
            due = self._last + 1 / self.settings.rate
            time.sleep(max(0.0, due - time.monotonic()))
        self._last = time.monotonic()

    def _wait(self, answer: Answer | None, tries: int) -> float:
        asked = None if answer is None else _retry_after(answer.headers.get("retry-after", ""))
        if asked is not None:
            return asked
        bound = min(_LONGEST, self.settings.backoff * 2.0**tries)
        return random.uniform(0.0, bound)  # noqa: S311  not for secrets

    def _gave_up(
        self, answer: Answer | None, problem: Exception | None, tries: int, wait: float
    ) -> ConnectorError:
        times = "once" if tries == 1 else f"{tries} times"
        if answer is None:
            code = "timeout" if isinstance(problem, httpx2.TimeoutException) else "connect"
            code = "certificate" if _untrusted(problem) else code
            return ConnectorError(
                f"{self.name}: {self._base.scheme}://{self._base.netloc.decode()}: "
                f"{self._said(problem)} (tried {times})",
                code=code,
                advice="Have it renewed, or trust its authority with ca_file."
                if code == "certificate"
                else "Check base_url, network and firewall.",
            )
        later = f"; it asks to wait {wait:,.0f} s" if "retry-after" in answer.headers else ""
        return ConnectorError(
            f"{self.name}: {answer.where} answered {answer.status}"
            f"{line_of(answer, self.hidden)} (tried {times}{later})",
            code=str(answer.status),
            advice="Try later; lower rate, or raise retries and patience.",
        )

    def _said(self, error: Exception | None) -> str:
        if isinstance(error, httpx2.TimeoutException):
            return f"no answer within {self.settings.timeout:g} s"
        text = " ".join(str(error).split()) or type(error).__name__
        return self.hidden(text)[:200]

    def _opened(self) -> httpx2.Client:
        if self._client is None:
            named = self.settings.ca_file
            path = None if named is None else self._root / named
            if path is not None and not path.is_file():
                raise ConnectorError(f"{self.name}: there is no file {path}", code="ca_file")
            self._client = httpx2.Client(
                timeout=self.settings.timeout,
                verify=ssl.create_default_context(cafile=path),
                headers={"User-Agent": "penstock"},
            )
        return self._client


def _untrusted(problem: Exception | None) -> bool:
    """True where the server's certificate is not trusted: no new try changes that."""
    return isinstance(problem, httpx2.ConnectError) and "certificate" in str(problem).lower()


def _retry_after(text: str) -> float | None:
    """Seconds that the API asks to wait; None where it says nothing that can be read."""
    text = text.strip()
    if text.isdigit():
        return float(text)
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0.0, (due - datetime.now(UTC)).total_seconds())
