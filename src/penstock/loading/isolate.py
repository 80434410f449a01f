"""Finds the rows that only PostgreSQL itself refuses: triggers, CHECKs, exclusions, partitions.

Not for: what can be found by set (`postgres.staging`). Every probe is rolled back, also the good
ones: released savepoints with writes would overflow the subtransaction cache of every session
(PostgreSQL source, PGPROC_MAX_CACHED_SUBXIDS). Triggers with effects outside the database run in
probes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from penstock.errors import LoadError
from penstock.model.table import TableSpec
from penstock.postgres.connection import translated
from penstock.postgres.sqlstates import Kind, kind_of
from penstock.postgres.staging import ROW_COLUMN, StagingTable

#: Width of a range of row numbers below which rows are tried one by one.
_ONE_BY_ONE = 1000
#: Failed probes after which halving costs more than trying every row in turn.
_MOST_PROBES = 200
#: Row numbers that one statement tries in turn.
_SPAN = 20_000
#: The code of a row whose parent is missing.
ORPHAN = "23503"

#: One subtransaction a row, inside the server; what fails is gathered and handed out by a setting,
#: which the caller reads before everything is rolled back.
_IN_TURN = """
#variable_conflict use_column
declare
    penstock_number bigint; penstock_bad text[] := '{{}}'; penstock_state text;
    penstock_said text; penstock_column text; penstock_constraint text;
begin
    for penstock_number in {numbers} loop
        begin
            {insert};
        exception when others or assert_failure then
            get stacked diagnostics
                penstock_state = returned_sqlstate, penstock_said = message_text,
                penstock_column = column_name, penstock_constraint = constraint_name;
            penstock_bad := array_append(penstock_bad, jsonb_build_array(penstock_number,
                penstock_column, penstock_state, penstock_said, penstock_constraint)::text);
        end;
    end loop;
    perform set_config('penstock.refused', to_jsonb(penstock_bad)::text, true);
end
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that the server refused.

    Attributes:
        row: Its number.
        column: The column it names, or those of the key it names, or empty.
        code: The SQLSTATE.
        said: The server's message.
    """

    row: int
    column: str
    code: str
    said: str


def isolate(connection: psycopg.Connection[Any], stage: StagingTable) -> list[Refused]:
    """Every row that the server refuses.

    Args:
        connection: Inside the load's transaction, the target as it will be filled, constraints
            immediate.
        stage: Indexed by its row numbers; nothing is written into it.

    Raises:
        PenstockError: The server refuses for a reason that is no row's fault.
    """
    if stage.spec.own_keys:
        # Half of the rows may lack the parents that the other half has.
        return _in_turn(connection, stage, None, None)
    found = _by_halves(connection, stage)
    if found is None or not _insertable(connection, stage, found):
        # Many bad rows, or rows that are refused only because of each other: in turn, in order.
        found = _in_turn(connection, stage, None, None)
    return found


def _by_halves(connection: psycopg.Connection[Any], stage: StagingTable) -> list[Refused] | None:
    found: list[Refused] = []
    probes = 0
    ranges = _ranges(connection, stage)
    while ranges:
        low, high = ranges.pop()
        if _probe(connection, stage, low, high) is None:
            continue
        probes += 1
        if probes > _MOST_PROBES:
            return None
        if high - low < _ONE_BY_ONE:
            found += _in_turn(connection, stage, low, high)
            continue
        middle = (low + high) // 2
        ranges += [(low, middle), (middle + 1, high)]
    return found


def _ranges(connection: psycopg.Connection[Any], stage: StagingTable) -> list[tuple[int, int]]:
    """First and last row number of each file: numbers of two files are far apart."""
    rows = connection.execute(
        sql.SQL("select min({0}), max({0}) from {1} group by {0} >> 40 order by 1").format(
            sql.Identifier(ROW_COLUMN), stage.table
        )
    ).fetchall()
    return [(low, high) for low, high in rows]


def _probe(
    connection: psycopg.Connection[Any], stage: StagingTable, low: int, high: int
) -> psycopg.Error | None:
    try:
        with connection.transaction(force_rollback=True):
            stage.insert(low, high)
        return None
    except psycopg.Error as error:
        _only_rows(error, stage)
        return error


def _only_rows(error: psycopg.Error, stage: StagingTable) -> None:
    kind = kind_of(error)
    if kind is Kind.ROW or (stage.spec.row_security and error.sqlstate == "42501"):
        return
    raise translated(error, f"load {stage.spec.name}") from None


def _insertable(
    connection: psycopg.Connection[Any], stage: StagingTable, found: list[Refused]
) -> bool:
    """Do all the others go in together?"""
    try:
        with connection.transaction(force_rollback=True):
            stage.refuse((bad.row, bad.column, bad.code, bad.said) for bad in found)
            stage.insert()
        return True
    except psycopg.Error as error:
        _only_rows(error, stage)
        return False


def _in_turn(
    connection: psycopg.Connection[Any], stage: StagingTable, low: int | None, high: int | None
) -> list[Refused]:
    """Try rows one after the other in file order, each on top of those before it."""
    spans = [(low, high)] if low is not None and high is not None else _spans(connection, stage)
    found: list[Refused] = []
    with connection.transaction(force_rollback=True):
        for first, last in spans:
            found += _span(connection, stage, first, last)
        return _again(connection, stage, found)


def _again(
    connection: psycopg.Connection[Any], stage: StagingTable, found: list[Refused]
) -> list[Refused]:
    """Try rows again that came before their parents in the file, until none goes any more."""
    own = {", ".join(key.columns) for key in stage.spec.own_keys}
    while waiting := [one.row for one in found if one.code == ORPHAN and one.column in own]:
        numbers = sql.SQL("select unnest({}::bigint[]) order by 1").format(sql.Literal(waiting))
        left = refused_in_turn(connection, stage.spec, numbers, _one(stage))
        if len(left) == len(waiting):
            break
        found = [one for one in found if one.row not in set(waiting)] + left
    return found


def _spans(connection: psycopg.Connection[Any], stage: StagingTable) -> list[tuple[int, int]]:
    return [
        (start, min(start + _SPAN - 1, high))
        for low, high in _ranges(connection, stage)
        for start in range(low, high + 1, _SPAN)
    ]


def _span(
    connection: psycopg.Connection[Any], stage: StagingTable, low: int, high: int
) -> list[Refused]:
    numbers = sql.SQL("select s.{row} from {stage} s where {span} order by 1").format(
        row=sql.Identifier(ROW_COLUMN), stage=stage.table, span=stage.span(low, high)
    )
    return refused_in_turn(connection, stage.spec, numbers, _one(stage))


def _one(stage: StagingTable) -> sql.Composed:
    return stage.insert_statement(
        sql.SQL("s.{} = penstock_number").format(sql.Identifier(ROW_COLUMN))
    )


def refused_in_turn(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    numbers: sql.Composable,
    insert: sql.Composable,
) -> list[Refused]:
    """Try one INSERT for each number, each on top of those before it; what is good stays.

    Args:
        connection: Inside a savepoint that the caller rolls back.
        spec: The table that is inserted into.
        numbers: A SELECT of the numbers.
        insert: The INSERT of `penstock_number`.

    Raises:
        LoadError: The server refuses for a reason that is no row's fault.
    """
    body = sql.SQL(_IN_TURN).format(numbers=numbers, insert=insert)
    connection.execute(
        sql.SQL("do language plpgsql {}").format(sql.Literal(body.as_string(connection)))
    )
    row = connection.execute(
        "select e::jsonb ->> 0, e::jsonb ->> 1, e::jsonb ->> 2, e::jsonb ->> 3, e::jsonb ->> 4 "
        "from jsonb_array_elements_text(current_setting('penstock.refused')::jsonb) e"
    ).fetchall()
    found = []
    for number, column, code, said, constraint in row:
        _raise_unless_row(code, said, spec)
        named, told = _told(spec, constraint, said)
        found.append(Refused(int(number), column or named, code, told))
    return found


def _raise_unless_row(code: str, said: str, spec: TableSpec) -> None:
    error = psycopg.errors.lookup(code) if _known(code) else psycopg.Error
    kind = kind_of(error(said))
    if kind is Kind.ROW or (spec.row_security and code == "42501") or not _known(code):
        return
    raise LoadError(
        f"{spec.name}: {said}. This is no row's fault; the load was rolled back.", code=code
    )


def _known(code: str) -> bool:
    try:
        psycopg.errors.lookup(code)
    except KeyError:
        return False
    return True


def _told(spec: TableSpec, constraint: str | None, said: str) -> tuple[str, str]:
    """The columns that a constraint is about, and what it demands; the server's words otherwise."""
    for check in spec.checks:
        if check.name == constraint:
            return ", ".join(check.columns), f"violates {check.name}: {check.definition}"
    columns = {key.name: key.columns for key in spec.keys}
    columns |= {key.name: key.columns for key in spec.foreign_keys}
    return ", ".join(columns.get(constraint or "", ())), said
