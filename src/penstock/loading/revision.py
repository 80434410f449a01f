"""Writes what `--create` or `--alter add` would do as an Alembic revision. Not for: doing it."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.errors import UsageError
from penstock.loading.change import TableChange, planned
from penstock.loading.inputs import inputs_of
from penstock.model.options import LoadOptions
from penstock.postgres.connection import set_locally, target_of, translated

if TYPE_CHECKING:
    import sqlalchemy

_DOWN = re.compile(r"^down_revision(?::[^=]*)?\s*=\s*['\"]([^'\"]+)['\"]", re.M)
_OWN = re.compile(r"^revision(?::[^=]*)?\s*=\s*['\"]([^'\"]+)['\"]", re.M)
#: What SQLAlchemy would take for a parameter in a statement.
_PARAMETER = re.compile(r":(?=\w)")
_NAME = 12


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision file that was written.

    Attributes:
        ddl: Its statement.
        after: The revision that it follows; None where it is the first, or that is not certain.
        notes: What a person should know.
    """

    ddl: str
    after: str | None
    notes: tuple[str, ...]


def write_revision(
    where: str | sqlalchemy.Engine | sqlalchemy.Connection,
    what: tuple[str, Any],
    path: Path,
    options: LoadOptions,
) -> Revision | None:
    """Write the file, and change nothing in the database.

    It follows the one revision in the file's folder that no other follows.

    Args:
        where: As for `load_table`.
        what: The table and the source.
        path: The file; must not be there.
        options: With `create` or `alter`.

    Returns:
        None where there is nothing to be changed.

    Raises:
        UsageError: The file is there.
        PenstockError: As for `load_table`.
    """
    if path.exists():
        raise UsageError(f"{path} is there already: name another file for --revision")
    table, source = what
    with target_of(where) as target, tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        try:
            if not target.joined:
                set_locally(target.connection, "public")
            inputs = inputs_of(source, options, lambda: Path(folder))
            change = planned(target.connection, table, inputs, options)
        except psycopg.Error as error:
            raise translated(error, f"look at {table}") from None
        finally:
            if not target.joined:
                target.connection.rollback()
    if change is None:
        return None
    after = _head(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(change, after), encoding="utf-8")
    return Revision(change.statements.text, after, change.notes)


def _head(folder: Path) -> str | None:
    """The revision in a folder that no other one follows; None where there is no such one."""
    own: set[str] = set()
    followed: set[str] = set()
    for text in _files(folder):
        own.update(_OWN.findall(text))
        followed.update(_DOWN.findall(text))
    heads = own - followed
    return heads.pop() if len(heads) == 1 else None


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.py")):
        yield path.read_text(encoding="utf-8", errors="replace")


def _text(change: TableChange, after: str | None) -> str:
    name = change.spec.name
    undo = _PARAMETER.sub(r"\\:", change.statements.undo)
    what = "Create" if change.creates else "Add columns to"
    follows = repr(after)
    if after is None:
        follows += "  # name the revision that this one follows, if there is one"
    # Why each column has its type, as comments of Python: SQLAlchemy reads the statement itself.
    reasons = [line for line in change.statements.text.splitlines() if _is_comment(line)]
    lines = [line for line in change.statements.text.splitlines() if not _is_comment(line)]
    return "\n".join(
        [
            f'"""{what} {_inside(str(name))}, as its input says."""',
            "",
            "from alembic import op",
            "",
            f'revision = "{uuid.uuid4().hex[:_NAME]}"',
            f"down_revision = {follows}",
            "branch_labels = None",
            "depends_on = None",
            "",
            *(f"# {reason.strip().removeprefix('-- ')}" for reason in reasons),
            '_UP = """',
            *(_inside(_PARAMETER.sub(r"\\:", line)) for line in lines),
            '"""',
            f"_DOWN = {undo!r}",
            "",
            "",
            "def upgrade() -> None:",
            "    op.execute(_UP)",
            "",
            "",
            "def downgrade() -> None:",
            "    op.execute(_DOWN)",
            "",
        ]
    )


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("--")


def _inside(text: str) -> str:
    """The text as it stands within three double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
