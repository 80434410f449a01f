"""Writes docs/reference/cli.md from the parser of the command line. Not for: what options do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import typer

from penstock.cli.commands import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
_HEAD = """# The command line

Made from the program itself (`tests/docs/cli_page.py`); `penstock COMMAND --help` says the same.

Every command says on standard error what it does, and in its first line into which database. With
`--json` there is one JSON object on standard output, also for an error. Which database:
[settings](settings.md). Exit codes: [exit codes](exit-codes.md).
"""
_SHARED = "load", "load-star"


def commands() -> Iterator[tuple[str, Any]]:
    """Each command that can be run and its full name, in the order of `penstock --help`."""
    top: Any = typer.main.get_command(app)
    yield "", top
    for name in sorted(top.commands, key=_place):
        yield from _with_parts(name, top.commands[name])


def _with_parts(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from _with_parts(f"{name} {part}", inner)


def _place(name: str) -> int:
    order = (
        "load",
        "load-star",
        "inspect",
        "clear",
        "rejects",
        "runs",
        "console",
        "new",
        "run",
        "schedule",
        "test-connections",
        "config",
        "key",
        "ingest",
        "serve",
        "ingest",
        "work",
        "check",
        "replay",
        "events",
        "archive",
        "forget",
        "doctor",
        "migrate",
        "roles",
        "pg",
    )
    return order.index(name)


def options(command: Any) -> list[Any]:
    """The options of a command, without `--help`."""
    return [one for one in command.params if one.opts[0].startswith("-")]


def page() -> str:
    """The whole page."""
    found = dict(commands())
    parts = [_HEAD]
    for name, command in found.items():
        known = set()
        if name == _SHARED[1]:
            known = {one.opts[0] for one in options(found[_SHARED[0]])}
        parts.append(_section(name, command, known))
    return "\n".join(parts)


def _section(name: str, command: Any, known: set[str]) -> str:
    lines = [f"{'#' * (2 + name.count(' '))} `{f'penstock {name}'.strip()}`", "", command.help, ""]
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    shape = " ".join([f"penstock {name}".strip(), *(one.metavar for one in arguments)])
    if getattr(command, "commands", None):
        shape = f"{shape} COMMAND"
    lines += ["```", shape if not options(command) else f"{shape} [OPTIONS]", "```", ""]
    lines += [f"- `{one.metavar}`: {_line(one.help)}" for one in arguments]
    own = [one for one in options(command) if one.opts[0] not in known]
    lines += [_option(one) for one in own]
    if known:
        lines.append(f"- and every option of [`penstock {_SHARED[0]}`](#penstock-{_SHARED[0]})")
    lines += [""] if own or arguments else []
    lines += _ending(command.epilog or "")
    return "\n".join(lines)


def _option(one: Any) -> str:
    names = ", ".join(f"`{name}`" for name in one.opts)
    metavar = "" if one.is_flag else f" `{one.metavar}`"
    default = f" Default: {one.default}." if one.show_default and not one.is_flag else ""
    return f"- {names}{metavar}: {_line(one.help)}{default}"


def _line(text: str) -> str:
    return re.sub(r"([*_])", r"\\\1", " ".join(text.split()))


def _ending(text: str) -> list[str]:
    """The epilog: its headings, and the lines below them as they are."""
    lines: list[str] = []
    for part in text.strip().split("\n\n"):
        heading, _, rest = part.partition("\n")
        if heading.startswith("[bold]"):
            lines += [f"{heading[6:-7]}:", "", "```", *dedent(rest).splitlines(), "```", ""]
        elif part:
            lines += [part, ""]
    return lines
