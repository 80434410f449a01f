"""The SQL that revisions would run, without a database (Alembic's offline mode). Not for: running.

A revision that asks the database while it runs cannot be followed beyond that line: what came
before is given, and why it ended.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory

from penstock.postgres.revisions.folder import Folder, Revision, told

#: Where it is noted what a database has; a project's own schema may be declared.
VERSIONS, SCHEMA = "alembic_version", "public"


@dataclass(frozen=True, slots=True)
class Written:
    """What a revision would run.

    Attributes:
        revision: Which.
        sql: With BEGIN and COMMIT, and the note in the version table.
        unseen: Why it is not all of it; empty where it is.
    """

    revision: Revision
    sql: str
    unseen: str


def written(folder: Folder, scripts: ScriptDirectory, one: Revision, schema: str) -> Written:
    """The SQL of one revision.

    Args:
        folder: Its folder.
        scripts: The same for Alembic.
        one: Which.
        schema: Of the version table.
    """
    out, unseen = io.StringIO(), ""
    step = MigrationStep.upgrade_from_script(scripts.revision_map, folder.script(scripts, one))

    def steps(rev: object, context: MigrationContext) -> list[MigrationStep]:
        del rev, context
        return [step]

    config = Config(output_buffer=out)
    context = EnvironmentContext(
        config, scripts, as_sql=True, fn=steps, starting_rev=one.follows or None
    )
    with context as env:
        env.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},
            output_buffer=out,
            literal_binds=True,
            transaction_per_migration=True,
            version_table=VERSIONS,
            version_table_schema=schema,
        )
        try:
            with env.begin_transaction():
                env.run_migrations()
        except Exception as error:  # noqa: BLE001  the project's own code may raise anything
            unseen = told(error, folder.path)
    return Written(one, out.getvalue().strip(), unseen)
