"""Penstock moves data into PostgreSQL, and every row is accounted for.

The root holds names only: each is imported from its home when it is first used, so that
`import penstock` and `penstock --help` start at once (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import penstock.quality as quality
    from penstock.errors import (
        BalanceError,
        BudgetExceeded,
        LoadError,
        PenstockError,
        ShrinkRefused,
        SourceError,
        TargetError,
        TryAgain,
        UsageError,
    )
    from penstock.events.pipeline import Pipeline
    from penstock.events.sources import FileSource, HttpSource, WebhookSource
    from penstock.flow.etl import Etl
    from penstock.flow.job import Job
    from penstock.flow.linking import Ref
    from penstock.loading.clear import Cleared, clear_tables
    from penstock.loading.inspect import inspect
    from penstock.loading.inspection import InspectedColumn, Inspection
    from penstock.loading.load import load_star, load_table
    from penstock.loading.members import FileMembers
    from penstock.loading.replay import replay_rejects
    from penstock.loading.together import unit
    from penstock.mapping import checks, tidy
    from penstock.mapping.field import Field
    from penstock.mapping.lookup import Lookup
    from penstock.mapping.map import SAME, Map
    from penstock.model.options import Budget, LoadMode, OrphanPolicy, Progress
    from penstock.model.result import LoadResult, ReasonCount, ReplayResult, Waited
    from penstock.postgres.here import database

_HOMES = {
    "BalanceError": "penstock.errors",
    "Budget": "penstock.model.options",
    "BudgetExceeded": "penstock.errors",
    "Cleared": "penstock.loading.clear",
    "Etl": "penstock.flow.etl",
    "Field": "penstock.mapping.field",
    "FileMembers": "penstock.loading.members",
    "FileSource": "penstock.events.sources",
    "HttpSource": "penstock.events.sources",
    "InspectedColumn": "penstock.loading.inspection",
    "Inspection": "penstock.loading.inspection",
    "Job": "penstock.flow.job",
    "LoadError": "penstock.errors",
    "LoadMode": "penstock.model.options",
    "LoadResult": "penstock.model.result",
    "Lookup": "penstock.mapping.lookup",
    "Map": "penstock.mapping.map",
    "OrphanPolicy": "penstock.model.options",
    "PenstockError": "penstock.errors",
    "Pipeline": "penstock.events.pipeline",
    "Progress": "penstock.model.options",
    "Ref": "penstock.flow.linking",
    "ReasonCount": "penstock.model.result",
    "ReplayResult": "penstock.model.result",
    "SAME": "penstock.mapping.map",
    "ShrinkRefused": "penstock.errors",
    "SourceError": "penstock.errors",
    "TargetError": "penstock.errors",
    "TryAgain": "penstock.errors",
    "UsageError": "penstock.errors",
    "Waited": "penstock.model.result",
    "WebhookSource": "penstock.events.sources",
    "checks": "penstock.mapping.field",
    "clear_tables": "penstock.loading.clear",
    "database": "penstock.postgres.here",
    "inspect": "penstock.loading.inspect",
    "load_star": "penstock.loading.load",
    "load_table": "penstock.loading.load",
    "replay_rejects": "penstock.loading.replay",
    "unit": "penstock.loading.together",
}

#: Names that are modules.
_MODULES = {
    "quality": "penstock.quality",
    "tidy": "penstock.mapping.tidy",
}

__all__ = [  # noqa: RUF022  in plain order
    "BalanceError",
    "Budget",
    "BudgetExceeded",
    "Cleared",
    "Etl",
    "Field",
    "FileMembers",
    "FileSource",
    "HttpSource",
    "InspectedColumn",
    "Inspection",
    "Job",
    "LoadError",
    "LoadMode",
    "LoadResult",
    "Lookup",
    "Map",
    "OrphanPolicy",
    "PenstockError",
    "Pipeline",
    "Progress",
    "ReasonCount",
    "Ref",
    "ReplayResult",
    "SAME",
    "ShrinkRefused",
    "SourceError",
    "TargetError",
    "TryAgain",
    "UsageError",
    "Waited",
    "WebhookSource",
    "checks",
    "clear_tables",
    "database",
    "inspect",
    "load_star",
    "load_table",
    "quality",
    "replay_rejects",
    "tidy",
    "unit",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
