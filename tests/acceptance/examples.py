"""Runs the examples that are projects as a stranger would. Not for: what is expected of them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import fastexcel
import psycopg

from penstock.postgres.embedded import Cluster
from tests.integration.cli.program import environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_IGNORED = shutil.ignore_patterns(
    ".penstock", "__pycache__", ".env", "data", "logs", "share", "servers"
)


@contextmanager
def copied(name: str, folder: Path) -> Iterator[Path]:
    """A copy of an example beside what the examples share; its server is removed at the end."""
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, folder)
    project = Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=_IGNORED))
    try:
        yield project
    finally:
        Cluster.of_project(project).remove()


def run(project: Path, *words: str, code: int = 0) -> str:
    """Run `run.py`, or what is named; gives what it said."""
    done = subprocess.run(
        [sys.executable, *(words or (str(project / "run.py"),))],
        cwd=project,
        env=environment(PYTHONPATH=os.environ.get("PYTHONPATH", "")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def rows(project: Path, query: str) -> list[Any]:
    """What a query finds in the project's database."""
    with psycopg.connect(str(Cluster.of_project(project).url)) as connection:
        return connection.execute(query.encode()).fetchall()


def content(project: Path, *tables: str) -> str:
    """A hash of all rows of these tables, and of the versions of them: an update changes it too."""
    found = [rows(project, f"select xmin::text, t::text from {one} t order by 2") for one in tables]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def balance(said: str) -> dict[str, list[str]]:
    """The table that the example printed last: name -> cells."""
    lines = said[said.index("\ntable ") :].strip().splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in lines}


def module(path: Path) -> Any:
    """A file of an example as a module."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # dataclasses look it up
    spec.loader.exec_module(made)
    return made


def mails(project: Path) -> list[EmailMessage]:
    """What came to the mail server, in order."""
    paths = sorted((project / "servers" / "mails").glob("*.eml"), key=lambda path: int(path.stem))
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]
    return [one for one in found if isinstance(one, EmailMessage)]


def attached(mail: EmailMessage) -> list[dict[str, Any]]:
    """The rows of all attached workbooks."""
    found: list[dict[str, Any]] = []
    for one in mail.iter_attachments():
        content = one.get_payload(decode=True)
        assert isinstance(content, bytes)
        found += fastexcel.read_excel(content).load_sheet(0).to_polars().to_dicts()
    return found


def shown(project: Path) -> list[str]:
    """What the example's README says that it prints."""
    text = (EXAMPLES / project.name / "README.md").read_text(encoding="utf-8")
    return text.split("```text\n")[1].split("```")[0].splitlines()
