"""Works on claimed batches: read, transform, load, acknowledge. Not for: claiming them (`worker`).

The rows, what was refused of them, the keys and the acknowledgement, which is the last write, are
one transaction: whoever has lost the batch meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.errors import BeginsAnew, LoadError, UsageError
from penstock.events import queue
from penstock.events.arranging import Arranged, Arranger, Work, now_of, origins_of
from penstock.events.clear import Reader, concealing
from penstock.events.pipeline import Pipeline
from penstock.events.queue import Batch, Failure, Outcome
from penstock.events.reading import MOMENTS, WHOLE
from penstock.events.registry import Overtaken, Registry, load_key
from penstock.events.transforming import transformed
from penstock.ledger.runs import RunRecord
from penstock.loading.load import options_from, run_load
from penstock.model.batch import ROW
from penstock.model.checked import QUALITY
from penstock.model.options import LoadOptions
from penstock.model.result import LoadResult
from penstock.model.table import TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.connection import target_of
from penstock.project.keys import ProjectKey
from penstock.quality.values import check_fit

if TYPE_CHECKING:
    import sqlalchemy

#: Times that a batch is begun anew at once because of what came up in its load.
_TRIES = 5
_OF_REFUSED = Failure(
    "newer_refused", "newer rows with its key were refused one after the other: requeue it"
)
#: Columns that alone do not make a row a changed one.
CARRIED = ("source", "ingested_at", "processed_at", "run_id")


@dataclass(slots=True)
class Processed:
    """What came of claimed batches.

    Attributes:
        outcome: Of each event.
        events: How many there were.
        batches: How many batches they came in.
        result: The books of the load; None where there was nothing to load.
    """

    outcome: Outcome
    events: int
    batches: int
    result: LoadResult | None = None


class _RefusedTheNewest(BeginsAnew):
    """Rows were refused for which older ones, which may be sound, were left out."""

    def __init__(self, rows: Collection[int]) -> None:
        super().__init__("of rows with one key the newest were refused: older ones take their turn")
        self.rows = rows


class _NotNew(BeginsAnew):
    """The target has rows under keys that the registry does not know: others write it too."""


class Processor:
    """Works on batches of one pipeline.

    Args:
        pipeline: The declaration.
        control: In autocommit; for reading, and for batches without rows.
        engine: Where rows are loaded.
        run: The worker's run in the ledger.
        key: The project's, for events with encrypted fields; None: there is none.

    Raises:
        UsageError: The target is not there, or has no unique key by which rows could be found.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        control: psycopg.Connection[Any],
        engine: sqlalchemy.Engine,
        run: RunRecord,
        *,
        key: ProjectKey | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._key = key
        self.spec = read_table(control, pipeline.target)
        self._control = control
        self._engine = engine
        self._run = run
        _check_target(pipeline, self.spec)
        self._registry: Registry | None = None
        if pipeline.mode != "append":
            self._registry = Registry(control, pipeline, self.spec)
        self._arranger = Arranger(pipeline, self.spec, self._registry, run.run_id)

    def transform(self, batches: Sequence[Batch], *, apart: bool = False) -> Work:
        """What the transform makes of the events of batches; `apart` as of `Work`.

        Raises:
            TransformBroken: It is to be mended.
            TryAgain: The events are not in staging any more.
            UsageError: They are encrypted, and the key is not here.
        """
        raws = queue.read(self._control, batches)
        origins = origins_of(batches)
        # Anew each time: the file of the key may have got another line.
        clear = Reader(self.pipeline.name, self._key).all_of(batches, raws)
        made = transformed(self.pipeline, clear.raws, origins, clear.hidden)
        made.failures |= clear.failures
        return Work(batches, raws, origins, made, clear.hidden, apart)

    def process(self, batches: Sequence[Batch], *, apart: bool = False) -> Iterator[Processed]:
        """Work on batches, and finish them.

        Where a quality check stops the load of events that were received in several commits, those
        of each are loaded apart, so that only those fail in which it does. Events of one commit
        stay together, as they do when they are requeued: a share of few rows says little.

        Args:
            batches: Claimed.
            apart: As of `Work`.

        Yields:
            What came of them, as soon as it is committed.

        Raises:
            Fenced: Another worker has them by now; nothing was changed.
            TransformBroken: The transform is to be mended.
            PenstockError: The load failed as a whole; nothing was changed.
        """
        work = self.transform(batches, apart=apart)
        if work.made.frame.is_empty() and not work.made.failures:
            outcome = Outcome(dropped=work.made.dropped(len(work.raws)))
            with self._control.transaction():
                queue.finish(self._control, self.pipeline, batches, outcome)
            yield Processed(outcome, len(work.raws), len(batches))
            return

        def finish(connection: psycopg.Connection[Any], outcome: Outcome) -> None:
            queue.finish(connection, self.pipeline, batches, outcome)

        try:
            done = self.load(work, self._engine, finish)
        except LoadError as error:
            if error.code != QUALITY:
                raise
        else:
            yield done
            return
        for chunk in sorted({one.chunk for one in batches}):
            yield from self.process([one for one in batches if one.chunk == chunk], apart=True)

    def load(self, work: Work, where: Any, finish: Any) -> Processed:
        """Load what a transform made.

        Args:
            work: Batches and rows.
            where: An Engine, or a Connection whose transaction is joined.
            finish: Called with the psycopg connection and the outcome: the last write.

        Raises:
            LoadError: A quality check stops the load of events of several commits; where it stops
                that of one, they fail.
        """
        without: set[int] = set()
        mode = ""
        for turn in range(1, _TRIES + 1):
            arranged = self._arranger.arranged(work, now_of(self._control), without)
            try:
                return self._loaded(work, arranged, where, finish, mode=mode)
            except _NotNew:
                mode = self.pipeline.mode
            except _RefusedTheNewest as found:
                without |= set(found.rows)
            except Overtaken:
                if turn == _TRIES:
                    raise
        # Rows of one key are refused one after the other: the oldest of them fail untried.
        arranged = self._arranger.arranged(work, now_of(self._control), without)
        return self._loaded(work, arranged, where, finish, mode=self.pipeline.mode, last=True)

    def _loaded(
        self,
        work: Work,
        arranged: Arranged,
        where: Any,
        finish: Any,
        *,
        mode: str,
        last: bool = False,
    ) -> Processed:
        # Where every key is new nothing need be compared, which takes half of the time.
        mode = mode or ("append" if arranged.all_new else self.pipeline.mode)
        first = dict(work.made.failures)
        outcome = Outcome(dict(first), work.made.dropped(len(work.raws)), arranged.older)
        rows, refused, written = arranged.events.len(), set[int](), 0

        def on_books(load_id: str, count: int, found: list[tuple[int, str, str]]) -> None:
            nonlocal written
            written = count
            refused.clear()
            outcome.load_id, outcome.failures = load_id, dict(first)
            if mode != self.pipeline.mode and any(code == "23505" for _, code, _ in found):
                raise _NotNew("the target has rows under some of these keys already")
            for number, code, reason in found:
                if number <= rows:  # behind them are the events without a row
                    refused.add(number - 1)
                    event = arranged.events[number - 1]
                    outcome.failures.setdefault(event, Failure(code, reason))

        def along(connection: psycopg.Connection[Any]) -> None:
            if self._registry is not None and arranged.fresh is not None:
                gone = arranged.fresh.rows.gather(sorted(refused)).to_list()
                if beaten := arranged.fresh.losers_of(gone):
                    if not last:
                        raise _RefusedTheNewest(beaten)
                    _fail_beaten(work, arranged, outcome, beaten, _OF_REFUSED)
                self._registry.write(connection, arranged.fresh, gone, changed=written > 0)
            finish(connection, outcome)

        conceal = None
        if work.hidden:
            conceal = concealing(arranged.events.to_list(), work.hidden, work.raws)
        options = replace(self._options(mode, on_books, along, apart=work.apart), conceal=conceal)
        pairs = [(self.pipeline.target, arranged.source)]
        try:
            result: LoadResult | None = run_load(where, pairs, options, self._run)[0]
        except LoadError as error:
            if error.code != QUALITY or len({one.chunk for one in work.batches}) > 1:
                raise
            self._fail_all(work, arranged, outcome, str(error), (where, finish))
            result = None
        return Processed(outcome, len(work.raws), len(work.batches), result)

    def _fail_all(
        self, work: Work, arranged: Arranged, outcome: Outcome, said: str, end: tuple[Any, Any]
    ) -> None:
        """The load was rolled back: its events fail, and those that had failed keep their reason.

        It is a transaction of its own: a worker that ends before it is followed by one that tries
        the batch once more.
        """
        where, finish = end
        outcome.load_id = None
        why = Failure(QUALITY, said.split("\n")[0])
        for event in arranged.events.unique().to_list():
            outcome.failures.setdefault(event, why)
        if arranged.fresh is not None:  # what took their place is not in the target either
            _fail_beaten(work, arranged, outcome, arranged.fresh.rows.to_list(), why)
        with target_of(where) as target:
            finish(target.connection, outcome)
            if not target.joined:
                target.connection.commit()

    def _options(self, mode: str, on_books: Any, along: Any, *, apart: bool) -> LoadOptions:
        pipeline = self.pipeline
        own: dict[str, Any] = {}
        if mode != "append":
            own["key"] = load_key(pipeline, self.spec)
        names = {column.name for column in self.spec.columns}
        return options_from(
            **{"max_rejects": "all", **pipeline.options},
            **own,
            mode=mode,
            carried=tuple(name for name in CARRIED if name in names),
            one_of_many=True,
            on_books=on_books,
            along=along,
            quality=[
                replace(one, min_rows=1) if apart else one for one in pipeline.checks if one.on_rows
            ],
        )


def _fail_beaten(
    work: Work, arranged: Arranged, outcome: Outcome, winners: Collection[int], why: Failure
) -> None:
    """Events of rows that were left out because of others, which are not loaded either."""
    assert arranged.fresh is not None  # noqa: S101  there are winners
    numbers = arranged.fresh.beaten_by(winners)
    events = set(work.made.frame[ROW].gather(numbers).to_list())
    for event in events:
        outcome.failures.setdefault(event, why)
    outcome.older = [event for event in outcome.older if event not in events]


def _check_target(pipeline: Pipeline, spec: TableSpec) -> None:
    names = {column.name for column in spec.columns}
    named = [*pipeline.keys, *filter(None, (pipeline.time, pipeline.version))]
    if missing := [name for name in named if name not in names]:
        raise UsageError(f"{pipeline.name}: {spec.name} has no column {', '.join(missing)}")
    check_fit(pipeline.checks, spec)
    _check_types(pipeline, spec)
    if pipeline.mode == "append":
        return
    wanted = [set(pipeline.keys)]
    if pipeline.time is not None:
        wanted.append({*pipeline.keys, pipeline.time})
    if not any(set(key.columns) in wanted for key in spec.keys):
        said = " or ".join(f"({', '.join(sorted(one))})" for one in wanted)
        raise UsageError(
            f"{pipeline.name}: {spec.name} has no primary key or unique constraint over {said}, by "
            "which rows could be found. Add one."
        )


def _check_types(pipeline: Pipeline, spec: TableSpec) -> None:
    columns = {column.name: column for column in spec.columns}
    for what, name, right in (
        ("time", pipeline.time, ("timestamptz",)),
        ("version", pipeline.version, (*WHOLE, *MOMENTS)),
    ):
        if name is not None and (columns[name].element or columns[name].base not in right):
            said = f"{what} {name} is {columns[name].type}, and none of {', '.join(right)}"
            raise UsageError(f"{pipeline.name}: {said}")
