"""The pages to sign in and out. Not for: passwords and sessions (`access`)."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from penstock.console import access
from penstock.console.access import TooOften
from penstock.console.guarding import COOKIE, Asked, Console
from penstock.console.rendering import render

#: Characters of what is typed, at the most.
_LONG = 2_000


def sign_in(console: Console) -> Any:
    """The endpoint of the form, and of what is typed into it."""

    async def endpoint(request: Request) -> Response:
        if request.method == "GET":
            return _form(console, _next(request.query_params.get("next", "")))
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _form(console, "/", 403, "Open this page itself to sign in.")
        async with request.form(max_fields=10, max_files=0) as form:
            given = {name: str(form.get(name, ""))[:_LONG] for name in ("name", "password", "next")}
        return await run_in_threadpool(_signed_in, console, request, given)

    return endpoint


def _signed_in(console: Console, request: Request, given: dict[str, str]) -> Response:
    to = _next(given["next"])
    address = request.client.host if request.client else ""
    with console.connection() as connection:
        try:
            token = access.sign_in(connection, given["name"].strip(), given["password"], address)
        except TooOften:
            said = "It was tried too often. Wait a quarter of an hour."
            answer = _form(console, to, 429, said)
            answer.headers["retry-after"] = str(int(access.WINDOW.total_seconds()))
            return answer
    if token is None:
        return _form(console, to, 401, "Name or password is wrong.")
    answer = RedirectResponse(to, 303)
    answer.set_cookie(
        COOKIE, token, path="/", httponly=True, samesite="strict", secure=console.secure
    )
    return answer


def sign_out(asked: Asked) -> Response:
    """End the session."""
    access.sign_out(asked.connection, asked.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


def _form(console: Console, to: str, status: int = 200, said: str = "") -> Response:
    return render("sign_in.html", status, label=console.label, to=to, said=said)


def _next(path: str) -> str:
    """Where to go afterwards: a path of this console, nothing else."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if own else "/"
