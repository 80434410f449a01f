"""Takes what is new of a pipeline's files and APIs, once. Not for: webhooks, which wait for it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from penstock.errors import ConnectorError, UsageError
from penstock.events.drops import take_files
from penstock.events.pipeline import Pipeline
from penstock.events.polling import take_pages
from penstock.events.project import Opened, ready
from penstock.events.reserved import Busy
from penstock.events.sources import FileSource, HttpSource, WebhookSource, name_of
from penstock.events.staging import provide_days
from penstock.events.taken import Taken
from penstock.postgres.connection import connect, translated


def take(
    opened: Opened, pipeline: Pipeline, only: str | None = None
) -> Iterator[tuple[str, Taken]]:
    """Take what is new of each source, one after the other.

    A source that cannot be reached, or that another process takes from, does not keep the others
    from coming.

    Args:
        opened: The project.
        pipeline: One of it.
        only: The name of one source; None: all of its files and APIs.

    Yields:
        The name of a source, and what came of it.

    Raises:
        UsageError: There is no such source, or none to take from; or its declaration is wrong.
        TargetError: The database refuses.
        TryAgain: It does not answer, or the connection broke: nothing is lost, and the next intake
            goes on there.
    """
    chosen = _chosen(pipeline, only)
    opened.check_key(chosen)
    dsn = opened.dsn(pipeline)
    ready(dsn)
    try:
        with connect(dsn) as connection:
            provide_days(connection)
        for source in chosen:
            yield name_of(source), _taken(opened, pipeline, source, dsn)
    except psycopg.Error as error:
        raise translated(error, "take events") from None


def _taken(opened: Opened, pipeline: Pipeline, source: FileSource | HttpSource, dsn: str) -> Taken:
    try:
        if isinstance(source, HttpSource):
            return take_pages(dsn, pipeline, source, opened.connectors, key=opened.key)
        where = (opened.connectors, opened.env.folder)
        return take_files(dsn, pipeline, source, *where, key=opened.key)
    except ConnectorError as error:
        return Taken(problems=[error.message])
    except Busy as error:
        return Taken(busy=True, notes=[error.message])


def _chosen(pipeline: Pipeline, only: str | None) -> list[FileSource | HttpSource]:
    if only is not None:
        one = pipeline.source(only)
        if isinstance(one, WebhookSource):
            raise UsageError(f"{only} is a webhook: it is received by penstock serve")
        return [one]
    found = [one for one in pipeline.sources if not isinstance(one, WebhookSource)]
    if not found:
        raise UsageError(f"{pipeline.name} has no files and no API to take events from")
    return found
