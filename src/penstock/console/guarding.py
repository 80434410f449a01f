"""Between a request and a page: who asks, whether they may, and what no answer goes without.

Every page but the one to sign in needs a session, and one that changes something a role and the
session's own token (OWASP, "Cross-Site Request Forgery Prevention"). Not for: what pages say.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg
import sqlalchemy
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.console.access import Visitor, visitor_of
from penstock.console.rendering import render
from penstock.errors import PenstockError, UsageError
from penstock.postgres.connection import translated

COOKIE = "penstock_session"
#: Bytes of a form, with the file of corrected rows that may be in it.
MOST = 50 << 20
#: Nothing from elsewhere, no script or style within a page, in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What the pages are about.

    Attributes:
        engine: To the database with the ledger.
        label: Of it, without a password.
        names: Under which hosts it may be asked for; others are refused, as a page of another
            site could make its own name point here.
        secure: It is reached by HTTPS, through a proxy: the cookie is for nothing else.
    """

    engine: sqlalchemy.Engine = field(repr=False)
    label: str
    names: Sequence[str] = ("localhost", "127.0.0.1", "[::1]")
    secure: bool = False

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit, kept for the next request."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as opened:
            driver = opened.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)  # noqa: S101  the engine is of psycopg
            yield driver


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that may be answered.

    Attributes:
        console: What it is about.
        connection: To the ledger, in autocommit.
        visitor: Who asks.
        request: As it came.
        form: What was sent with it; empty for GET.
    """

    console: Console
    connection: psycopg.Connection[Any]
    visitor: Visitor
    request: Request
    form: FormData

    def text(self, name: str) -> str:
        """A field of the form, or of the address; empty where it is not there."""
        value = self.form.get(name, self.request.query_params.get(name, ""))
        return value.strip() if isinstance(value, str) else ""

    def page(self, template: str, /, status: int = 200, **values: Any) -> Response:
        """A page, with what all pages show."""
        shown = {
            "visitor": self.visitor,
            "label": self.console.label,
            "path": self.request.url.path,
            **values,
        }
        return render(template, status, **shown)


Handler = Callable[[Asked], Response]


def guarded(
    console: Console, handler: Handler, role: str = "viewer", changes: str | None = None
) -> Callable[[Request], Any]:
    """An endpoint that lets only those through who may.

    Args:
        console: What it is about.
        handler: Makes the answer; runs in a thread.
        role: Who may at least.
        changes: The role for POST; None: there is none.
    """

    async def endpoint(request: Request) -> Response:
        form = FormData()
        if request.method == "POST":
            async with request.form(max_fields=1_000, max_files=1, max_part_size=MOST) as form:
                return await run_in_threadpool(_answered, console, request, form, handler, changes)
        return await run_in_threadpool(_answered, console, request, form, handler, role)

    return endpoint


def _answered(
    console: Console, request: Request, form: FormData, handler: Handler, role: str | None
) -> Response:
    address = request.client.host if request.client else ""
    with console.connection() as connection:
        token = request.cookies.get(COOKIE, "")
        visitor = visitor_of(connection, token, address) if token else None
        if visitor is None:
            return _to_sign_in(request)
        asked = Asked(
            console=console, connection=connection, visitor=visitor, request=request, form=form
        )
        if request.method == "POST" and not _own(request, form, visitor):
            return asked.page("refused.html", 403, said="The form is out of date: open it again.")
        if role is None or not visitor.may(role):
            said = f"This needs the role {role}; yours is {visitor.role}."
            return asked.page("refused.html", 403, said=said)
        try:
            return handler(asked)
        except UsageError as error:
            return asked.page("refused.html", 400, said=error.message)
        except PenstockError as error:
            return asked.page("refused.html", 503, said=error.message)
        except psycopg.Error as error:
            said = translated(error, "answer this").message
            return asked.page("refused.html", 503, said=said)


def _to_sign_in(request: Request) -> Response:
    """A part of a page that is asked for by script has the whole page go there."""
    query = f"?{request.url.query}" if request.url.query else ""
    back = quote(f"{request.url.path}{query}") if request.method == "GET" else "/"
    to = f"/sign-in?next={back}"
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": to})
    return RedirectResponse(to, 303)


def _own(request: Request, form: Mapping[str, Any], visitor: Visitor) -> bool:
    """Whether a form is of a page that this session was shown."""
    given = form.get("csrf", "")
    same = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return same and isinstance(given, str) and hmac.compare_digest(given, visitor.csrf)


class Guard:
    """Refuses other hosts and forms that are too large; adds what no answer goes without.

    Args:
        app: What answers.
        console: What it is about.
    """

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if self._console.secure:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        request = Request(scope)
        host = request.headers.get("host", "").rsplit(":", 1)[0] or request.headers.get("host", "")
        size = request.headers.get("content-length", "0")
        if host not in self._console.names:
            said = f"This console is not called {host!r}: penstock console --name NAME"
            await Response(said, 421, media_type="text/plain")(scope, receive, sent)
        elif not size.isdigit() or int(size) > MOST:
            await Response("Too large.", 413, media_type="text/plain")(scope, receive, sent)
        elif "transfer-encoding" in request.headers:
            await Response("Say how long it is.", 411, media_type="text/plain")(
                scope, receive, sent
            )
        else:
            await self._app(scope, receive, sent)
