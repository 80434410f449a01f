"""What the checker says of each kind of step. Not for: finding the steps (`steps`, `check`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: From here on a table counts as big, by the catalog's estimates: what holds its lock while it
#: reads or writes all of it is noticed by people who wait.
BIG_ROWS = 100_000
BIG_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is said of a step.

    Attributes:
        what: What it does; `{column}`, `{detail}` and `{table}` stand for the step's.
        instead: What to do.
        breaks: True: it is said of every table that has rows, because running programs break or
            data are lost; False: only of big ones, because of the time.
        slow: It reads or writes the whole table, under its lock.
        always: Said of every table, because PostgreSQL refuses it.
    """

    what: str
    instead: str
    breaks: bool = False
    slow: bool = False
    always: bool = False


RULES: Mapping[str, Rule] = {
    "volatile_default": Rule(
        what="writes every row anew, because the default of {column} differs from row to row",
        instead="Add the column without a default, set the default by ALTER COLUMN ... SET "
        "DEFAULT, then fill the rows that are there in batches.",
        slow=True,
    ),
    "rewrite_column": Rule(
        what="writes every row anew, because {column} gets another value in each",
        instead="Add a plain column, fill it in batches, then set its default or identity.",
        slow=True,
    ),
    "alter_type": Rule(
        what="writes every row and every index anew to make {column} {detail}",
        instead="Add a new column of that type, write both from the code, fill it in batches, then "
        "read the new one.",
        slow=True,
    ),
    "set_not_null": Rule(
        what="reads every row to see that {column} is never NULL",
        instead="ADD CONSTRAINT ... CHECK ({column} IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT "
        "in a later revision, then SET NOT NULL: it reads no row where a valid check says so.",
        slow=True,
    ),
    "add_foreign_key": Rule(
        what="checks every row against {detail}; writers of both tables wait",
        instead="ADD ... NOT VALID, then VALIDATE CONSTRAINT in a later revision.",
        slow=True,
    ),
    "add_check": Rule(
        what="reads every row to check it",
        instead="ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a later revision.",
        slow=True,
    ),
    "add_unique": Rule(
        what="builds an index under its lock",
        instead="CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... UNIQUE (or PRIMARY "
        "KEY) USING INDEX.",
        slow=True,
    ),
    "create_index": Rule(
        what="keeps all writers waiting while the index is built",
        instead="CREATE INDEX CONCURRENTLY, within op.get_context().autocommit_block().",
        slow=True,
    ),
    "create_index_of_parts": Rule(
        what="keeps all writers of all partitions waiting while their indexes are built",
        instead="CREATE INDEX ... ON ONLY {table}, CREATE INDEX CONCURRENTLY on each partition, "
        "then ALTER INDEX ... ATTACH PARTITION.",
        slow=True,
    ),
    "concurrently_on_partitioned": Rule(
        what="is refused: a partitioned table takes no index CONCURRENTLY",
        instead="CREATE INDEX ... ON ONLY {table}, CREATE INDEX CONCURRENTLY on each partition, "
        "then ALTER INDEX ... ATTACH PARTITION.",
        always=True,
    ),
    "concurrently_in_transaction": Rule(
        what="is refused: CONCURRENTLY cannot run inside a transaction",
        instead="Write: with op.get_context().autocommit_block():",
        always=True,
    ),
    "update": Rule(
        what="changes rows of the whole table in one transaction: they are locked until its end, "
        "and nothing can be vacuumed meanwhile",
        instead="Change them in batches, each in a transaction of its own, outside of the "
        "revision.",
        slow=True,
    ),
    "vacuum_full": Rule(
        what="writes the whole table anew while nobody can read it",
        instead="VACUUM without FULL frees the space for new rows, and stops nobody.",
        slow=True,
    ),
    "drop_column": Rule(
        what="drops {column}: programs that still name it fail, and its values are lost",
        instead="Do it in a release after the one whose code names it no more.",
        breaks=True,
    ),
    "rename_column": Rule(
        what="renames {column}: programs that know the old name fail at once",
        instead="Add a new column, write both from the code, fill it in batches, then drop the "
        "old one.",
        breaks=True,
    ),
    "rename_table": Rule(
        what="renames the table: programs that know the old name fail at once",
        instead="In the same revision make a view of the old name, and drop it in a later release.",
        breaks=True,
    ),
    "drop_table": Rule(
        what="drops the table and its rows",
        instead="Do it in a release after the one whose code names it no more, with a backup.",
        breaks=True,
    ),
    "several_steps": Rule(
        what="goes on in the transaction that holds a lock of {detail}: that is held to its end",
        instead="Put it into a revision of its own: each is a transaction.",
    ),
    "not_seen": Rule(
        what="cannot be looked into: {detail}",
        instead="Read it yourself: which tables does it lock or change, and how big are they?",
        always=True,
    ),
}
