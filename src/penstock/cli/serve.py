"""`penstock serve`: receives the webhooks of a project. Not for: how (`events.webhooks`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.project import Env, Folder
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.connectors.postgres import Postgres
    from penstock.events.webhooks.app import Receiver, Receiving
    from penstock.events.webhooks.declared import Hook
    from penstock.project.environment import Environment

SERVE_EXAMPLES = """
[bold]Examples[/bold]
  penstock serve -e prod                           for a proxy on this machine
  penstock serve -e prod --host 0.0.0.0 --port 80  for everybody

[bold]Exit status[/bold]
  0  stopped; what was begun is written and answered
  1  the port is taken, or the database does not answer  2  wrong use
"""


def serve(
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Of this machine. 0.0.0.0: all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")
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

    from penstock.project.environment import choose, load_config

    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise UsageError("To receive webhooks: pip install 'penstock[serve]'")
    from penstock.events.webhooks import server

    root = folder.resolve()
    environment = choose(load_config(root), env, root)
    receiver = _receiver(environment)
    at = server.listen(host, port)
    address = f"[{host}]" if ":" in host else host
    answer.say(f"{environment.project}, {environment.name}", "bold")
    for name in receiver.sources:
        answer.say(f"http://{address}:{at.getsockname()[1]}/in/{name}")
    server.serve(receiver, at)
    _end(receiver, as_json=as_json)


def _receiver(environment: Environment) -> Receiver:
    """What is to be received, with a writer for each database.

    Raises:
        UsageError: No pipeline has a webhook, or one is declared wrongly.
        ConnectorError: A database does not answer.
    """
    from penstock.connectors.registry import connectors
    from penstock.events.pipeline import pipelines_in
    from penstock.events.webhooks.app import Receiver
    from penstock.events.webhooks.declared import hooks_of
    from penstock.events.webhooks.limits import Limits

    hooks = hooks_of(pipelines_in(environment.folder), environment)
    if not hooks:
        raise UsageError(
            f"No pipeline in {environment.folder} has a webhook. Give one "
            'sources=[WebhookSource(name="partner", secret="partner.secret")]'
        )
    known = connectors(environment, environment.folder)
    databases = {name: _database(name, environment, known) for name in _names(hooks)}
    sources: dict[str, Receiving] = {}
    for name, database in databases.items():
        own = [one for one in hooks if one.pipeline.connector == name]
        sources |= _bound(own, database)
    return Receiver(sources=sources, limits=Limits(), say=_say)


def _names(hooks: list[Hook]) -> list[str | None]:
    return list(dict.fromkeys(one.pipeline.connector for one in hooks))


def _database(name: str | None, environment: Environment, known: Any) -> Postgres:
    from penstock.connectors.postgres import Postgres
    from penstock.flow.ledgers import ledger_of

    found = ledger_of(environment, known) if name is None else known.get(name)
    if not isinstance(found, Postgres):
        raise UsageError(f'env["{name}"] is no PostgreSQL database')
    return found


def _bound(hooks: list[Hook], database: Postgres) -> dict[str, Receiving]:
    """What is received into a database, whose ledger is made where there is none."""
    import psycopg

    from penstock.events.staging import source_id
    from penstock.events.webhooks.app import Receiving
    from penstock.events.webhooks.batching import GroupCommit
    from penstock.ledger import install
    from penstock.postgres.connection import translated

    try:
        with database.connect(autocommit=True) as connection:
            install.ensure(connection, database.conninfo())
            numbers = [source_id(connection, one.pipeline.name, one.source.name) for one in hooks]
    except psycopg.Error as error:
        raise translated(error, "receive webhooks") from None
    into = GroupCommit(connect=database.connect, say=_say)
    return {
        one.source.name: Receiving(
            number=number,
            scheme=one.scheme,
            secrets=one.secrets,
            tolerance=one.source.tolerance.total_seconds(),
            identified=one.source,
            max_bytes=one.source.max_bytes,
            into=into,
        )
        for one, number in zip(hooks, numbers, strict=True)
    }


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
