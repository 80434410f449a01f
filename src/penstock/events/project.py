"""Opens a project for its pipelines: settings, connectors, databases. Not for: running them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from penstock.connectors.ledgers import ledger_of
from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.connectors.registry import connectors
from penstock.errors import UsageError
from penstock.events.pipeline import Pipeline, pipeline_named, pipelines_in
from penstock.events.sources import Source, name_of
from penstock.ledger import install
from penstock.postgres.catalog import nearest
from penstock.postgres.connection import connect
from penstock.project.environment import Environment, choose, load_config
from penstock.project.keys import ProjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A project, opened; `with` closes its connectors at the end.

    Attributes:
        env: The settings of one environment; `env.folder` is the project's root.
        connectors: Those of it, by name; nothing of them is open yet.
        pipelines: What its modules in `pipelines/` declare, by name.
    """

    env: Environment
    connectors: Mapping[str, Connector] = field(repr=False)
    pipelines: Mapping[str, Pipeline]

    def pipeline(self, name: str) -> Pipeline:
        """A pipeline of the project.

        Raises:
            UsageError: There is none of that name.
        """
        if name not in self.pipelines:
            return pipeline_named(self.env.folder, name)
        return self.pipelines[name]

    def postgres(self, pipeline: Pipeline) -> Postgres:
        """The connector of the database that holds a pipeline's staging and target.

        Raises:
            UsageError: Its `connector` is none of a PostgreSQL database, or the project's ledger
                cannot be told.
        """
        if pipeline.connector is None:
            return ledger_of(self.env, self.connectors)
        found = self.connectors.get(pipeline.connector)
        if not isinstance(found, Postgres):
            known = [name for name, one in self.connectors.items() if isinstance(one, Postgres)]
            raise UsageError(
                f"Pipeline {pipeline.name}: connector {pipeline.connector!r} is no PostgreSQL "
                f"database of env.{nearest(pipeline.connector, known)}"
            )
        return found

    def dsn(self, pipeline: Pipeline) -> str:
        """What libpq connects by to a pipeline's database; it may hold the password.

        The project's own server is started where it is meant. The ledger may not be there yet:
        see `ready`.

        Raises:
            UsageError: As for `postgres`.
            TargetError: The project's own server does not start.
        """
        return self.postgres(pipeline).conninfo()

    @property
    def key(self) -> ProjectKey:
        """The project's key, which may not be there."""
        return ProjectKey(self.env.project)

    def check_key(self, sources: Iterable[Source]) -> None:
        """Refuse to begin without the key that sources need.

        Raises:
            UsageError: One of them declares `encrypt`, and there is no key.
        """
        for one in sources:
            if one.encrypt:
                try:
                    self.key.derived("")
                except UsageError as error:
                    said = f"source {name_of(one)} declares encrypt"
                    raise UsageError(f"{said}: {error.message}") from None

    def close(self) -> None:
        """Give back what the connectors hold."""
        for one in self.connectors.values():
            one.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def open_project(folder: Path, env: str | None) -> Opened:
    """Open a project: its settings are read, its connectors made, its pipelines imported.

    Args:
        folder: The project's root.
        env: `dev`, `test` or `prod`; None: what PENSTOCK_ENV says, else `dev`.

    Raises:
        UsageError: There is no project, or its settings, connectors or pipelines are wrong.
    """
    root = folder.resolve()
    environment = choose(load_config(root), env, root)
    return Opened(
        env=environment,
        connectors=connectors(environment, root),
        pipelines=pipelines_in(root),
    )


def ready(dsn: str) -> None:
    """Make the ledger where there is none, or bring it up to date; else nothing.

    Raises:
        TargetError: The role may not.
        TryAgain: The server does not answer.
    """
    with connect(dsn) as connection:
        found = install.revision(connection)
        if not found["there"] or found["revision"] is None or found["revision"] < install.HEAD:
            install.ensure(connection, dsn)
