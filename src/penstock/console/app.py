"""The console's pages and their addresses. Not for: what is on them, nor the server (`server`)."""

from __future__ import annotations

from importlib import resources

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from penstock.console import events, home, quarantine, runs, signing_in
from penstock.console.guarding import Console, Guard, Handler, guarded


def application(console: Console) -> Starlette:
    """The console as an ASGI application.

    Args:
        console: What it is about.
    """

    def seen(path: str, handler: Handler, role: str = "viewer") -> Route:
        return Route(path, guarded(console, handler, role), methods=["GET"])

    def done(path: str, handler: Handler, role: str = "operator") -> Route:
        return Route(path, guarded(console, handler, changes=role), methods=["POST"])

    def missing(request: Request, error: Exception) -> Response:
        del request, error
        return Response("There is no such page.", 404, media_type="text/plain")

    static = resources.files("penstock.console") / "static"
    return Starlette(
        routes=[
            Route("/sign-in", signing_in.sign_in(console), methods=["GET", "POST"]),
            done("/sign-out", signing_in.sign_out, "viewer"),
            seen("/", home.home),
            seen("/runs", runs.runs),
            seen("/runs/{run_id}", runs.run),
            seen("/quarantine", quarantine.groups),
            seen("/quarantine/rows", quarantine.rejects),
            seen("/quarantine/export", quarantine.export, "operator"),
            done("/quarantine/discard", quarantine.discard),
            done("/quarantine/replay", quarantine.replay),
            seen("/events", events.events),
            seen("/events/{chunk:int}/{pos:int}", events.event, "operator"),
            done("/events/requeue", events.requeue),
            done("/events/discard", events.discard),
            Route("/health", lambda _: Response("ok\n", media_type="text/plain")),
            Mount("/static", StaticFiles(directory=str(static)), name="static"),
        ],
        middleware=[Middleware(Guard, console=console)],
        exception_handlers={404: missing},
    )
