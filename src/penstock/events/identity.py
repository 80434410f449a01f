"""The delivery ids of raw events. Not for: whether they were received before (`staging`)."""

from __future__ import annotations

import hashlib
import json

import polars as pl

from penstock.events.sources import Identified

#: Characters of the longest id that is kept as it is; of a longer one its hash is.
_LONGEST = 120
#: Between an id and the content's hash; what begins so is the content's hash alone.
_MARK = "#"
#: Ids that no two readers of JSON take differently; others are left to the strict one.
_PLAIN = r"^[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,119}$"
_NOT_PLAIN = r"^(true|false|-?[0-9]+[.eE].*|-[0-9.]+)$"


def delivery_ids(of: Identified, raws: pl.Series) -> pl.Series:
    """The delivery id of each event.

    Args:
        of: How the source's events are told apart.
        raws: Their bytes (Binary).

    Returns:
        String, none NULL. An event that has no id under the path is known by its content.
    """
    if of.id is None:
        return _hashed(raws)
    ids = _ids(of.id, raws)
    if of.immutable and ids.null_count() == 0:
        return ids
    contents = _hashed(raws)
    known = ids if of.immutable else ids + contents
    return known.zip_with(ids.is_not_null(), contents)


def delivery_id(of: Identified, raw: bytes) -> str:
    """The delivery id of one event."""
    return str(delivery_ids(of, pl.Series([raw], dtype=pl.Binary))[0])


def _hashed(raws: pl.Series) -> pl.Series:
    made = [_MARK + hashlib.sha256(raw).hexdigest()[:32] for raw in raws]
    return pl.Series(made, dtype=pl.String)


def _ids(path: str, raws: pl.Series) -> pl.Series:
    """The ids under a path; NULL where there is none. Read at once where all are plain JSON."""
    try:
        texts = raws.cast(pl.String)
    except pl.exceptions.ComputeError:  # one of them is no UTF-8
        return pl.Series([_one(path, raw) for raw in raws], dtype=pl.String)
    found = texts.str.json_path_match(f"$.{path}")
    odd = (~found.str.contains(_PLAIN)) | found.str.contains(_NOT_PLAIN)
    places = odd.fill_null(value=True).arg_true()
    if len(places):
        found = found.scatter(places, [_one(path, raws[place]) for place in places])
    return found


def _one(path: str, raw: bytes) -> str | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    text = str(value)
    fits = len(text) <= _LONGEST and "\0" not in text and text[0] != _MARK
    try:
        stored = text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no text of PostgreSQL holds
        return _MARK + hashlib.sha256(json.dumps(text).encode()).hexdigest()[:32]
    return text if fits else _MARK + hashlib.sha256(stored).hexdigest()[:32]
