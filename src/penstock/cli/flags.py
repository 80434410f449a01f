"""The options that `load` and `load-star` share, declared once. Not for: what they do.

`takes_flags` gives them to a command: typer reads a command's options from its signature.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import Field, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from penstock.cli import arguments
from penstock.cli.database import Dsn
from penstock.cli.interrupts import end_at_once
from penstock.cli.written import InputFlags, option
from penstock.errors import UsageError
from penstock.model.options import LoadMode

if TYPE_CHECKING:
    from penstock.model.options import LoadOptions

_CHANGES = "Which rows of the table change"
_HAPPENS = "What happens"
_OUTPUT = "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags(InputFlags):
    """What the options of a load said, as typed; None and False where nothing was said."""

    mode: Annotated[
        LoadMode | None,
        option(
            _CHANGES,
            "append (default of load), insert_new, upsert, sync, replace_range, scd2, or "
            "truncate "
            "(default of load-star).",
            "--mode",
            metavar="MODE",
        ),
    ] = None
    key: Annotated[
        str | None,
        option(
            _CHANGES,
            "Columns of the unique key by which insert_new, upsert and sync find rows. Default: "
            "the primary key.",
            "--key",
            metavar="A,B",
        ),
    ] = None
    duplicates: Annotated[
        str,
        option(
            _CHANGES,
            "Which of several rows with one key counts: first (default of insert_new), last "
            "(of upsert and sync), reject, max:COLUMN.",
            "--duplicates",
            metavar="WHICH",
        ),
    ] = ""
    type1: Annotated[
        str | None,
        option(
            _CHANGES,
            "Columns that scd2 overwrites in all versions, without history.",
            "--type1",
            metavar="A,B",
        ),
    ] = None
    within: Annotated[
        list[str] | None,
        option(
            _CHANGES,
            "The part of the table that sync or replace_range is about, such as region=EU or "
            "day=2024-01-01..2024-01-31. May be repeated.",
            "--within",
            metavar="COLUMN=VALUE",
        ),
    ] = None
    missing: Annotated[
        list[str] | None,
        option(
            _CHANGES,
            "sync sets this where a row is gone from the input, instead of removing the row.",
            "--missing",
            metavar="COLUMN=VALUE",
        ),
    ] = None
    max_deletes: Annotated[
        str | None,
        option(
            _CHANGES,
            "How many rows sync may remove: 5%, 100 or all. Default: at most half.",
            "--max-deletes",
            metavar="LIMIT",
        ),
    ] = None
    max_rejects: Annotated[
        str,
        option(
            _HAPPENS,
            "How many rows of a table may be refused before all is rolled back: 1%, 100, 0 or "
            "all. Default: 1%.",
            "--max-rejects",
            metavar="BUDGET",
        ),
    ] = "1%"
    lookup: Annotated[
        list[str] | None,
        option(
            _HAPPENS,
            "The input has natural keys where the table has surrogate keys: "
            "customer_id=dim_customers.customer_no. May be repeated.",
            "--lookup",
            metavar="COLUMN=TABLE.KEY",
        ),
    ] = None
    orphans: Annotated[
        list[str] | None,
        option(
            _HAPPENS,
            "Rows whose parent is missing: COLUMN=quarantine (default), =wait (later loads try "
            "them again), =placeholder (a marked parent is made), =null, or with --lookup "
            "=unknown (-1); TABLE.COLUMN too; may be repeated.",
            "--orphans",
            metavar="RULE",
        ),
    ] = None
    group: Annotated[
        str,
        option(
            _HAPPENS,
            "Rows with one value of this column are loaded together or refused together, in all "
            "tables of the load that have it.",
            "--group",
            metavar="COLUMN",
        ),
    ] = ""
    allow_shrink: Annotated[
        bool,
        option(_HAPPENS, "Modes that remove rows may leave less than half.", "--allow-shrink"),
    ] = False
    keep_constraints: Annotated[
        bool,
        option(_HAPPENS, "Never take constraints off while loading.", "--keep-constraints"),
    ] = False
    max_lock: Annotated[
        float,
        option(
            _HAPPENS,
            "How long readers of parent tables may have to wait. Default: 5.",
            "--max-lock",
            metavar="SECONDS",
        ),
    ] = 5.0
    lock_timeout: Annotated[
        float,
        option(
            _HAPPENS,
            "How long to wait for locks before exit 75. Default: 30.",
            "--lock-timeout",
            metavar="SECONDS",
        ),
    ] = 30.0
    dry_run: Annotated[
        bool, option(_HAPPENS, "Do all of it, report, and roll it back.", "--dry-run")
    ] = False
    no_ledger: Annotated[
        bool,
        option(_HAPPENS, "Keep no record in the schema penstock, and no rejects.", "--no-ledger"),
    ] = False
    dsn: Dsn = None
    rejects: Annotated[
        str | None,
        option(
            _OUTPUT,
            "Also write the refused rows there, as .csv or .xlsx, to correct them.",
            "--rejects",
            metavar="FILE",
        ),
    ] = None
    rejects_ok: Annotated[
        bool, option(_OUTPUT, "Exit 0, not 3, where rows wait in quarantine.", "--rejects-ok")
    ] = False
    as_json: Annotated[bool, option(_OUTPUT, "One JSON object on standard output.", "--json")] = (
        False
    )
    quiet: Annotated[bool, option(_OUTPUT, "Say nothing but errors.", "--quiet", "-q")] = False

    def options(self, default: LoadMode, **observers: Any) -> LoadOptions:
        """What they mean for the loader.

        Args:
            default: The mode where none was said.
            **observers: `on_progress` and `on_step` of `LoadOptions`.

        Raises:
            UsageError: A value is not of its option's form.
        """
        with end_at_once(as_json=self.as_json):
            from penstock.loading.load import options_from
            from penstock.loading.validate import Validator

        names = arguments.columns_of(self.columns) if self.columns is not None else None
        if self.no_header and not isinstance(names, list):
            raise UsageError("--no-header needs the names of all columns: --columns a,b,c.")
        options = options_from(**self.said(), **observers, mode=self.mode or default)
        Validator([], options.grammar)  # senseless --dates, --numbers, --timezone are refused
        return options

    def said(self) -> dict[str, Any]:
        """What was said, but for the mode, as options of `load_table`.

        Raises:
            UsageError: A value is not of its option's form.
        """
        silent = {one.name: one.default for one in fields(Flags)}
        names = [name for name in _AS_THEY_ARE if getattr(self, name) != silent[name]]
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.columns is not None:
            given["columns"] = arguments.columns_of(self.columns)
        if self.delimiter is not None:
            given["delimiter"] = arguments.character_of(self.delimiter, "delimiter")
        if self.escape is not None:
            given["escape"] = arguments.character_of(self.escape, "escape")
        if self.null:
            given["null"] = tuple(self.null)
        if self.lookup:
            given["lookups"] = arguments.values_of(self.lookup, "lookup")
        return given | {
            "quote": arguments.quote_of(self.quote),
            "header": not self.no_header,
            "key": arguments.names_of(self.key, "key") if self.key is not None else (),
            "type1": arguments.names_of(self.type1, "type1") if self.type1 is not None else (),
            "within": arguments.values_of(self.within or (), "within"),
            "missing": arguments.values_of(self.missing or (), "missing"),
            "orphans": arguments.orphans_of(self.orphans or ()),
            "max_lock": arguments.seconds_of(self.max_lock, "max-lock"),
            "lock_timeout": arguments.seconds_of(self.lock_timeout, "lock-timeout"),
            "ledger": not self.no_ledger,
            "rejects_file": self.rejects,
        }


#: Options that mean what they say.
_AS_THEY_ARE = (
    "ignore_extra",
    "again",
    "format",
    "json_path",
    "sheet",
    "header_row",
    "fixed",
    "records",
    "dates",
    "numbers",
    "encoding",
    "timezone",
    "empty",
    "round",
    "trim",
    "max_rejects",
    "max_deletes",
    "duplicates",
    "group",
    "allow_shrink",
    "keep_constraints",
    "dry_run",
)


def takes_flags(
    kind: type[InputFlags] | None = None, *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `Flags`, gathered in its parameter `flags`.

    Args:
        kind: Only the options of this base of `Flags`.
        without: Fields of `Flags` that make no sense for the command.
    """

    def give(command: Callable[..., None]) -> Callable[..., None]:
        return _taking(command, [one for one in fields(kind or Flags) if one.name not in without])

    return give


def _taking(command: Callable[..., None], taken: Sequence[Field[Any]]) -> Callable[..., None]:
    own = [
        one
        for one in inspect.signature(command, eval_str=True).parameters.values()
        if one.name != "flags"
    ]
    hints = get_type_hints(Flags, include_extras=True)
    shared = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in taken
    ]

    def called(**given: Any) -> None:
        flags = Flags(**{one.name: given.pop(one.name) for one in shared})
        command(**given, flags=flags)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + shared
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called
