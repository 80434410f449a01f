"""What a project declares of its webhooks, checked and bound to secrets and databases.

Not for: receiving (`server`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from penstock.errors import UsageError
from penstock.events.encrypting import cipher_of
from penstock.events.pipeline import Pipeline
from penstock.events.project import Opened, ready
from penstock.events.sources import MAX_EVENT_BYTES, WebhookSource
from penstock.events.staging import source_id
from penstock.events.webhooks.app import Receiver, Receiving
from penstock.events.webhooks.batching import GroupCommit
from penstock.events.webhooks.limits import Limits
from penstock.events.webhooks.rates import Rate
from penstock.events.webhooks.schemes import SCHEMES, Scheme, check_secrets
from penstock.model.secret import Secret
from penstock.postgres.connection import connect, translated
from penstock.project.keys import ProjectKey

#: What needs no escapes in an address.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
#: Seconds: a window of more than a day is none.
_LONGEST = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook of a pipeline.

    Attributes:
        pipeline: The pipeline.
        source: As it was declared.
        scheme: How its sender signs.
        secrets: One, or two during a rotation.
    """

    pipeline: Pipeline
    source: WebhookSource
    scheme: Scheme
    secrets: tuple[Secret, ...]


def hooks_of(pipelines: Mapping[str, Pipeline], env: Mapping[str, Any]) -> list[Hook]:
    """The webhooks of a project.

    Args:
        pipelines: Those of the project, by name.
        env: The settings of the environment, which have the secrets.

    Raises:
        UsageError: Some are declared wrongly; all of them are listed.
    """
    found, problems = [], []
    for pipeline in pipelines.values():
        for source in pipeline.sources:
            if isinstance(source, WebhookSource):
                try:
                    found.append(_hook(pipeline, source, env))
                except UsageError as error:
                    problems.append(f"{pipeline.name}, webhook {source.name}: {error.message}")
    if problems:
        raise UsageError("\n".join(problems))
    return found


def receiver_of(project: Opened, say: Callable[[str], None]) -> Receiver:
    """What a project receives, with one writer for each of its databases.

    Args:
        project: Opened.
        say: Tells people that a database fails, and that it works again.

    Raises:
        UsageError: No pipeline has a webhook, one is declared wrongly, or there is no key.
        TargetError: A ledger is not there and cannot be made.
        TryAgain: A database does not answer.
    """
    hooks = hooks_of(project.pipelines, project.env)
    project.check_key(one.source for one in hooks)
    if not hooks:
        raise UsageError(
            f"No pipeline in {project.env.folder} has a webhook. Give one "
            'sources=[WebhookSource(name="partner", secret="partner.secret")]'
        )
    by_database: dict[str, list[Hook]] = {}
    for hook in hooks:
        by_database.setdefault(project.dsn(hook.pipeline), []).append(hook)
    sources: dict[str, Receiving] = {}
    for dsn, ones in by_database.items():
        sources |= _received(dsn, ones, say, project.key)
    return Receiver(sources=sources, limits=Limits(), say=say)


def _received(
    dsn: str, hooks: list[Hook], say: Callable[[str], None], key: ProjectKey
) -> dict[str, Receiving]:
    """What is received into one database."""
    ready(dsn)
    try:
        with connect(dsn) as connection:
            numbers = [
                source_id(connection, one.pipeline.name, one.source.name, one.source.schema_version)
                for one in hooks
            ]
    except psycopg.Error as error:
        raise translated(error, "receive webhooks") from None
    into = GroupCommit(connect=lambda: connect(dsn, autocommit=False), say=say)
    return {
        one.source.name: Receiving(
            number=number,
            scheme=one.scheme,
            secrets=one.secrets,
            tolerance=one.source.tolerance.total_seconds(),
            identified=one.source,
            max_bytes=one.source.max_bytes,
            into=into,
            rate=_rate(one.source),
            cipher=cipher_of(key, one.pipeline.name, one.source.name, one.source.encrypt),
        )
        for one, number in zip(hooks, numbers, strict=True)
    }


def _hook(pipeline: Pipeline, source: WebhookSource, env: Mapping[str, Any]) -> Hook:
    scheme = SCHEMES.get(source.scheme) if isinstance(source.scheme, str) else source.scheme
    if not isinstance(scheme, Scheme):
        raise UsageError(f"scheme: one of {', '.join(SCHEMES)}, or Scheme(...)")
    if not _NAME.fullmatch(source.name):
        raise UsageError("name: letters, digits, . _ - only, as it is part of its address")
    if not 0 < source.tolerance.total_seconds() <= _LONGEST:
        raise UsageError("tolerance: more than nothing, and up to a day")
    if not 0 < source.max_bytes <= MAX_EVENT_BYTES:
        raise UsageError(f"max_bytes: 1 to {MAX_EVENT_BYTES:,}")
    if source.rate is not None and not 0 < source.rate < math.inf:
        raise UsageError("rate: more than 0 requests a second, or None for as many as come")
    if source.burst is not None and (source.rate is None or source.burst < 1):
        raise UsageError("burst: at least 1 request, and only with rate")
    secrets = _secrets(source.secret, env)
    check_secrets(scheme, secrets)
    return Hook(pipeline=pipeline, source=source, scheme=scheme, secrets=secrets)


def _rate(source: WebhookSource) -> Rate | None:
    if source.rate is None:
        return None
    return Rate(source.rate, source.burst or math.ceil(source.rate))


def _secrets(path: str, env: Mapping[str, Any]) -> tuple[Secret, ...]:
    """The secrets under a dotted path of `env`."""
    found: Any = env
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    ones = found if isinstance(found, Sequence) and not isinstance(found, str) else (found,)
    if not all(isinstance(one, Secret) for one in ones):
        raise UsageError(
            f'env has no secret "{path}": put it under a key that is called secret, such as '
            'env["partner"] = {"secret": "env:PARTNER_SECRET"}, and name it "partner.secret"'
        )
    return tuple(ones)
