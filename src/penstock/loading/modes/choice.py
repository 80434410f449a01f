"""Which filling carries out a mode. Not for: carrying it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.loading.fill import Filling
from penstock.loading.modes.history import HistoryFilling
from penstock.loading.modes.keyed import KeyedFilling
from penstock.loading.modes.ranges import RangeFilling
from penstock.loading.modes.sync import SyncFilling
from penstock.loading.prepare import Prepared
from penstock.loading.refused_keys import RefusedKeys
from penstock.model.options import LoadMode, LoadOptions


def filling_for(
    options: LoadOptions, prepared: Prepared, watch: RefusedKeys | None, given: Mapping[str, Any]
) -> Filling:
    """The filling of one table.

    Args:
        options: Of the load.
        prepared: The table, with its key and scope in the modes that have them.
        watch: The keys of rows that the client refuses, for `sync`.
        given: What every filling needs; see `Filling`.
    """
    key, scope = prepared.key, prepared.scope
    if options.mode is LoadMode.SYNC and key and scope and watch:
        return SyncFilling(**given, options=options, key=key, scope=scope, watch=watch)
    if key is not None and options.mode is LoadMode.SCD2:
        return HistoryFilling(**given, options=options, key=key)
    if key is not None:
        return KeyedFilling(**given, options=options, key=key)
    if scope is not None:
        return RangeFilling(**given, options=options, scope=scope)
    return Filling(**given)
