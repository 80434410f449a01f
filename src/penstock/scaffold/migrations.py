"""Drafts revisions of a project's tables. Not for: running them (`postgres.revisions`)."""

from __future__ import annotations

import importlib.util
import re
import sys
import uuid
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import psycopg
import sqlalchemy
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations.ops import DowngradeOps, MigrationScript, UpgradeOps
from alembic.runtime.migration import MigrationContext

from penstock.errors import UsageError
from penstock.postgres.connection import connect
from penstock.postgres.revisions.folder import folder_of, read_folder
from penstock.postgres.revisions.offline import SCHEMA

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NUMBER = re.compile(r"(\d+)_")
_ID = 12
_EXAMPLE = (
    '    # op.execute("alter table events add column country text")',
    '    # op.execute("alter table events drop column country")',
)


@dataclass(frozen=True, slots=True)
class Drafted:
    """What a revision does, as Python; each line indented by four blanks."""

    upgrade: str
    downgrade: str
    imports: tuple[str, ...] = ()


def make_migration(root: Path, name: str, drafted: Drafted | None = None) -> Path:
    """Write a revision that follows the newest one of the project.

    Args:
        root: The project's root; the folder of revisions is made where it lacks one.
        name: Of the file, behind its number: small letters, digits, underscores.
        drafted: What it does; None: nothing yet.

    Raises:
        UsageError: This is no project, the name is none, or the folder cannot be read.
    """
    if not (root / "config.py").is_file():
        raise UsageError(f"There is no config.py in {root}: is this a project? penstock new DIR")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for it: small letters, digits and underscores")
    path = folder_of(root)
    folder = read_folder(path)
    path.mkdir(exist_ok=True)
    numbers = [int(found[1]) for one in path.glob("*.py") if (found := _NUMBER.match(one.name))]
    made = path / f"{max(numbers, default=0) + 1:04}_{name}.py"
    text = resources.files("penstock.scaffold") / "templates" / "migration.txt"
    said = drafted or Drafted(*_EXAMPLE)
    made.write_text(
        Template(text.read_text(encoding="utf-8")).substitute(
            title=name.replace("_", " ").capitalize(),
            revision=uuid.uuid4().hex[:_ID],
            follows="None" if folder.head is None else f'"{folder.head}"',
            imports="".join(f"{line}\n" for line in sorted(said.imports)),
            upgrade=said.upgrade,
            downgrade=said.downgrade,
        ),
        encoding="utf-8",
    )
    return made


def draft_from_models(conninfo: str, models: Path, schema: str) -> Drafted | None:
    """What the tables of a database lack of SQLAlchemy's models, by Alembic's comparison.

    Only tables that the models name are compared: partitions, the ledger's and other programs'
    tables are left alone, and so are indexes and constraints that no model names.

    Args:
        conninfo: Of the database, brought to the newest revision first.
        models: A Python file with `Base` (of `DeclarativeBase`) or `metadata`.
        schema: Where tables without a schema are; first in the search path, as for the revisions.

    Returns:
        None where there is nothing to do.

    Raises:
        UsageError: The file raises an error, or has neither.
    """
    metadata = _metadata(models)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(conninfo, autocommit=False),
        poolclass=sqlalchemy.NullPool,
    )
    named = {table.name for table in metadata.tables.values()}

    def compared(name: str | None, kind: str, parents: Any) -> bool:
        del parents
        return kind != "table" or name in named

    def wanted(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        del item, name
        return kind in ("table", "column") or not reflected or other is not None

    opts = {"include_name": compared, "include_object": wanted, "compare_server_default": False}
    with engine.connect() as connection:
        if schema != SCHEMA:
            path = psycopg.sql.SQL("{}, public").format(psycopg.sql.Identifier(schema)).as_string()
            connection.exec_driver_sql("select set_config('search_path', %s, true)", (path,))
            connection.dialect.default_schema_name = schema
        context = MigrationContext.configure(connection, opts=opts)
        script: MigrationScript = produce_migrations(context, metadata)
        up, down = script.upgrade_ops, script.downgrade_ops
        if up is None or down is None or up.is_empty():
            return None
        imports = {"import sqlalchemy as sa"}
        code = [_lines(one, context, imports) for one in (up, down)]
        return Drafted(code[0], code[1], tuple(imports))


def _metadata(models: Path) -> sqlalchemy.MetaData:
    if not models.is_file():
        raise UsageError(f"There is no file {models}")
    spec = importlib.util.spec_from_file_location(models.stem, models)
    assert spec is not None  # noqa: S101  a .py file has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # declarative models look their own module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the project's own code may raise anything
        raise UsageError(f"{models}: {type(error).__name__}: {error}") from error
    for one in (getattr(module, "metadata", None), getattr(module, "Base", None)):
        found = getattr(one, "metadata", one)
        if isinstance(found, sqlalchemy.MetaData):
            return found
    raise UsageError(f"{models} has neither Base (a DeclarativeBase) nor metadata")


def _lines(
    operations: UpgradeOps | DowngradeOps, context: MigrationContext, imports: set[str]
) -> str:
    """Alembic's own lines for them, without its comments; what they import is added."""
    code = render_python_code(
        operations, migration_context=context, imports=[], render_as_batch=False
    )
    if "postgresql." in code:
        imports.add("from sqlalchemy.dialects import postgresql")
    kept = [line for line in code.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(kept)
