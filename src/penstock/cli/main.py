"""The program `penstock`: its commands, and how every one of them ends. Not for: their work."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from penstock.cli import answer
from penstock.cli.clear import CLEAR_EXAMPLES, clear
from penstock.cli.help import BOOKS, DATABASE, LOADING, Command, Group
from penstock.cli.ledger import (
    DOCTOR_EXAMPLES,
    MIGRATE_EXAMPLES,
    ROLES_EXAMPLES,
    doctor,
    migrate,
    roles,
)
from penstock.cli.load import LOAD_EXAMPLES, STAR_EXAMPLES, load, load_star
from penstock.cli.new import new_app
from penstock.cli.pg import pg_app
from penstock.cli.rejects import rejects_app
from penstock.cli.runs import runs_app
from penstock.errors import PenstockError

#: New containers after which the youngest are looked through for garbage; Python's default: 700.
_GARBAGE_FROM = 100_000

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Load files into PostgreSQL, with every row accounted for.",
    epilog="""
[bold]First steps[/bold]
  export PENSTOCK_DSN=postgresql://me@localhost/shop   which database
  penstock load products.csv --dry-run                 try it, change nothing
  penstock load products.csv                           do it

Which database: --dsn, else PENSTOCK_DSN, else POSTGRES_HOST, _PORT, _DB,
_USER and _PASSWORD (also from .env), else the embedded one of a folder that
has one. penstock COMMAND --help shows all of a command, with examples.
""",
)

app.command("load", cls=Command, epilog=LOAD_EXAMPLES, rich_help_panel=LOADING)(load)
app.command("load-star", cls=Command, epilog=STAR_EXAMPLES, rich_help_panel=LOADING)(load_star)
app.command("clear", cls=Command, epilog=CLEAR_EXAMPLES, rich_help_panel=LOADING)(clear)
app.add_typer(new_app, name="new", rich_help_panel=LOADING)
app.add_typer(rejects_app, name="rejects", rich_help_panel=BOOKS)
app.add_typer(runs_app, name="runs", rich_help_panel=BOOKS)
app.command("doctor", cls=Command, epilog=DOCTOR_EXAMPLES, rich_help_panel=DATABASE)(doctor)
app.command("migrate", cls=Command, epilog=MIGRATE_EXAMPLES, rich_help_panel=DATABASE)(migrate)
app.command("roles", cls=Command, epilog=ROLES_EXAMPLES, rich_help_panel=DATABASE)(roles)
app.add_typer(pg_app, name="pg", rich_help_panel=DATABASE)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"penstock {version('penstock')}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Say the version, and end."
        ),
    ] = False,
) -> None:
    del version


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the program and end the process.

    Args:
        arguments: Those of the program, without its name; default `sys.argv`'s.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)  # a service manager's Ctrl-C
    # What is imported stays until the end: looking for garbage in it, then and between, would
    # cost a fifth of the start.
    gc.set_threshold(_GARBAGE_FROM)
    code = _outcome(words)
    gc.freeze()
    raise SystemExit(code)


def _stop(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _outcome(words: list[str]) -> int:
    """Run the program; gives its exit code, after any error has been told."""
    options = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in options
    try:
        code = app(words, prog_name="penstock", standalone_mode=False)
    except PenstockError as error:
        return answer.fail(error.message, error.exit_code, code=error.code, as_json=as_json)
    except TyperException as error:
        return _wrong_use(error, as_json)
    except KeyboardInterrupt:
        code = answer.INTERRUPTED
    except OSError as error:
        return answer.fail(_of_system(error), 1, code="os", as_json=as_json)
    except Exception as error:  # noqa: BLE001  the one place that must tell anything
        return answer.fail(answer.fault(error), 1, code="fault", as_json=as_json)
    if code == answer.INTERRUPTED:  # typer makes it of Ctrl-C
        return answer.fail("Interrupted.", code, code="interrupted", as_json=as_json)
    return code if isinstance(code, int) else 0


def _wrong_use(error: TyperException, as_json: bool) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # the help was shown
        return error.exit_code
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "penstock"
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    message = answer.masked(f"{said}. See {path} --help.")
    return answer.fail(message, error.exit_code, code="usage", as_json=as_json)


def _of_system(error: OSError) -> str:
    """What the operating system refused: a full disk, a right, a file in use."""
    said = error.strerror or str(error)
    return f"{error.filename}: {said}." if error.filename else f"{said}."
