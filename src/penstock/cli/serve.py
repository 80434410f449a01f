"""`penstock serve`: receives the webhooks of a project. Not for: how (`events.webhooks`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.project import Env, Folder
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.events.webhooks.app import Receiver

SERVE_EXAMPLES = """
[bold]Examples[/bold]
  penstock serve -e prod                           for a proxy on this machine
  penstock serve -e prod --host 0.0.0.0 --port 80  for everybody

[bold]Exit status[/bold]
  0  stopped; what was begun is written and answered
  1  the port is taken, or the ledger cannot be made  2  wrong use
  75  the database does not answer
"""


def serve(
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Of this machine. 0.0.0.0: all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any that is free.")
    ] = 8080,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Receive the webhooks of a project's pipelines, until stopped.

    POST /in/NAME of a WebhookSource is answered 200 when the delivery is durable.
    GET /health says that the process lives, GET /ready that the database answers.
    """
    from importlib.util import find_spec

    from penstock.events.project import open_project

    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise UsageError("To receive webhooks: pip install 'penstock[serve]'")
    from penstock.events.webhooks import server
    from penstock.events.webhooks.declared import receiver_of

    with open_project(folder, env) as project:
        receiver = receiver_of(project, _say)
        at = server.listen(host, port)
        address = f"[{host}]" if ":" in host else host
        answer.say(f"{project.env.project}, {project.env.name}", "bold")
        for name in receiver.sources:
            answer.say(f"http://{address}:{at.getsockname()[1]}/in/{name}")
        server.serve(receiver, at)
    _end(receiver, as_json=as_json)


def _say(text: str) -> None:
    from datetime import datetime

    answer.say(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}  {text}")


def _end(receiver: Receiver, *, as_json: bool) -> None:
    staged = sum(one.written.staged for one in receiver.writers())
    repeated = sum(one.written.repeated for one in receiver.writers())
    refused = {str(status): n for status, n in sorted(receiver.answers.items()) if status != 200}
    told = "".join(f", {number:,} x {status}" for status, number in refused.items())
    answer.say(f"Stopped: {staged:,} received, {repeated:,} repeated{told}.")
    if as_json:
        answer.answer({"received": staged, "repeated": repeated, "refused": refused})
