"""Runs a pipeline's transform: one event that it cannot take fails, and no other.

Not for: what the loader refuses afterwards (`processing`).
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from penstock.errors import PenstockError
from penstock.events.personal import FORGOTTEN
from penstock.events.pipeline import FrameTransform, Pipeline, Transform
from penstock.events.queue import Failure
from penstock.events.rows import CannotBeText, rows_frame, text_row
from penstock.loading.types.typed import to_text
from penstock.model.batch import ROW

#: So many events that all fail are not to blame for it: the transform is.
_ALL_WRONG = 100
#: Digits that a Python float keeps of any decimal number (IEEE 754, binary64).
_EXACT_DIGITS = 15


class TransformBroken(PenstockError):
    """The transform fails for every event: it is to be mended, and the events wait."""


@dataclass(slots=True)
class Made:
    """What a transform made of events, numbered from 0.

    Attributes:
        frame: The rows, with the number of the event that each was made of (`_row`, Int64).
        failures: Event -> why no row was made of it.
    """

    frame: pl.DataFrame
    failures: dict[int, Failure] = field(default_factory=dict)

    def dropped(self, events: int) -> set[int]:
        """Events that neither failed nor gave a row."""
        return set(range(events)) - set(self.frame[ROW].to_list()) - set(self.failures)


def transformed(
    pipeline: Pipeline,
    raws: Sequence[bytes],
    origins: pl.DataFrame,
    hidden: Collection[int] = frozenset(),
) -> Made:
    """The rows of events.

    Args:
        pipeline: Its transform.
        raws: The events; one that was forgotten gives no row.
        origins: Of each `source` (String) and `received_at` (Datetime, UTC).
        hidden: Numbers of events of which no reason may tell anything.

    Raises:
        TransformBroken: It fails for each of many events, or gives what is no frame of rows.
    """
    if FORGOTTEN in raws:
        left = [number for number, raw in enumerate(raws) if raw != FORGOTTEN]
        still = {new for new, number in enumerate(left) if number in hidden}
        made = transformed(pipeline, [raws[number] for number in left], origins[left], still)
        events = pl.Series(ROW, left, dtype=pl.Int64).gather(made.frame[ROW])
        failures = {left[number]: why for number, why in made.failures.items()}
        return Made(made.frame.with_columns(events), failures)
    if pipeline.frame is not None:
        return _by_frame(pipeline.frame, raws, origins, hidden)
    assert pipeline.transform is not None  # noqa: S101  the declaration has one of them
    return _by_event(pipeline.transform, raws, hidden)


# One by one ----------------------------------------------------------------------------------


def _by_event(transform: Transform, raws: Sequence[bytes], hidden: Collection[int]) -> Made:
    rows: list[Mapping[str, str | None]] = []
    events: list[int] = []
    failures: dict[int, Failure] = {}
    for number, raw in enumerate(raws):
        try:
            value = parsed(raw)
        except ValueError as error:
            said = "is no JSON that can be read exactly"
            failures[number] = Failure("json", said if number in hidden else f"{said}: {error}")
            continue
        except RecursionError:
            failures[number] = Failure("json", "is nested too deep")
            continue
        try:
            given = rows_of(transform(value))
            made = [text_row(one) for one in given]
        except CannotBeText as error:
            said = told(error, hidden=True) if number in hidden else str(error)
            failures[number] = Failure("transform", said)
        except Exception as error:  # noqa: BLE001  it is the project's code: it may raise anything
            failures[number] = Failure("transform", told(error, hidden=number in hidden))
        else:
            rows += made
            events += [number] * len(made)
    _hold_against(failures, len(raws))
    return Made(rows_frame(rows, events), failures)


def rows_of(given: Any) -> Sequence[Mapping[str, Any]]:
    """What a transform gave of one event, as rows.

    Raises:
        TypeError: It is no dict, no list of them and not None.
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return (given,)
    if isinstance(given, Sequence) and all(isinstance(one, Mapping) for one in given):
        return given
    raise TypeError(
        f"the transform gave a {type(given).__name__}, not a dict, a list of them or None"
    )


def parsed(raw: bytes) -> Any:
    """The value of an event's JSON, as its transform gets it.

    Numbers that a float does not hold exactly are Decimal.

    Raises:
        ValueError: It is no JSON (RFC 8259), not in UTF-8, or has a key twice in one object.
        RecursionError: It is nested too deep.
    """
    return _DECODER.decode(raw.decode("utf-8"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        met: set[str] = set()
        twice = next(name for name, _ in pairs if name in met or met.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f'the key "{twice}" is there twice')
    return found


def _number(text: str) -> float | Decimal:
    if len(text) <= _EXACT_DIGITS and "e" not in text and "E" not in text:
        return float(text)
    exact, near = Decimal(text), float(text)
    return near if Decimal(repr(near)) == exact else exact


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < 4000 else Decimal(text)  # Python's int has a limit of digits


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no value of JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_number,
    parse_int=_integer,
    parse_constant=_constant,
)

# Many at once --------------------------------------------------------------------------------


def _by_frame(
    transform: FrameTransform,
    raws: Sequence[bytes],
    origins: pl.DataFrame,
    hidden: Collection[int],
) -> Made:
    texts, failures = _texts(raws)
    numbers = pl.int_range(len(raws), dtype=pl.Int64, eager=True)
    frame = pl.DataFrame([texts, *origins.get_columns(), numbers.alias(ROW)])
    frame = frame.filter(pl.col("raw").is_not_null())
    parts: list[pl.DataFrame] = []
    try:
        parts.append(_checked(transform(frame), frame))
    except TransformBroken:
        raise
    except (Exception, pl.exceptions.PanicException):  # noqa: BLE001  the project's code
        if frame.height >= _ALL_WRONG:
            sample, found = frame.gather_every(frame.height // _ALL_WRONG), dict[int, Failure]()
            for one in sample.iter_slices(1):
                _tried(transform, one, [], found, hidden)
            _hold_against(found, sample.height)
        _tried(transform, frame, parts, failures, hidden)
    if not parts:
        return Made(pl.DataFrame(schema={ROW: pl.Int64()}), failures)
    return Made(pl.concat(_alike(parts), how="diagonal_relaxed"), failures)


def _alike(parts: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Parts whose columns of one name are of one type: else Polars would make floats of numbers.

    A column that came otherwise in one of them is text in all, as the load reads it.
    """
    types: dict[str, set[pl.DataType]] = {}
    for part in parts:
        for name, dtype in part.schema.items():
            types.setdefault(name, set()).add(dtype)
    odd = {name for name, found in types.items() if len(found - {pl.Null()}) > 1}
    return [
        part.with_columns(to_text(part.select(name for name in part.columns if name in odd)))
        for part in parts
    ]


def _texts(raws: Sequence[bytes]) -> tuple[pl.Series, dict[int, Failure]]:
    """The events as text (`raw`); NULL where one is not UTF-8, which fails."""
    try:
        return pl.Series("raw", raws, dtype=pl.Binary).cast(pl.String), {}
    except pl.exceptions.ComputeError:
        pass  # one of them is not
    texts: list[str | None] = []
    failures: dict[int, Failure] = {}
    for number, raw in enumerate(raws):
        try:
            texts.append(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            texts.append(None)
            failures[number] = Failure("encoding", f"is not UTF-8 at byte {error.start + 1}")
    return pl.Series("raw", texts, dtype=pl.String), failures


def _tried(
    transform: FrameTransform,
    frame: pl.DataFrame,
    parts: list[pl.DataFrame],
    failures: dict[int, Failure],
    hidden: Collection[int],
) -> None:
    """Halve what the transform cannot take, until single events are left that it cannot."""
    if frame.is_empty():
        return
    try:
        parts.append(_checked(transform(frame), frame))
    except TransformBroken:
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  the project's code
        if frame.height > 1:
            half = frame.height // 2
            _tried(transform, frame[:half], parts, failures, hidden)
            _tried(transform, frame[half:], parts, failures, hidden)
            return
        number = frame[ROW][0]
        failures[number] = Failure("transform", told(error, hidden=number in hidden))


def _checked(made: Any, given: pl.DataFrame) -> pl.DataFrame:
    if isinstance(made, pl.LazyFrame):
        made = made.collect()
    if not isinstance(made, pl.DataFrame):
        raise TransformBroken(
            f"the transform gave a {type(made).__name__}, not a Polars frame", code="transform"
        )
    if made.schema.get(ROW) != pl.Int64():
        raise TransformBroken(
            f"the transform's frame has no column {ROW}: keep it, so that each row is known by its "
            "event",
            code="transform",
        )
    if not made[ROW].is_in(given[ROW].implode()).all() or made[ROW].null_count():
        raise TransformBroken(
            f"the transform made up values of {ROW}: each row has that of its event",
            code="transform",
        )
    return made


# What is said --------------------------------------------------------------------------------


def told(error: BaseException, *, hidden: bool = False) -> str:
    """An error of the project's code, with its file and line; `hidden`: not what it says."""
    own = str(Path(__file__).parent.parent)
    place = ""
    for one in traceback.extract_tb(error.__traceback__):
        if not one.filename.startswith(own) and "site-packages" not in one.filename:
            place = f" ({Path(one.filename).name}, line {one.lineno})"
    if hidden:
        said = "what it says is not told, as fields of the event are encrypted"
        return f"{type(error).__name__}{place}; {said}"
    first = (str(error).splitlines() or [""])[0][:500]
    return f"{type(error).__name__}: {first}{place}"


def _hold_against(failures: Mapping[int, Failure], events: int) -> None:
    """Where the transform fails for every one of many events, it is not the events."""
    wrong = [one for one in failures.values() if one.code == "transform"]
    if len(wrong) < max(events, _ALL_WRONG):
        return
    raise TransformBroken(
        f"the transform fails for each of {events:,} events, so that it is not the events; the "
        f"first: {wrong[0].reason}. Mend it: the events wait, and are tried again.",
        code="transform",
    )
