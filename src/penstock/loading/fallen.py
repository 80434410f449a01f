"""Groups that are refused as a whole, found out by reading their rows. Not for: refusing them.

A row that is refused may be the last of its group. So where a group falls, all is rolled back and
read again, with the group known from the start, until no other falls. That ends, as a group that
fell stays down; mostly once is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from penstock.errors import UsageError
from penstock.formats.reader import changed
from penstock.loading.books import TableBooks
from penstock.loading.group import CODE, FALLEN, FAULTS, GroupFilter, as_group, kind_of
from penstock.loading.prepare import Prepared
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, RECORD_BITS, ROW
from penstock.model.table import Column, TableName
from penstock.postgres.catalog import nearest

#: Codes of rows whose parent is missing.
_ORPHAN = ("23503", "parent_refused")
#: The lists of a refused row, and what an entry of each is.
_LISTS = {"columns": "column", "codes": "code", "reasons": "reason", "bad": "value"}


def check_group(name: str, tables: Sequence[Prepared]) -> None:
    """Has a load groups of that name, which can be compared across its tables?

    Raises:
        UsageError: No table has the column, no input supplies it, or its types differ in kind.
    """
    # Rows that waited and are tried again belong to no group.
    tables = [one for one in tables if not one.retry_of]
    having = [one for one in tables if name in [column.name for column in one.spec.columns]]
    if not having:
        names = [column.name for one in tables for column in one.spec.columns]
        there = ", ".join(str(one.spec.name) for one in tables)
        raise UsageError(
            f"--group {name}: there is no such column in {there}.{nearest(name, names)}"
        )
    kinds = {kind_of(one.group): (one.group, one.spec.name) for one in having if one.group}
    if len(kinds) > 1:
        told = " and ".join(f"{column.type} in {table}" for column, table in kinds.values())
        raise UsageError(f"--group {name}: it is {told}, whose values are never equal")
    lacking = [one.spec.name for one in having if one.inputs]
    if not kinds and lacking:
        raise UsageError(
            f"--group {name}: the input of {lacking[0]} has no column {name}. Map one to it with "
            f"--columns SOURCE={name}."
        )


class GroupsFell(Exception):
    """Groups are refused of which rows may have been loaded: everything is done again."""


class Fallen:
    """The groups of one unit that are refused, and what is known of the rows at fault.

    Args:
        tables: Of the unit.
    """

    def __init__(self, tables: Sequence[Prepared]) -> None:
        self._groups: dict[str, pl.DataFrame] = {}
        self._carried: dict[str, pl.DataFrame] = {}
        self._digests: dict[str, dict[str, str]] = {}
        for prepared in tables:
            apart = None if prepared.replaying is None else prepared.replaying.apart
            if prepared.group is not None and apart:
                rows = pl.DataFrame([*apart.items()], schema=dict(FALLEN), orient="row")
                self._add(prepared.group.name, rows)

    def filter_for(self, prepared: Prepared) -> GroupFilter | None:
        """What finds the rows of a table that are refused with their groups, if it has any."""
        if prepared.group is None:
            return None
        return GroupFilter(
            prepared.group,
            self._known(prepared.group.name),
            self._carried.get(prepared.load_id, pl.DataFrame(schema=dict(FAULTS))),
        )

    def learn(self, tables: Sequence[TableBooks]) -> bool:
        """Take in which groups have refused rows; True where one was not known.

        Raises:
            SourceError: A file is not what it was when it was read before.
        """
        for books in tables:
            digests = {name: digest for name, digest, _ in books.files}
            before = self._digests.setdefault(books.prepared.load_id, digests)
            for name, digest in digests.items():
                if before.get(name, digest) != digest:
                    raise changed(name)
        by_name: dict[str, list[TableBooks]] = {}
        for books in tables:
            if books.prepared.group is not None and books.spool.rows:
                by_name.setdefault(books.prepared.group.name, []).append(books)
        return any([self._learn(name, those) for name, those in by_name.items()])

    def _learn(self, name: str, tables: Sequence[TableBooks]) -> bool:
        refused = [
            frame.with_columns(pl.lit(place, pl.Int64()).alias("table"))
            for place, books in enumerate(tables)
            for frame in _with_groups(books)
        ]
        if not refused:
            return False
        faults = _told_apart(pl.concat(refused), tables)
        own = faults.filter(~pl.col("follows"))
        for place, books in enumerate(tables):
            mine = own.filter(pl.col("table") == place)
            self._carried[books.prepared.load_id] = mine.select(*FAULTS)
        new = faults.join(self._known(name), on="group", how="anti")
        causes = new.sort("follows", "table", ROW, maintain_order=True).unique(
            "group", keep="first", maintain_order=True
        )
        reasons = [_reason(tables[row["table"]], row) for row in causes.iter_rows(named=True)]
        self._add(name, causes.select("group").with_columns(reason=_texts(reasons)))
        return causes.height > 0

    def _known(self, name: str) -> pl.DataFrame:
        return self._groups.get(name, pl.DataFrame(schema=dict(FALLEN)))

    def _add(self, name: str, groups: pl.DataFrame) -> None:
        both = pl.concat([self._known(name), groups])
        self._groups[name] = both.unique("group", keep="first", maintain_order=True)


def groups_of(column: Column, prepared: Prepared, file: int, values: pl.DataFrame) -> pl.DataFrame:
    """The groups of refused rows; a value that cannot be read, and NULL, is of no group.

    Args:
        column: Makes the groups.
        prepared: The table and its inputs.
        file: The number of the input that the rows are of.
        values: `_row`, and `values`: the source's texts as a JSON object.

    Returns:
        `_row` and `group`, as `as_group` writes it.
    """
    one, matching = next(pair for pair in prepared.inputs if pair[0].file == file)
    source = next(name for name, target in matching.pairs if target.name == column.name)
    texts = values["values"].str.json_decode(pl.Struct({source: pl.String()}))
    rows = values.select(
        texts.struct.field(source).alias(column.name), ROW, pl.lit(0, pl.Int64()).alias(LINE)
    )
    typed = (column.name,) if source in one.typed else ()
    free = replace(column, nullable=True)
    good = Validator([free], prepared.reading.grammar, typed).check(rows).good
    return good.select(ROW, as_group(column).alias("group")).drop_nulls()


def _with_groups(books: TableBooks) -> list[pl.DataFrame]:
    """The refused rows that have a group, but for those that were refused with theirs."""
    column = books.prepared.group
    assert column is not None  # noqa: S101  the caller asked
    found = []
    for frame in books.spool.frames():
        rows = frame.filter(pl.col("values").is_not_null(), pl.col("codes").list.first() != CODE)
        files = rows.group_by(pl.col(ROW) // (1 << RECORD_BITS), maintain_order=True)
        for (file,), part in files:
            groups = groups_of(column, books.prepared, int(str(file)), part)
            found.append(part.join(groups, on=ROW, maintain_order="left").drop("raw", "values"))
    return found


def _told_apart(refused: pl.DataFrame, tables: Sequence[TableBooks]) -> pl.DataFrame:
    """One row a fault, and whether it only follows from a row of the same group in a parent."""
    faults = refused.explode(*_LISTS).rename(dict(_LISTS))
    places = {books.prepared.spec.name: place for place, books in enumerate(tables)}
    links = [
        (place, column, parent)
        for place, books in enumerate(tables)
        for column, parent in _parents(books, places).items()
        if parent != place
    ]
    schema = {"table": pl.Int64(), "column": pl.String(), "parent": pl.Int64()}
    linked = pl.DataFrame(links, schema=schema, orient="row")
    there = refused.select(pl.col("table").alias("parent"), "group", follows=True).unique()
    return (
        faults.join(linked, on=["table", "column"], how="left", maintain_order="left")
        .join(there, on=["parent", "group"], how="left", maintain_order="left")
        .with_columns(
            follows=pl.col("follows").fill_null(value=False) & pl.col("code").is_in(_ORPHAN)
        )
    )


def _parents(books: TableBooks, places: Mapping[TableName, int]) -> dict[str, int]:
    """Columns of each foreign key by which a row and its parent are of one group -> the parent."""
    group, spec = books.prepared.group, books.prepared.spec
    name = "" if group is None else group.name
    return {
        ", ".join(key.columns): places[key.parent]
        for key in spec.foreign_keys
        if key.parent in places
        and (name, name) in zip(key.columns, key.parent_columns, strict=True)
    }


def _reason(books: TableBooks, fault: Mapping[str, object]) -> str:
    source, record = books.origin(int(str(fault[ROW])))
    where = f"line {fault[LINE]}" if fault[LINE] else f"row {record}"
    at = f"{fault['column']} {fault['code']}".strip()
    return f"another row of its group was refused: {source} {where}, {at}: {fault['reason']}"


def _texts(values: Sequence[str]) -> pl.Series:
    return pl.Series("reason", values, dtype=pl.String)
