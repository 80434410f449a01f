"""The program `penstock`: how every command begins and ends. Not for: the commands (`commands`)."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.cli.interrupts import INTERRUPTED, end_at_once, raise_later, tell

if TYPE_CHECKING:
    from typer.exceptions import TyperException

#: New containers after which the youngest are looked through for garbage; Python's default: 700.
_GARBAGE_FROM = 100_000


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the program and end the process.

    Args:
        arguments: Those of the program, without its name; default `sys.argv`'s.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in options
    try:
        raise_later()
        # What is imported stays until the end: looking for garbage in it, then and between, would
        # cost a fifth of the start.
        gc.set_threshold(_GARBAGE_FROM)
        code = _outcome(words, as_json=as_json)
        gc.freeze()
    except KeyboardInterrupt:  # between two steps, or once more while the first is told
        tell("Interrupted.", as_json=as_json)
        code = INTERRUPTED
    raise SystemExit(code)


def _outcome(words: list[str], *, as_json: bool) -> int:
    """Run the program; gives its exit code, after any error has been told."""
    with end_at_once(as_json=as_json):
        from typer.exceptions import TyperException

        from penstock.cli import answer, commands
        from penstock.errors import PenstockError

    try:
        code = commands.app(words, prog_name="penstock", standalone_mode=False)
    except PenstockError as error:
        return answer.fail(error.message, error.exit_code, code=error.code, as_json=as_json)
    except TyperException as error:
        return _wrong_use(error, as_json)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        return answer.fail(_of_system(error), 1, code="os", as_json=as_json)
    except Exception as error:  # noqa: BLE001  the one place that must tell anything
        return answer.fail(answer.fault(error), 1, code="fault", as_json=as_json)
    if code == INTERRUPTED:  # typer makes it of Ctrl-C
        return answer.fail("Interrupted.", code, code="interrupted", as_json=as_json)
    return code if isinstance(code, int) else 0


def _wrong_use(error: TyperException, as_json: bool) -> int:
    from penstock.cli import answer

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
