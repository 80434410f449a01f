"""How a command answers: text for people on stderr, one JSON object on stdout, the exit code.

Not for: the report of a load (`report`).
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.cli.interrupts import INTERRUPTED
from penstock.errors import LoadError, PenstockError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: All rows landed, or some wait in quarantine.
LOADED, QUARANTINED = 0, 3

#: Characters that a terminal obeys instead of showing: controls, invisible formats, surrogates.
_OBEYED = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_URL_SECRET = re.compile(r"(://)[^\s'\"]*@")
_KEY_SECRET = re.compile(r"(?i)\b(password|passfile|sslpassword)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)")


def plain(text: str) -> str:
    r"""The text as one line that is safe to show: what a terminal would obey is escaped.

    A tab becomes `\t`, ESC becomes `\x1b`, a right-to-left override `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _OBEYED:
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def masked(text: str) -> str:
    """The text without the user and password of URLs and the passwords of connection strings."""
    return _KEY_SECRET.sub(r"\1=***", _URL_SECRET.sub(r"\1***@", text))


def command_line(arguments: Sequence[str]) -> str:
    """The command as it is kept in the ledger: `--dsn` left out, other secrets masked.

    Args:
        arguments: Those of the program, without its name.
    """
    import shlex

    kept: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--dsn":
            next(left, None)
        elif not argument.startswith("--dsn="):
            kept.append(masked(argument))
    return shlex.join(["penstock", *kept])


def console(*, err: bool = True) -> Console:
    """A console on stderr; lines are not broken where it is no terminal."""
    from rich.console import Console

    made = Console(stderr=err, highlight=False, emoji=False, markup=False)
    made.soft_wrap = not made.is_terminal
    return made


def say(text: str, style: str = "") -> None:
    """One message for people, on stderr."""
    from rich.text import Text

    lines = "\n".join(plain(line) for line in text.split("\n"))
    console().print(Text(lines, style=style))


def show(shown: RenderableType) -> None:
    """A table or grid for people, on stderr; where that is no terminal, without blanks behind."""
    out = console()
    if out.is_terminal:
        out.print(shown, soft_wrap=False)
        return
    with out.capture() as captured:
        out.print(shown, soft_wrap=False)
    sys.stderr.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stderr.flush()


def answer(value: dict[str, Any]) -> None:
    """One JSON object on stdout; ASCII, so that no terminal or encoding can spoil it.

    Where nobody takes it (a full disk, a closed pipe), stderr says so, and the exit code stays
    that of the work: it was done or not.
    """
    try:
        print(json.dumps(value), flush=True)  # noqa: T201  this is the command's answer
    except OSError as error:
        # Otherwise Python tries again when it ends, and fails in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say(f"The JSON answer could not be written: {error.strerror}.", "yellow")


def fail(message: str, exit_code: int, *, code: str = "", as_json: bool = False) -> int:
    """Tell an error on stderr, with `as_json` on stdout too, and give its exit code back."""
    from rich.text import Text

    if "\n" not in message and not message.endswith((".", "!", "?")):
        message += "."
    lines = "\n".join(plain(line) for line in message.split("\n"))
    console().print(Text.assemble(("Error: ", "bold red"), lines))
    if as_json:
        answer({"error": {"code": code, "message": message, "exit_code": exit_code}})
    return exit_code


def interrupted(what: str) -> PenstockError:
    """The error of a load that Ctrl-C ended."""
    error = LoadError(f"Interrupted: {what}", code="interrupted")
    error.exit_code = INTERRUPTED
    return error


def fault(error: BaseException) -> str:
    """What to say of an error that nobody foresaw; the traceback only where it is asked for."""
    if os.environ.get("PENSTOCK_DEBUG"):
        print(masked("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201
        hint = "Please report it with the traceback above."
    else:
        hint = "PENSTOCK_DEBUG=1 shows the traceback; please report it."
    said = " ".join(masked(str(error)).split())
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"This is a fault of Penstock, not of your input: {text}. {hint}"
