"""Where a pipeline's events come from, and what tells one from another. Not for: reading them.

Two ids: the *delivery id* says whether a message was received before; the *key*, which the
transform makes, says which row of the target it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from penstock.errors import UsageError

#: Bytes of the longest event that is staged.
MAX_EVENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What tells the events of a source apart.

    Attributes:
        id: Dotted path of the event's id in its JSON, such as `id` or `event.id`; None: the
            content is all there is, so that two identical events are one.
        immutable: True: an id never comes with other content, and is the delivery id alone. Else
            the delivery id is the id with the content's hash: a newer version of an event is not
            taken for a repetition.
        encrypt: Dotted paths of personal fields in its JSON, such as `user.email` or
            `items[].note`: their values are encrypted by the project's key before they are staged.
        schema_version: Dotted path of the version of an event's schema in its JSON, by which
            people look at events and at why they fail; None: it says none.
    """

    id: str | None = "id"
    immutable: bool = False
    encrypt: Sequence[str] = ()
    schema_version: str | None = None

    def __post_init__(self) -> None:
        for name, path in (("id", self.id), ("schema_version", self.schema_version)):
            if path is not None and not all(path.split(".")):
                raise UsageError(f'{name}: "{path}" is no path of keys, such as "id" or "event.id"')
        if self.id is None and self.immutable:
            raise UsageError("immutable=True needs id: without one the content is the id")
        wrong = [self.encrypt] if isinstance(self.encrypt, str) else self.encrypt
        for one in wrong:
            if wrong is not self.encrypt or not all(plain_path(one).split(".")):
                raise UsageError(
                    f'encrypt: "{one}" is no list of paths such as ["user.email", "items[].note"]'
                )


def plain_path(path: str) -> str:
    """A path of fields without the marks of lists, through which it leads anyhow."""
    return path.replace("[]", "").removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource(Identified):
    """Files that are dropped: each content once.

    Attributes:
        files: A pattern: of the connector's place, or of a folder, relative to the project.
        connector: The place's key in `env` (`files`, `sftp`, `objects`); None: this machine.
        name: The source's; default: the connector's, else `files`.
        options: How files are written, as for `load_table`: `format`, `json_path`, `delimiter` ...
    """

    files: str
    connector: str | None = None
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource(Identified):
    """An HTTP API that gives events page by page.

    Attributes:
        connector: The API's key in `env` (kind `rest`).
        module: What is read, as the connector declares it; with a `cursor`, only what is newer.
        name: The source's; default: the connector's and the module's.
        at: Path of the time in an event that the cursor stands for, in ISO form with a zone or in
            seconds or milliseconds since 1970; None: no cursor, everything is read each time.
        overlap: How far before the cursor each read begins anew: events that came late.
    """

    connector: str
    module: str
    name: str = ""
    at: str | None = None
    overlap: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSource(Identified):
    """A partner that posts signed events to `penstock serve`.

    Attributes:
        name: The last part of its address: `/in/NAME`.
        scheme: How it signs: `standard` (Standard Webhooks), `github`, `stripe`, or a declaration
            of its own (`penstock.events.webhooks.schemes`).
        secret: The key in `env` whose value is the secret, or two of them during a rotation.
        tolerance: How far the signed time may lie from ours, in both directions.
        max_bytes: Of the longest body.
        rate: Signed requests a second that each receiver takes; what is more is answered 429.
            None: as many as come.
        burst: Requests that may come at once after a pause; None: those of a second.
    """

    name: str
    secret: str
    scheme: Any = "standard"
    tolerance: timedelta = timedelta(minutes=5)
    max_bytes: int = 1 << 20
    rate: float | None = None
    burst: int | None = None


Source = FileSource | HttpSource | WebhookSource


def name_of(source: Source) -> str:
    """The name by which the ledger knows a source within its pipeline."""
    if source.name:
        return source.name
    if isinstance(source, HttpSource):
        return f"{source.connector}.{source.module}"
    assert isinstance(source, FileSource)  # noqa: S101  a webhook has a name
    return source.connector or "files"
