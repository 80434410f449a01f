"""`penstock events`: what became of events, and those that wait for somebody.

Not for: the work on them (`work`, `replay`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.answer import plain
from penstock.cli.connected import AsJson
from penstock.cli.database import Database, Dsn
from penstock.cli.help import Command, Group
from penstock.cli.project import Env, Folder
from penstock.errors import UsageError

if TYPE_CHECKING:
    import psycopg

    from penstock.events.letters import Letter, Reason, SourceBalance
    from penstock.events.retention import Day

events_app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Events: where they are, and those that failed."
)
_SHOWN = 2000
LIST_EXAMPLES = """
[bold]Examples[/bold]
  penstock events list                       each source's balance, and why events fail
  penstock events list shop_events --all     every event that failed
  penstock events list --code 22P02 --json
  penstock events list -e prod               where that environment's are
"""
SHOW_EXAMPLES = """
[bold]Examples[/bold]
  penstock events show 17/203                as penstock events list names it
  penstock events show evt_8713              by the source's id: all versions of it
  penstock events show 17/203 --decrypt      with its personal fields, by the project's key
"""
REQUEUE_EXAMPLES = """
[bold]Examples[/bold]
  penstock events requeue 17/203
  penstock events requeue --pipeline shop_events --code transform    after it was mended
"""
DISCARD_EXAMPLES = """
[bold]Examples[/bold]
  penstock events discard 17/203 --note "a test of the partner's"
"""
PURGE_EXAMPLES = """
[bold]Examples[/bold]
  penstock events purge -e prod              days that every pipeline has kept long enough
  penstock events purge --pipeline shop_events --older-than 7

[bold]Exit status[/bold]
  0  done, or nothing is old enough     1  the role may not; only the ledger's owner may
"""
Pipeline = Annotated[
    str | None,
    typer.Option("--pipeline", metavar="NAME", show_default=False, help="Of this pipeline only."),
]
Code = Annotated[
    str | None,
    typer.Option("--code", metavar="CODE", show_default=False, help="Of this reason only."),
]
Named = Annotated[
    list[str] | None,
    typer.Argument(metavar="[EVENT...]", show_default=False, help="CHUNK/POSITION, or its id."),
]


@events_app.command("list", cls=Command, epilog=LIST_EXAMPLES)
def list_events(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", show_default=False, help="Default: all.")
    ] = None,
    code: Code = None,
    every: Annotated[bool, typer.Option("--all", help="Each event, not each reason.")] = False,
    dsn: Dsn = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Each source's balance, and why events are not in their target."""
    from penstock.events import letters

    with _opened(dsn, env, folder, "list events") as (where, connection):
        balances = letters.balances(connection, pipeline)
        nothing = "" if balances else _known(connection, pipeline)
        grouped = [one for one in letters.reasons(connection, pipeline) if code in (None, one.code)]
        single = []
        if every:
            single = letters.letters(connection, pipeline=pipeline, code=code, limit=None)
    _show_balances(balances, nothing)
    _show_letters(single) if every else _show_reasons(grouped)
    if as_json:
        from dataclasses import asdict

        listed = single if every else grouped
        answer.answer(
            {
                "target": where.label,
                "sources": [asdict(one) for one in balances],
                "events" if every else "reasons": [_jsonable(asdict(one)) for one in listed],
            }
        )


@events_app.command("show", cls=Command, epilog=SHOW_EXAMPLES)
def show(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="CHUNK/POSITION, or its id.")],
    decrypt: Annotated[
        bool, typer.Option("--decrypt", help="Also fields that are encrypted.")
    ] = False,
    dsn: Dsn = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """One event as it was received, and what became of it."""
    from penstock.events import letters

    with _opened(dsn, env, folder, "show an event") as (where, connection):
        found = [letters.show(connection, place) for place in letters.find(connection, event)]
    there = [one for one in found if one is not None]
    if not there:
        raise UsageError(f"{event} was received, and is no longer in staging")
    for one in there:
        if decrypt and one["encrypted"]:
            _decrypt(one, folder)
        _show_event(one)
    if as_json:
        answer.answer({"target": where.label, "events": [_jsonable(one) for one in there]})


@events_app.command("requeue", cls=Command, epilog=REQUEUE_EXAMPLES)
def requeue(
    named: Named = None,
    pipeline: Pipeline = None,
    code: Code = None,
    dsn: Dsn = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let workers try events again: those that are named, or all of a reason."""
    from penstock.events import letters

    with _opened(dsn, env, folder, "requeue events") as (where, connection):
        chosen = _chosen(connection, named, pipeline, code, letters.STATUSES)
        count = letters.requeue(connection, chosen)
    answer.say(f"{count:,} of {_events(len(chosen))} waiting for a worker (penstock work).")
    if as_json:
        answer.answer({"target": where.label, "chosen": len(chosen), "requeued": count})


@events_app.command("discard", cls=Command, epilog=DISCARD_EXAMPLES)
def discard(
    named: Named = None,
    pipeline: Pipeline = None,
    code: Code = None,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", show_default=False, help="Why.")
    ] = "",
    dsn: Dsn = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Leave events out for good: those that are named, or all of a reason."""
    from penstock.events import letters

    with _opened(dsn, env, folder, "discard events") as (where, connection):
        chosen = _chosen(connection, named, pipeline, code, letters.OPEN)
        count = letters.discard(connection, chosen, note)
    answer.say(f"Discarded: {_events(count)}. penstock events requeue takes that back.")
    if as_json:
        answer.answer({"target": where.label, "discarded": count})


@events_app.command("purge", cls=Command, epilog=PURGE_EXAMPLES)
def purge(
    pipeline: Annotated[
        str | None,
        typer.Option(
            "--pipeline", metavar="NAME", show_default=False, help="Only days with events of it."
        ),
    ] = None,
    older_than: Annotated[
        int | None,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=1,
            show_default=False,
            help="Default: what pipelines declare (days).",
        ),
    ] = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Drop days of staging that were kept long enough, for all pipelines of a database.

    A day stays while events of it are not in the archive of their pipeline, wait for
    a worker, or have failed and are not discarded. Ids stay for ever, so that what
    comes again is known.
    """
    from penstock.events.project import open_project, ready
    from penstock.events.retention import purge as drop_days

    with open_project(folder, env) as opened:
        if pipeline is not None:
            opened.pipeline(pipeline)
        places: dict[str, tuple[str, list[str]]] = {}
        for name, one in opened.pipelines.items():
            where = opened.postgres(one).where()
            places.setdefault(opened.dsn(one), (where, []))[1].append(name)
        found = []
        for dsn, (where, names) in places.items():
            if pipeline is None or pipeline in names:
                answer.say(where, "bold")
                ready(dsn)
                own = {name: opened.pipelines[name] for name in names}
                found += drop_days(dsn, own, only=pipeline, days=older_than)
    _show_days(found)
    if as_json:
        from dataclasses import asdict

        answer.answer({"days": [asdict(one) | {"day": one.day.isoformat()} for one in found]})


@contextmanager
def _opened(
    dsn: str | None, env: str | None, folder: Path, doing: str
) -> Iterator[tuple[Database, psycopg.Connection[Any]]]:
    """The database that is meant: with -e the one that pipelines of the project are worked on in.

    Raises:
        UsageError: Its pipelines are in several databases.
    """
    from penstock.cli.connected import connected

    if dsn is None and env is not None:
        from penstock.events.project import open_project

        with open_project(folder, env) as opened:
            found = {opened.dsn(one) for one in opened.pipelines.values()}
        if len(found) > 1:
            raise UsageError("The pipelines of this project are in several databases: say --dsn.")
        if not found:
            raise UsageError(f"{folder.resolve() / 'pipelines'} declares no pipeline.")
        dsn, source = found.pop(), f"-e {env}"
    else:
        source = ""
    with connected(dsn, doing, source=source) as opened_now:
        yield opened_now


def _chosen(
    connection: psycopg.Connection[Any],
    named: list[str] | None,
    pipeline: str | None,
    code: str | None,
    statuses: tuple[str, ...],
) -> list[Letter]:
    from penstock.events import letters

    if not named and pipeline is None and code is None:
        raise UsageError("Which events? Name them, or say --pipeline or --code.")
    places = [place for one in named or () for place in letters.find(connection, one)]
    found = letters.letters(
        connection,
        pipeline=pipeline,
        statuses=statuses if named else letters.OPEN,
        code=code,
        places=places if named else None,
        limit=None,
    )
    if not found:
        raise UsageError("None of these has failed: there is nothing to do.")
    return found


def _known(connection: psycopg.Connection[Any], pipeline: str | None) -> str:
    """What to say where nothing was received: perhaps another name is meant."""
    from penstock.events import letters

    known = sorted({one.pipeline for one in letters.balances(connection)})
    if pipeline is None or not known:
        return "No event was received yet."
    return f"No event was received for {pipeline} yet; for {', '.join(known)} some were."


def _show_balances(balances: list[SourceBalance], nothing: str) -> None:
    from rich.table import Table

    if not balances:
        answer.say(nothing)
        return
    names = ("received", "repeated", "waiting", "loaded", "dropped", "failed", "dead")
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("source", overflow="fold")
    for name in names:
        grid.add_column(name, justify="right", no_wrap=True)
    for one in balances:
        counts = [f"{getattr(one, name):,}" for name in names]
        grid.add_row(plain(f"{one.pipeline}/{one.source}"), *counts)
    answer.show(grid)
    for one in balances:
        if not one.balanced:
            answer.say(f"{one.pipeline}/{one.source}: the books do not balance.", "bold red")


def _show_reasons(reasons: list[Reason]) -> None:
    for one in reasons:
        where = f"{one.pipeline}/{one.source}"
        if one.schema_version is not None:
            where += f", version {one.schema_version}"
        answer.say(f"\n{where}: {_events(one.events)} {one.status} ({one.code})", "bold")
        answer.say(f"  {one.reason}")
        answer.say(f"  the last one, {one.last:%Y-%m-%d %H:%M}: events show {one.example}", "dim")


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _show_letters(found: list[Letter]) -> None:
    for one in found:
        answer.say(f"{one.place}  {one.pipeline}/{one.source}  {one.status} ({one.code})", "bold")
        answer.say(f"  {one.reason}")


def _show_days(found: list[Day]) -> None:
    dropped = [one for one in found if one.dropped]
    events = sum(one.events for one in dropped)
    answer.say(f"{len(dropped):,} of {len(found):,} days dropped, with {events:,} events.")
    for one in found:
        if one.due and not one.dropped:
            answer.say(f"{one.day} stays:", "yellow")
            for said in one.held:
                answer.say(f"  {said}", "yellow")


def _decrypt(one: dict[str, Any], folder: Path) -> None:
    from penstock.cli.project import project_key
    from penstock.errors import SourceError
    from penstock.events.encrypting import Altered, Cipher

    cipher = Cipher(project_key(folder), one["pipeline"], one["source"])
    try:
        one["raw"] = cipher.decrypt(bytes(one["raw"]))
    except Altered:
        raise SourceError(
            f"{one['chunk']}/{one['pos']}: an encrypted field was altered since it was staged"
        ) from None


def _show_event(one: dict[str, Any]) -> None:
    answer.say(f"{one['chunk']}/{one['pos']}  {one['pipeline']}/{one['source']}", "bold")
    answer.say(f"  id        {one['delivery_id']}")
    answer.say(f"  received  {one['received_at']:%Y-%m-%d %H:%M:%S %Z}")
    if one["schema_version"] is not None:
        answer.say(f"  version   {one['schema_version']}")
    answer.say(f"  status    {one['status']}, attempts: {one['attempts']}")
    if one["last_error"]:
        answer.say(f"  why       {one['last_error']}")
    text = bytes(one["raw"]).decode("utf-8", "backslashreplace")
    more = "" if len(text) <= _SHOWN else f" ... ({len(text):,} characters; --json has all)"
    answer.say(f"  {text[:_SHOWN]}{more}")


def _jsonable(one: dict[str, Any]) -> dict[str, Any]:
    from datetime import datetime

    made: dict[str, Any] = {}
    for name, value in one.items():
        if isinstance(value, datetime):
            made[name] = value.isoformat()
        elif isinstance(value, bytes):
            try:
                made[name] = value.decode()
            except UnicodeDecodeError:
                made[f"{name}_hex"] = value.hex()
        else:
            made[name] = value
    return made
