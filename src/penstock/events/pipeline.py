"""What a pipeline is: sources, a pure transform, a target. Not for: running it (`worker`)."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import UsageError
from penstock.events.sources import Source, WebhookSource, name_of
from penstock.model.options import OrphanPolicy
from penstock.postgres.catalog import nearest
from penstock.quality.declared import Check
from penstock.quality.lists import checked_list

if TYPE_CHECKING:
    import polars as pl

#: One event (its JSON as Python reads it) -> no row, one, or several.
Transform = Callable[[Any], Mapping[str, Any] | Sequence[Mapping[str, Any]] | None]
#: Events (`raw` String, `source` String, `received_at` Datetime UTC, `_row` Int64) -> rows with
#: the `_row` of the event that each was made of.
FrameTransform = Callable[["pl.DataFrame"], "pl.DataFrame"]

FOLDER = "pipelines"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MODES = ("upsert", "insert_new", "append")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """From sources over staging and a pure transform into a table, continuously.

    Attributes:
        name: In the ledger, and on the command line.
        target: The table, in the project's ledger database.
        key: Columns by which a row of the target is known, of all its partitions.
        transform: One event -> one row, several or none; pure. None where `frame` is given.
        frame: Many events -> their rows, at once: faster. None where `transform` is given.
        sources: Where events come from.
        time: The column by which the target is partitioned, where it is; the transform gives it
            as a time with a zone.
        version: A column with a whole number or a time: a row does not overwrite one of the
            target that is newer. Default: `time`.
        mode: `upsert`, `insert_new` or `append`.
        attempts: How often an event may end the process that works on it before it is dead.
        batch: Events that are worked on at once.
        days: How long raw events are kept in staging; None: for ever.
        archive: Where raw events are kept for ever: the key in `env` of a place (`files`,
            `objects`, `sftp`), or a folder, written with a `/`: `./archive`. None: nowhere.
        connector: The key in `env` of the database; None: the project's ledger.
        options: Further options of the load, as for `load_table`: `orphans`, `columns` ...
        checks: Of `penstock.quality`: tried on the rows of each load, on the target by `penstock
            check`, or both.

    Raises:
        UsageError: The declaration contradicts itself.
    """

    name: str
    target: str
    key: str | tuple[str, ...]
    transform: Transform | None = None
    frame: FrameTransform | None = None
    sources: Sequence[Source] = ()
    time: str | None = None
    version: str | None = None
    mode: str = "upsert"
    attempts: int = 5
    batch: int = 50_000
    days: int | None = 30
    archive: str | None = None
    connector: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Check] = ()

    def __post_init__(self) -> None:
        checked_list(self.checks, f"Pipeline {self.name}: checks")
        wrong: list[str] = []
        if not _NAME.fullmatch(self.name):
            wrong.append(f'name: "{self.name}" must be of a-z, 0-9 and _, and begin with a letter')
        if (self.transform is None) == (self.frame is None):
            wrong.append("give transform= (of one event) or frame= (of many), one of them")
        if self.mode not in _MODES:
            wrong.append(f'mode: "{self.mode}" is not one of {", ".join(_MODES)}')
        if not self.keys:
            wrong.append("key: by which column is a row of the target known?")
        if self.attempts < 1 or self.batch < 1 or (self.days is not None and self.days < 1):
            wrong.append("attempts, batch and days must be at least 1")
        orphans = self.options.get("orphans")
        waits = isinstance(orphans, Mapping) and OrphanPolicy.WAIT in orphans.values()
        if waits and any(one.encrypt for one in self.sources):
            wrong.append(
                "orphans: rows that wait for their parents are kept in clear, and a source "
                "declares encrypt; choose another policy than wait"
            )
        names = [name_of(one) for one in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            wrong.append(f"two sources are called {', '.join(twice)}: give them a name=")
        if wrong:
            raise UsageError("\n".join(f"Pipeline {self.name}: {one}" for one in wrong))

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    @property
    def newest(self) -> str | None:
        """The column that says which of two rows with one key is newer."""
        return self.version or self.time

    def source(self, name: str) -> Source:
        """One of its sources.

        Raises:
            UsageError: It has none of that name.
        """
        for one in self.sources:
            if name_of(one) == name:
                return one
        names = [name_of(one) for one in self.sources]
        raise UsageError(f"{self.name} has no source {name}.{nearest(name, names)}")


def pipelines_in(folder: Path) -> dict[str, Pipeline]:
    """The pipelines of a project: what its modules in `pipelines/` declare, by name.

    Raises:
        UsageError: A module fails, or two pipelines have one name; or two webhooks.
    """
    found: dict[str, Pipeline] = {}
    for path in sorted((folder / FOLDER).glob("*.py")):
        if path.name.startswith("_"):
            continue
        for one in vars(_module(folder, path)).values():
            if isinstance(one, Pipeline) and found.setdefault(one.name, one) is not one:
                raise UsageError(f"{path}: there are two pipelines called {one.name}")
    hooks = [
        source.name
        for one in found.values()
        for source in one.sources
        if isinstance(source, WebhookSource)
    ]
    if twice := sorted({name for name in hooks if hooks.count(name) > 1}):
        raise UsageError(f"two webhooks are called {', '.join(twice)}: their addresses are one")
    return found


def pipeline_named(folder: Path, name: str) -> Pipeline:
    """A pipeline of a project.

    Raises:
        UsageError: There is none of that name.
    """
    found = pipelines_in(folder)
    if name not in found:
        there = nearest(name, list(found)) or (
            f" There are: {', '.join(found)}." if found else f" {folder / FOLDER} declares none."
        )
        raise UsageError(f"There is no pipeline {name}.{there}")
    return found[name]


def _module(folder: Path, path: Path) -> Any:
    name = f"{FOLDER}.{path.stem}"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # for what the modules share
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  a .py file has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:  # the project's own code may raise anything
        raise UsageError(f"{path}: {type(error).__name__}: {error}") from error
    return module
