"""Which constraints and indexes of a table can be taken off. Not for: doing it (`recreate`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from penstock.model.table import TableName
from penstock.postgres.queries import queries

_SQL = queries("penstock.postgres.sql", "constraints.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyPart:
    """A foreign key that can be taken off.

    Attributes:
        name: The constraint's name.
        definition: As PostgreSQL writes it, for ADD CONSTRAINT.
        parent: The referenced table, which is locked along with the target.
        lockable: True where the role may LOCK the parent first.
        comment: Of the constraint, to be put back.
    """

    name: str
    definition: str
    parent: TableName
    lockable: bool
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPart:
    """A key or an index that can be taken off.

    Attributes:
        name: The index's name.
        constraint: The constraint it carries, or None.
        definition: For ADD CONSTRAINT where there is a constraint, else a CREATE INDEX.
    """

    name: str
    constraint: str | None
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintPlan:
    """What can be taken off a table, and what must be kept and why.

    Attributes:
        foreign_keys: That can be taken off.
        indexes: That can be taken off: plain indexes, keys, the primary key last.
        kept: Name -> reason, for what stays.
        refusals: Reasons why nothing at all can be taken off; then the rest is empty.
    """

    foreign_keys: tuple[ForeignKeyPart, ...] = ()
    indexes: tuple[IndexPart, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """True where something can be taken off."""
        return bool(self.foreign_keys or self.indexes)


def read_plan(connection: psycopg.Connection[Any], oid: int) -> ConstraintPlan:
    """The plan for a table by its object id."""
    of = {"oid": oid}
    with connection.cursor(row_factory=dict_row) as cursor:
        refusals = tuple(row["why"] for row in cursor.execute(_SQL["refusals"], of))
        if refusals:
            return ConstraintPlan(refusals=refusals)
        foreign = cursor.execute(_SQL["foreign_keys"], of).fetchall()
        indexes = cursor.execute(_SQL["indexes"], of).fetchall()
    kept = [(row["name"], row["keep"]) for row in foreign if row["keep"]]
    kept += [(row["name"], row["keep"]) for row in indexes if row["keep"]]
    return ConstraintPlan(
        foreign_keys=tuple(
            ForeignKeyPart(
                name=row["name"],
                definition=row["definition"],
                parent=TableName(row["parent_schema"], row["parent_table"]),
                lockable=row["lockable"],
                comment=row["comment"],
            )
            for row in foreign
            if not row["keep"]
        ),
        indexes=tuple(
            IndexPart(
                name=row["name"],
                constraint=row["constraint"],
                definition=row["constraint_definition"] or row["definition"],
            )
            for row in indexes
            if not row["keep"]
        ),
        kept=tuple(kept),
    )
