"""`load_table` and `load_star`: what users call. Not for: how it is done (`unit`)."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from encodings.aliases import aliases
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from penstock.errors import UsageError
from penstock.formats.fixed.spec import fixed_from
from penstock.ledger import install
from penstock.ledger.runs import RunRecord
from penstock.loading.export import check_path
from penstock.loading.fallen import check_group
from penstock.loading.inputs import Input, inputs_of
from penstock.loading.observe import Observer
from penstock.loading.prepare import Prepared, prepare
from penstock.loading.star import StarFile, in_order, match_files
from penstock.loading.steps import Step
from penstock.loading.unit import Unit
from penstock.loading.waited import with_retries
from penstock.model.options import (
    TYPED,
    Budget,
    CsvOptions,
    ExcelOptions,
    Format,
    Grammar,
    JsonOptions,
    LoadMode,
    LoadOptions,
    OrphanPolicy,
)
from penstock.model.result import LoadResult
from penstock.postgres.catalog import nearest
from penstock.postgres.connection import (
    Target,
    restore_settings,
    saved_settings,
    set_locally,
    target_of,
    translated,
)
from penstock.quality.lists import of_load

if TYPE_CHECKING:
    import sqlalchemy

    Where = str | sqlalchemy.Engine | sqlalchemy.Connection

_CSV = {one.name for one in fields(CsvOptions)}
_EXCEL = {one.name for one in fields(ExcelOptions)}
_GRAMMAR = {one.name for one in fields(Grammar)}
_LOAD = {one.name for one in fields(LoadOptions)}
#: Options that are dictionaries, with an example of each.
_MAPPINGS = {
    "orphans": '{"customer_id": "wait"}',
    "lookups": '{"customer_id": "dim_customers.customer_no"}',
    "within": '{"region": "EU"}',
    "missing": '{"active": False}',
}
#: Python's codecs for names of hosts and for its own source code.
_NOT_OF_FILES = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
_ENCODINGS = "--encoding utf-8, cp1252, latin-1, utf-16 or another that Python can decode."


def options_from(**given: Any) -> LoadOptions:
    """`LoadOptions` from flat names: those of `CsvOptions`, `Grammar` and `LoadOptions`.

    Also `json_path`, those of `ExcelOptions`, and `fixed` and `records` in their short form.
    `max_rejects` is `"1%"`, a number or `"all"`; `mode` and `orphans` may be plain text;
    `columns` is a mapping (source -> target) or the names of the source's columns.

    Raises:
        UsageError: An unknown name or value.
    """
    csv = {name: given.pop(name) for name in list(given) if name in _CSV and name != "columns"}
    if csv.get("encoding") is not None:
        _check_encoding(csv["encoding"])
    grammar = {name: given.pop(name) for name in list(given) if name in _GRAMMAR}
    given |= _of_formats(given)
    columns = given.pop("columns", None)
    if columns is not None:
        if isinstance(columns, Mapping):
            given["columns"] = dict(columns)
        else:
            csv["columns"] = tuple(columns)
    if "null" in grammar:
        null = grammar["null"]
        grammar["null"] = (null,) if isinstance(null, str) else tuple(null)
    if "max_rejects" in given:
        given["budget"] = budget_from(given.pop("max_rejects"))
    if given.get("max_deletes") is not None:
        given["max_deletes"] = budget_from(given["max_deletes"])
    for name in ("key", "type1"):
        if name in given:
            names = given[name]
            given[name] = (names,) if isinstance(names, str) else tuple(names)
    given["quality"] = of_load(given.get("quality", ()))
    if "mode" in given:
        given["mode"] = _one_of(LoadMode, given["mode"], "mode")
    _check_mappings(given)
    if "orphans" in given:
        given["orphans"] = {
            name: _one_of(OrphanPolicy, policy, f"orphans {name}")
            for name, policy in given["orphans"].items()
        }
    if unknown := sorted(set(given) - _LOAD):
        meant = nearest(unknown[0], [*_LOAD, *_CSV, *_GRAMMAR, "max_rejects"])
        raise UsageError(f"There is no option {', '.join(unknown)}.{meant}")
    return LoadOptions(csv=CsvOptions(**csv), grammar=Grammar(**grammar), **given)


def _check_mappings(given: Mapping[str, Any]) -> None:
    for name, example in _MAPPINGS.items():
        if not isinstance(given.get(name, {}), Mapping):
            raise UsageError(f"{name} is a dictionary, such as {example}")


def options_told(told: Mapping[str, Any]) -> LoadOptions:
    """`LoadOptions` from those that the ledger keeps of a load (`LoadOptions.written`)."""
    return options_from(**{name: value for name, value in told.items() if name != TYPED})


def _of_formats(given: dict[str, Any]) -> dict[str, Any]:
    """Takes the options of formats other than CSV out of flat names."""
    found: dict[str, Any] = {"json": JsonOptions(path=given.pop("json_path", None))}
    excel = {name: given.pop(name) for name in _EXCEL if name in given}
    if (row := excel.get("header_row")) is not None and row < 1:
        raise UsageError(f"header_row: {row} is no row of a sheet, which begins with 1")
    found["excel"] = ExcelOptions(**excel)
    fixed, records = given.pop("fixed", None), given.pop("records", None)
    if records is not None and not isinstance(fixed, str):
        raise UsageError('--records goes with --fixed "id:1-6,name:7-30"')
    found["fixed"] = fixed_from(fixed, records) if isinstance(fixed, str) else fixed
    if given.get("format") is not None:
        found["format"] = _one_of(Format, given["format"], "format")
    return found


def _one_of(kind: type[Any], value: Any, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(
            f'{what}: "{value}" is not one of {", ".join(one.value for one in kind)}'
        ) from None


def _check_encoding(name: Any) -> None:
    """Refuse what Python does not know, and codecs that are not for the text of files."""
    try:
        known = codecs.lookup(name).name
    except (LookupError, TypeError, ValueError):
        names = [one.replace("_", "-") for one in (*aliases.values(), *aliases) if one != "utf"]
        hint = nearest(str(name), names) or f" Give one such as {_ENCODINGS}"
        raise UsageError(f'Python knows no encoding "{name}".{hint}') from None
    try:
        fits = known not in _NOT_OF_FILES and "\n".encode(known).decode(known) == "\n"
    except (LookupError, UnicodeError):
        fits = False  # such as zlib and hex, from bytes to bytes
    if not fits:
        raise UsageError(f"{name} is not the encoding of a text file: {_ENCODINGS}")


def budget_from(text: str | int | float | Budget) -> Budget:
    """A reject budget from `1%`, `100`, `0` or `all`.

    Raises:
        UsageError: It is none of these.
    """
    if isinstance(text, Budget):
        return text
    said = "" if isinstance(text, bool) else str(text).strip()
    try:
        if said == "all":
            return Budget(share=None, rows=None)
        if said.endswith("%"):
            share = float(said[:-1]) / 100
            if 0 <= share <= 1:
                return Budget(share=share)
        elif int(said) >= 0:
            return Budget(share=None, rows=int(said))
    except ValueError:
        pass
    raise UsageError(f'max_rejects: "{text}" is not a share (1%), a number (100) or all')


def load_table(where: Where, source: Any, table: str | None = None, **options: Any) -> LoadResult:
    """Load an input into a table of PostgreSQL, every row accounted for.

    Args:
        where: A connection string, a SQLAlchemy Engine, or a Connection whose transaction is
            joined: then nothing is committed here, and the ledger's part goes with it.
        source: A path or glob, several of them, an open binary file, a Polars frame or several
            frames of one schema. Files are CSV, NDJSON, JSON, Parquet, Excel (.xlsx), fixed
            width, or zip archives of these, as their names say; text also .gz and .zst.
        table: `table` or `schema.table`; default: the name of the file without its endings.
        **options: `mode` ("append", "truncate"), `columns`, `ignore_extra`, `max_rejects` ("1%"),
            `orphans`, `group`, `allow_shrink`, `keep_constraints`, `max_lock` (seconds),
            `lock_timeout` (seconds), `again`, `dry_run`, `ledger`, `rejects_file`, `quality`
            (checks of `penstock.quality`); and how the
            input is written: `delimiter`, `quote`, `escape`, `encoding`, `header`, `dates`,
            `numbers`, `timezone`, `round`, `trim`, `null`, `empty`; `format`, `json_path`, `sheet`,
            `header_row`, `fixed` and `records` (`penstock.formats.fixed.spec`). Their meanings:
            `LoadOptions`, `CsvOptions`, `JsonOptions`, `ExcelOptions`, `FixedOptions`, `Grammar`.

    Returns:
        The books of the load.

    Raises:
        UsageError: The call is wrong; nothing was tried.
        SourceError: The input cannot be read as declared.
        TargetError: The table or the role cannot take it.
        LoadError: The load was rolled back: too many refused rows, a shrinking table, a quality
            check that failed, books that do not balance.
        TryAgain: Locked, busy or cut off; nothing changed.
    """
    chosen = options_from(**options)
    name = table or table_named_by(source)
    return run_load(where, [(name, source)], chosen, RunRecord("load"))[0]


def load_star(
    where: Where, folder: str | Path, tables: Sequence[str] | None = None, **options: Any
) -> list[LoadResult]:
    """Load a folder of files, one for each table, in one transaction, parents first.

    Args:
        where: As for `load_table`.
        folder: With files such as `dim_products.csv`; `products.csv` also matches `dim_products`
            or `fact_products` where that is unambiguous.
        tables: Names of tables; default: those that the files match.
        **options: As for `load_table`; `mode` is "truncate" by default.

    Returns:
        The books of each table, in the order of loading.

    Raises:
        PenstockError: As for `load_table`; also a file without a table.
    """
    options.setdefault("mode", LoadMode.TRUNCATE)
    chosen = options_from(**options)
    return run_star(where, Path(folder), tables, chosen)


def run_star(
    where: Where,
    folder: Path,
    tables: Sequence[str] | None,
    options: LoadOptions,
    *,
    command: str = "",
) -> list[LoadResult]:
    """`load_star` with options made already."""
    with target_of(where) as target:
        matched = _star_files(target, folder, tables)
        pairs = [(file.table, file.paths) for file in matched]
        return load_into(target, pairs, options, RunRecord("load-star", command))


def _star_files(target: Target, folder: Path, tables: Sequence[str] | None) -> list[StarFile]:
    matched = match_files(target.connection, folder, tables)
    ordered = in_order(target.connection, matched)
    if not target.joined:
        target.connection.rollback()
    return ordered


def run_load(
    where: Where, pairs: Sequence[tuple[str, Any]], options: LoadOptions, run: RunRecord
) -> list[LoadResult]:
    """Load (table, source) pairs as one transaction, with options and record made already."""
    with target_of(where) as target:
        return load_into(target, pairs, options, run)


def load_into(
    target: Target, pairs: Sequence[tuple[str, Any]], options: LoadOptions, run: RunRecord
) -> list[LoadResult]:
    """Load (table, source) pairs into an open target as one transaction, or within its own."""

    def plan(chosen: LoadOptions, folder: Callable[[], Path]) -> list[Prepared]:
        tables = []
        for name, source in pairs:
            inputs: list[Input] = inputs_of(source, chosen, folder)
            main = prepare(target.connection, name, inputs, chosen, ledger=chosen.ledger)
            tables += with_retries(target.connection, main, chosen, options_told)
        return tables

    return carry_out(target, plan, options, run)


def carry_out(
    target: Target,
    plan: Callable[[LoadOptions, Callable[[], Path]], list[Prepared]],
    options: LoadOptions,
    run: RunRecord,
) -> list[LoadResult]:
    """Load what a plan says as one transaction, or nothing where it names no table.

    Args:
        target: Where to.
        plan: Gives the tables in the order in which they are filled; called with the options that
            hold and with what makes a folder of the load's own, on the target's connection.
        options: Of all of them.
        run: The run that the loads belong to.

    Raises:
        PenstockError: As for `load_table`.
    """
    observer = Observer(options)
    connection = target.connection
    said: list[str] = []
    saved = _joined(connection, options) if target.joined else {}
    if options.rejects_file is not None:
        check_path(options.rejects_file)
    try:
        if options.ledger and not target.joined:
            observer.step(Step.LEDGER)
            if install.ensure(connection, target.conninfo):
                said.append("installed the ledger (schema penstock) in this database")
            connection.rollback()
        elif options.ledger:
            found = install.revision(connection)
            install.require_current(found)
            if not found["there"]:
                options = replace(options, ledger=False)
                said.append("this database has no ledger: nothing is recorded (penstock migrate)")
        observer.step(Step.PLAN)
        with ExitStack() as stack:
            folder = _private_folder(stack)
            set_locally(connection, "public")
            tables = plan(options, folder)
            if not target.joined:
                connection.rollback()
            if not tables:
                return []
            if options.group:
                check_group(options.group, tables)
            tables[0] = replace(tables[0], warnings=(*said, *tables[0].warnings))
            return Unit(target, tables, options, run, observer).execute()
    except psycopg.Error as error:
        raise translated(error, "load") from None
    finally:
        restore_settings(connection, saved)


def _joined(connection: psycopg.Connection[Any], options: LoadOptions) -> dict[str, str]:
    """The settings of the caller's transaction.

    Raises:
        UsageError: Its snapshot is older than the locks that a truncate needs to count by.
    """
    if connection.info.transaction_status is TransactionStatus.INERROR:
        raise UsageError("The transaction to join has failed: roll it back first")
    row = connection.execute("select current_setting('transaction_isolation')").fetchone()
    if options.mode is LoadMode.TRUNCATE and row != ("read committed",):
        raise UsageError(
            "truncate joins READ COMMITTED transactions only: in one with an older snapshot it "
            "would empty the table of rows that it does not see"
        )
    return saved_settings(connection)


def _private_folder(stack: ExitStack) -> Callable[[], Path]:
    """Makes a folder (0700) for what can be read only once, when somebody asks for it."""

    @cache
    def make() -> Path:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-")))

    return make


def table_named_by(source: Any) -> str:
    """The table that a file is named after.

    Raises:
        UsageError: The source is no file.
    """
    if isinstance(source, (str, Path)):
        return Path(source).name.split(".")[0]
    raise UsageError("Say which table to load into: load_table(engine, source, 'table')")
