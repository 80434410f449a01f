"""Warns of revisions that would keep people waiting, or break programs that still run.

It reads the SQL of each pending revision (`offline`) and asks the catalog how big its tables are.
It takes no lock but that of reading the catalog. Not for: keeping a revision from running.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.rows import dict_row

from penstock.postgres.queries import queries
from penstock.postgres.revisions.folder import Revision
from penstock.postgres.revisions.offline import Written
from penstock.postgres.revisions.rules import BIG_BYTES, BIG_ROWS, RULES, Rule
from penstock.postgres.revisions.steps import Lock, Name, Step, steps_of
from penstock.postgres.revisions.words import Statement, statements

_SQL = queries("penstock.postgres.sql", "revisions.sql")
_SIZED = re.compile(r"^(character varying|numeric)(?:\((\d+)(?:,(\d+))?\))?$")
_STRONG = (Lock.ACCESS_EXCLUSIVE, Lock.SHARE_ROW_EXCLUSIVE, Lock.SHARE)


@dataclass(frozen=True, slots=True)
class Size:
    """How big a table is, with all its partitions, by the catalog's estimates."""

    rows: int
    size: int
    partitioned: bool

    @property
    def big(self) -> bool:
        """Whether a lock for the time of reading all of it is noticed."""
        return self.rows > BIG_ROWS or self.size > BIG_BYTES

    @property
    def empty(self) -> bool:
        """Whether it has nothing in it."""
        return not self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something about a revision that a person should know before it runs.

    Attributes:
        revision: Which.
        rule: A key of `RULES`.
        table: As the revision writes it; empty where it is about none.
        size: Of it; None where it is about none.
        lock: What others wait for; empty where it is about something else.
        what: What the statement does.
        instead: What to do.
        statement: In one line, shortened.
        accepted: Why the revision says that it does not matter; empty: it does.
    """

    revision: Revision
    rule: str
    table: str
    size: Size | None
    lock: str
    what: str
    instead: str
    statement: str
    accepted: str = ""


def check(connection: psycopg.Connection[Any], pending: Sequence[Written]) -> list[Warned]:
    """What is to be said of pending revisions, in their order.

    Args:
        connection: To the database that they are meant for; in autocommit.
        pending: In the order in which they would run.

    Raises:
        psycopg.Error: The catalog cannot be read.
    """
    checker = _Checker(connection)
    found = [warned for one in pending for warned in checker.revision(one)]
    return [
        replace(one, accepted=why) if (why := one.revision.accepts.get(one.rule)) else one
        for one in found
    ]


@dataclass(slots=True)
class _Transaction:
    """What one transaction of a revision holds so far."""

    open: bool = True
    locked: dict[Name, Lock] = field(default_factory=dict)
    told: bool = False


class _Checker:
    """Goes through revisions, and remembers what the earlier ones would have done."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._sizes: dict[Name, Size | None] = {}
        self._not_null: dict[tuple[Name, str], str] = {}
        self._valid: set[tuple[Name, str]] = set()

    def revision(self, one: Written) -> Iterator[Warned]:
        transaction = _Transaction()
        for statement in statements(one.sql):
            first = statement.words[0].value
            if first in ("begin", "commit"):
                transaction = _Transaction(open=first == "begin")
                continue
            steps = steps_of(statement)
            for step in steps:
                for rule, about in self._of(step, transaction):
                    yield self._warned(one.revision, rule, about, statement)
            for step in steps:
                if step.lock in _STRONG and self._size(step.table) is not None:
                    transaction.locked.setdefault(step.table, step.lock)
        if one.unseen:
            yield _unseen(one.revision, one.unseen, "")

    def _of(self, step: Step, transaction: _Transaction) -> Iterator[tuple[str, Step]]:
        """The rules that speak of a step, each with the step as its message names it."""
        if step.kind == "unseen":
            yield "not_seen", replace(step, detail="what a DO block, a CALL or a WITH changes")
            return
        size = self._size(step.table)
        name = self._rule(step, size, transaction)
        self._remember(step)
        rule = RULES.get(name)
        if rule is not None and _speaks(rule, size):
            yield name, step
        if size is None or transaction.told:  # it is not there yet, or is no table
            return
        held = self._held(step, size, rule, transaction)
        if held:
            transaction.told = True
            lock = transaction.locked[held]
            yield "several_steps", replace(step, detail=".".join(held), lock=lock)

    def _rule(self, step: Step, size: Size | None, transaction: _Transaction) -> str:
        """The name of the rule for a step; empty where there is none."""
        if step.kind == "default":
            return "volatile_default" if self._is_volatile(step.functions) else ""
        if step.kind == "rewrite_type":
            return "alter_type"
        if step.kind == "alter_type" and self._keeps_rows(step):
            return ""
        if step.kind == "set_not_null" and self._never_null(step):
            return ""
        if step.kind == "concurrently":
            if transaction.open:
                return "concurrently_in_transaction"
            return "concurrently_on_partitioned" if size and size.partitioned else ""
        if step.kind == "create_index" and size and size.partitioned:
            return "create_index_of_parts"
        return step.kind

    def _held(self, step: Step, size: Size, rule: Rule | None, transaction: _Transaction) -> Name:
        """A table whose lock is held already while this step goes on; empty where none matters."""
        slow = size.big and ((rule is not None and rule.slow) or step.kind == "validate")
        for name in transaction.locked:
            held = self._size(name)
            if held is None or held.empty:
                continue
            other = name != step.table and step.lock in _STRONG and not size.empty
            if slow or (other and (held.big or size.big)):
                return name
        return ()

    def _remember(self, step: Step) -> None:
        if step.kind == "checked" and step.expression:
            self._not_null[step.table, step.detail] = step.expression
        elif step.kind == "validate":
            self._valid.add((step.table, step.detail))

    def _never_null(self, step: Step) -> bool:
        """Whether PostgreSQL will know by then that the column is never NULL."""
        asked = {"table": self._written(step.table), "column": step.column}
        known = self._connection.execute(_SQL["never_null"], asked).fetchone()
        if known == (True,):
            return True
        waiting = {row[0] for row in self._connection.execute(_SQL["checks"], asked)}
        if any((step.table, name) in self._valid for name in waiting):
            return True
        said = f"( {step.column} is not null )"
        return any(
            key in self._valid and expression == said
            for key, expression in self._not_null.items()
            if key[0] == step.table
        )

    def _is_volatile(self, functions: tuple[str, ...]) -> bool:
        if not functions:
            return False
        return self._connection.execute(_SQL["volatile"], [list(functions)]).fetchone() is not None

    def _keeps_rows(self, step: Step) -> bool:
        """Whether the rows stay as they are: a text without or with a wider limit, a number too."""
        asked = [self._written(step.table), step.column]
        row = self._connection.execute(_SQL["type"], asked).fetchone()
        if row is None:
            return False
        return row[0] == step.detail or _wider(row[0], step.detail)

    def _size(self, table: Name) -> Size | None:
        if table not in self._sizes:
            with self._connection.cursor(row_factory=dict_row) as cursor:
                row = cursor.execute(_SQL["sizes"], [[self._written(table)]]).fetchone()
            found = None if row is None else Size(row["rows"], row["bytes"], row["partitioned"])
            self._sizes[table] = found
        return self._sizes[table]

    def _written(self, table: Name) -> str:
        return psycopg.sql.Identifier(*table).as_string(self._connection) if table else ""

    def _warned(self, revision: Revision, name: str, step: Step, statement: Statement) -> Warned:
        if name == "not_seen":
            return _unseen(revision, step.detail, statement.shown())
        rule = RULES[name]
        table = ".".join(step.table)
        told = {"column": step.column, "detail": step.detail, "table": table}
        return Warned(
            revision=revision,
            rule=name,
            table=table,
            size=self._size(step.table),
            lock="" if rule.always or rule.breaks else str(step.lock),
            what=rule.what.format(**told),
            instead=rule.instead.format(**told),
            statement=statement.shown(),
        )


def _unseen(revision: Revision, why: str, statement: str) -> Warned:
    rule = RULES["not_seen"]
    return Warned(
        revision=revision,
        rule="not_seen",
        table="",
        size=None,
        lock="",
        what=rule.what.format(detail=why),
        instead=rule.instead,
        statement=statement,
    )


def _speaks(rule: Rule, size: Size | None) -> bool:
    if rule.always or size is None:
        return rule.always
    return (rule.breaks and not size.empty) or (rule.slow and size.big)


def _wider(before: str, after: str) -> bool:
    """Whether a change of type leaves the rows as they are (PostgreSQL, ALTER TABLE, Notes)."""
    old, new = _SIZED.match(before), _SIZED.match(after)
    if old is None:
        return False
    if old[1] == "character varying" and after == "text":
        return True
    if new is None or old[1] != new[1]:
        return False
    if new[2] is None:
        return True
    if old[2] is None:
        return False
    return int(new[2]) >= int(old[2]) and (old[3] or "0") == (new[3] or "0")
