"""What a user declares about an input and a load. Not for: defaults of the command line's look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

#: Bytes of one record above which a quote is taken to be never closed.
DEFAULT_MAX_RECORD_BYTES = 16 << 20
#: What the ledger keeps among a load's options and no user says: columns that came typed.
TYPED = "typed"


class LoadMode(StrEnum):
    """What a load does to the rows that are there."""

    #: Insert every row.
    APPEND = "append"
    #: Insert rows whose key is new; the others are ignored.
    INSERT_NEW = "insert_new"
    #: Insert new rows, update changed ones; equal ones are not touched.
    UPSERT = "upsert"
    #: Upsert, and remove (or mark) the rows that the input no longer has.
    SYNC = "sync"
    #: Remove the rows of a range and insert those of the input.
    REPLACE_RANGE = "replace_range"
    #: Keep the history: what changed becomes a new version, the old one gets an end.
    SCD2 = "scd2"
    #: Empty the table and fill it, in one transaction.
    TRUNCATE = "truncate"


class OrphanPolicy(StrEnum):
    """What becomes of a row whose parent is missing."""

    #: The row waits in quarantine, code 23503.
    QUARANTINE = "quarantine"
    #: The row is loaded and a marked parent row is made for it.
    PLACEHOLDER = "placeholder"
    #: The row is loaded with NULL in the foreign key's columns, and counted.
    NULL = "null"
    #: With a lookup: the row is loaded with the member -1, and counted.
    UNKNOWN = "unknown"
    #: The row waits in quarantine, and each later load into the table tries it again by itself.
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How a CSV file is written.

    Attributes:
        delimiter: One character; None: that of `, ; tab |` whose header matches the table.
        quote: One character; empty for files without quoting.
        escape: A character that escapes the quote instead of doubling it; None for doubling.
        encoding: A Python codec name; None: UTF-8, or what a byte order mark says.
        header: False where the first record is data; then `columns` names the fields.
        columns: Names of the source columns, in file order; they replace a header's names.
        max_record_bytes: Longest record accepted.
    """

    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str | None = None
    header: bool = True
    columns: tuple[str, ...] | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES


class Format(StrEnum):
    """How the bytes of a file are to be read, where its name does not say it."""

    #: Fields with a delimiter between them.
    CSV = "csv"
    #: A JSON object on each line.
    NDJSON = "ndjson"
    #: One JSON document with an array of objects.
    JSON = "json"
    #: Columns of typed values.
    PARQUET = "parquet"
    #: A sheet of an Excel workbook (.xlsx).
    EXCEL = "excel"
    #: Fields that stand at fixed positions of a line.
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonOptions:
    """Where the rows of a JSON document are.

    Attributes:
        path: Names of the objects' keys, dots between, that lead to the array: `data.items`;
            None: the document is the array.
    """

    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcelOptions:
    """Where the rows of a workbook are.

    Attributes:
        sheet: Its name, or its number from 1; None: the only one that is not hidden.
        header_row: The row of the sheet (from 1) that has the names; None: the first that is not
            blank. Rows above it are no records.
    """

    sheet: str | int | None = None
    header_row: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedOptions:
    """Where the fields of a line stand.

    Attributes:
        fields: (name, first, last): positions in characters, from 1, both included.
        kind: First and last position of the text that says what kind of record a line is; None:
            every line is a row.
        details: Kinds of the records that are rows.
        headers: Kinds of the records that stand before them, and are left out.
        trailers: Kind -> first and last position of the number of rows, or None where it has
            none. Where a trailer is declared, the file must end with one.
    """

    fields: tuple[tuple[str, int, int], ...]
    kind: tuple[int, int] | None = None
    details: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    trailers: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """How values are written in the input, where it is not the default.

    Attributes:
        dates: A pattern of `YYYY MM DD` (`M`, `D` for one or two digits), such as `DD/MM/YYYY`.
        numbers: An example that shows the decimal mark and the grouping, such as `1.234,56`.
        timezone: IANA name that text without an offset is in, for `timestamptz` columns.
        round: True: decimals beyond the column's scale are rounded (half away from zero, as
            PostgreSQL does) and counted.
        trim: True: blanks around text are taken away, and counted.
        null: Texts that mean NULL, besides the unquoted empty field.
        empty: `null`: a quoted empty field is NULL too; `text`: an unquoted empty field is the
            empty text in text columns; None: unquoted is NULL, quoted is the empty text.
    """

    dates: str = "YYYY-MM-DD"
    numbers: str = "1234.56"
    timezone: str | None = None
    round: bool = False
    trim: bool = False
    null: tuple[str, ...] = ()
    empty: str | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How many rows may be refused: a share of the rows read, a number, or no limit.

    Attributes:
        share: 0.01 is one per cent; None where `rows` or no limit holds.
        rows: A number of rows; None where `share` or no limit holds.
    """

    share: float | None = 0.01
    rows: int | None = None

    def allows(self, refused: int, read: int) -> bool:
        """True where `refused` of `read` rows are within the budget."""
        if self.rows is not None:
            return refused <= self.rows
        return self.share is None or refused <= self.share * read

    def __str__(self) -> str:
        if self.rows is not None:
            return str(self.rows)
        return "all" if self.share is None else f"{self.share * 100:g}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a load is; given to `LoadOptions.on_progress` about ten times a second.

    Attributes:
        table: The table being loaded.
        rows: Records read so far.
        rejects: Rows refused so far.
        read_bytes: Bytes of the input consumed.
        total_bytes: Bytes of the input; 0 where unknown.
        step: The step's name when one begins, else empty.
    """

    table: str
    rows: int = 0
    rejects: int = 0
    read_bytes: int = 0
    total_bytes: int = 0
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Everything a load may be told. One value beneath the library and the command line.

    Attributes:
        mode: What happens to the rows that are there.
        key: Columns of the unique key by which `insert_new`, `upsert` and `sync` find rows; for
            `scd2` what a version is a version of. Empty: the primary key.
        duplicates: Which of several rows with one key counts in those modes: `first`, `last`,
            `reject` (none of them) or `max:COLUMN`; empty: `first` for `insert_new`, else `last`.
        type1: Columns that `scd2` overwrites in all versions, without history.
        within: Column -> a value, or two with `..` between them: the part of the table that `sync`
            and `replace_range` are about. Empty: for `sync` the whole table.
        missing: Column -> value for rows that `sync` does not find in the input; empty: they are
            removed.
        max_deletes: How many rows `sync` may remove or mark, a share of those within or a number;
            None: not more than half, unless `allow_shrink`.
        format: How files are read; None: as their names say, CSV where they say nothing.
        csv: How CSV files are written. `columns`, `encoding` and `max_record_bytes` hold for all
            files of text.
        json: Where the rows of JSON documents are.
        excel: Where the rows of workbooks are.
        fixed: Where fields stand in files of fixed width; None: there are no such files.
        grammar: How the values are written.
        columns: Source column -> target column, where names differ.
        ignore_extra: True: source columns that the table does not have are left out.
        budget: How many rows may be refused, for each table.
        lookups: Target column -> `table.key`: the input has natural keys of that dimension, and
            the column gets the surrogate keys of its (current) rows.
        orphans: `column` or `table.column` -> policy for rows whose parent is missing.
        group: A target column: rows with one value of it are loaded together, or refused together,
            in all tables of the load that have it. Empty: each row stands for itself.
        allow_shrink: True: modes that remove rows may leave less than half of the rows.
        keep_constraints: True: constraints are never dropped and re-created.
        max_lock: Seconds that readers of parent tables may wait; a load that is estimated to hold
            its locks longer reads and checks everything before it takes them.
        lock_timeout: Seconds to wait for locks in total before giving up with `TryAgain`.
        create: True: a table that is not there is created, with types from the whole input.
        alter: `add`: columns that only the input has are added to the table; empty: none.
        again: True: load a file even where the same content was loaded before.
        dry_run: True: do the whole load, then roll it back.
        ledger: False: no `penstock` schema is used.
        rejects_file: Also write the rejects to this file (.csv or .xlsx).
        on_progress: Called with a `Progress` while the load runs.
        on_step: Called with the name of each step as it begins (`penstock.loading.steps`).
        along: Called with the psycopg connection before the commit: what it writes is committed
            with the data, or not at all. It may be called again where a load begins anew.
        carried: Columns that say when and by whom a row was written: they are written with it, and
            alone do not make it a changed one in `upsert`.
        on_books: Called before `along` with the load's id, how many rows it inserted and updated,
            and the refused rows: the number of each, from 1 in the order in which they were given,
            the code and the reason of its first fault.
        one_of_many: True: one of the many batches of a pipeline. All of its rows may be refused,
            and the table's statistics are left to autovacuum.
        conceal: What becomes of refused rows (`penstock.loading.spool.SCHEMA`) before anything of
            them is kept or told.
        quality: Checks of `penstock.quality` that are tried on the rows that came.
    """

    mode: LoadMode = LoadMode.APPEND
    key: tuple[str, ...] = ()
    duplicates: str = ""
    type1: tuple[str, ...] = ()
    within: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, object] = field(default_factory=dict)
    max_deletes: Budget | None = None
    format: Format | None = None
    csv: CsvOptions = field(default_factory=CsvOptions)
    json: JsonOptions = field(default_factory=JsonOptions)
    excel: ExcelOptions = field(default_factory=ExcelOptions)
    fixed: FixedOptions | None = None
    grammar: Grammar = field(default_factory=Grammar)
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore_extra: bool = False
    budget: Budget = field(default_factory=Budget)
    lookups: Mapping[str, str] = field(default_factory=dict)
    orphans: Mapping[str, OrphanPolicy] = field(default_factory=dict)
    group: str = ""
    allow_shrink: bool = False
    keep_constraints: bool = False
    max_lock: float = 5.0
    lock_timeout: float = 30.0
    create: bool = False
    alter: str = ""
    again: bool = False
    dry_run: bool = False
    ledger: bool = True
    rejects_file: str | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_step: Callable[[str], None] | None = None
    along: Callable[[Any], None] | None = None
    carried: tuple[str, ...] = ()
    on_books: Callable[[str, int, list[tuple[int, str, str]]], None] | None = None
    one_of_many: bool = False
    conceal: Callable[[Any], Any] | None = None
    quality: tuple[Any, ...] = ()

    def written(self, typed: Collection[str] = ()) -> dict[str, Any]:
        """How the values are written, as options of `load_table`, where it is not the default.

        Also the `key`; and where rows may wait for their parents, what else a later try of them
        must know: `mode`, `within` and `orphans`.

        Args:
            typed: Source columns that are not text; they are the entry `typed`.
        """
        plain, said = Grammar(), {}
        for one in fields(Grammar):
            value = getattr(self.grammar, one.name)
            if value != getattr(plain, one.name):
                said[one.name] = list(value) if isinstance(value, tuple) else value
        if self.columns:
            said["columns"] = dict(self.columns)
        if self.lookups:
            said["lookups"] = dict(self.lookups)
        if self.ignore_extra:
            said["ignore_extra"] = True
        if self.group:
            said["group"] = self.group
        if self.key:
            said["key"] = list(self.key)
        if OrphanPolicy.WAIT in self.orphans.values():
            said["mode"] = self.mode.value
            said["orphans"] = {name: policy.value for name, policy in self.orphans.items()}
            said |= {"within": dict(self.within)} if self.within else {}
        return said | ({TYPED: sorted(typed)} if typed else {})
