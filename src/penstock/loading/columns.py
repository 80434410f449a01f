"""Matches the columns of an input with those of the target. Not for: values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.errors import SourceError, UsageError
from penstock.model.batch import LINE, ROW
from penstock.model.naming import plain_name
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.table import Column, TableSpec
from penstock.postgres.catalog import nearest
from penstock.postgres.staging import ROW_COLUMN

#: How the header of exported rejects begins, and what of it is ours: a corrected file is loaded
#: as it is.
_EXPORT = ("_id", "_column", "_reason", "_value")
_EXPORTED = (*_EXPORT, "_of", "_table", "_raw")


@dataclass(frozen=True, slots=True)
class Matching:
    """Which source column fills which target column.

    Attributes:
        pairs: (source column, target column), in the order of the source.
        left_out: Source columns without a target, left out because the user said so.
        missing: Target columns that the input does not supply; each is nullable, has a default
            or is generated.
        extra: Of those left out, the ones that are not Penstock's own columns of exported rejects.
    """

    pairs: tuple[tuple[str, Column], ...]
    left_out: tuple[str, ...]
    missing: tuple[Column, ...]
    extra: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The target columns that are supplied, in the order of the source."""
        return tuple(column for _, column in self.pairs)


def match(source: Sequence[str], spec: TableSpec, options: LoadOptions, where: str) -> Matching:
    """Match by name: exactly, else with case, blanks, dots and dashes not counting.

    Args:
        source: The input's column names.
        spec: The target.
        options: `columns` (source -> target) and `ignore_extra`.
        where: The input's name, for messages.

    Raises:
        SourceError: A column that the table does not have, one that is missing and needed, or
            two columns for one target.
        UsageError: `columns` names what is not there.
    """
    for name in (ROW, LINE):
        if name in source:
            raise SourceError(
                f"{where}: a column may not be called {name}; rename it with --columns",
                code="columns",
            )
    odd = [n for n in (*source, *(c.name for c in spec.columns)) if _is_pattern(n)]
    if odd:
        raise SourceError(
            f'{where}: a column called "{odd[0]}" would be read as a pattern; rename it',
            code="columns",
        )
    targets = _Targets(spec)
    renamed = _renamed(source, targets, options, where)
    pairs: list[tuple[str, Column]] = []
    unknown: list[str] = []
    own = _EXPORTED if tuple(source[: len(_EXPORT)]) == _EXPORT else ()
    left_out: list[str] = []
    for name in source:
        column = renamed.get(name) or targets.find(name)
        if column is None and name in own:
            left_out.append(name)
        elif column is None or (column.generated and options.ignore_extra):
            unknown.append(name)
        else:
            pairs.append((name, column))
    if unknown and not options.ignore_extra:
        raise SourceError(_unknown(unknown, spec, where), code="columns")
    _refuse(pairs, spec, where)
    supplied = {column.name for _, column in pairs}
    missing = tuple(c for c in spec.columns if c.name not in supplied)
    needed = [c for c in missing if not (c.nullable or c.has_default or c.generated)]
    # An update leaves what the input does not have; a version's own columns the mode sets.
    if needed and options.mode not in (LoadMode.UPSERT, LoadMode.SYNC, LoadMode.SCD2):
        raise SourceError(
            f"{where}: {_and([c.name for c in needed])} of {spec.name} is missing, and may be "
            "neither NULL nor left to a default. Map another column to it with "
            f"--columns SOURCE={needed[0].name}. The input has: {', '.join(source)}.",
            code="columns",
        )
    return Matching(tuple(pairs), (*left_out, *unknown), missing, tuple(unknown))


def _is_pattern(name: str) -> bool:
    """Polars reads `*` and `^...$` as patterns wherever it takes a column's name."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


class _Targets:
    def __init__(self, spec: TableSpec) -> None:
        self.exact = {column.name: column for column in spec.columns}
        self.folded: dict[str, list[Column]] = {}
        for column in spec.columns:
            self.folded.setdefault(plain_name(column.name), []).append(column)

    def find(self, name: str) -> Column | None:
        if name in self.exact:
            return self.exact[name]
        alike = self.folded.get(plain_name(name), [])
        return alike[0] if len(alike) == 1 else None


def _renamed(
    source: Sequence[str], targets: _Targets, options: LoadOptions, where: str
) -> dict[str, Column]:
    renamed = {}
    # An input may call the column by the name of the natural key that it has.
    natural = {said.rpartition(".")[2]: name for name, said in options.lookups.items()}
    own = {old: new for old, new in natural.items() if old in source and old not in targets.exact}
    for old, new in {**own, **options.columns}.items():
        found = [name for name in source if name == old] or [
            name for name in source if plain_name(name) == plain_name(old)
        ]
        if len(found) != 1:
            raise UsageError(
                f"--columns {old}={new}: {where} has no column {old}."
                f"{nearest(old, list(source))} It has: {', '.join(source)}."
            )
        column = targets.find(new)
        if column is None:
            raise UsageError(
                f"--columns {old}={new}: the table has no column {new}."
                f"{nearest(new, list(targets.exact))}"
            )
        renamed[found[0]] = column
    return renamed


def _unknown(unknown: list[str], spec: TableSpec, where: str) -> str:
    names = [column.name for column in spec.columns]
    hints = "".join(nearest(name, names) for name in unknown[:3])
    shown = ", ".join(f'"{name}"' for name in unknown[:8])
    return (
        f"{where}: {spec.name} has no column {shown}.{hints} Map it with --columns SOURCE=TARGET, "
        f"or leave it out with --ignore-extra. {spec.name} has: {', '.join(names)}."
    )


def _refuse(pairs: Sequence[tuple[str, Column]], spec: TableSpec, where: str) -> None:
    if not pairs:
        raise SourceError(f"{where}: none of its columns is in {spec.name}", code="columns")
    seen: dict[str, str] = {}
    for name, column in pairs:
        if column.name in (ROW, LINE, ROW_COLUMN):
            raise SourceError(
                f"{where}: {spec.name} has a column {column.name}, a name that a load needs for "
                "itself; rename it",
                code="columns",
            )
        if column.generated:
            raise SourceError(
                f"{where}: {column.name} of {spec.name} is generated by PostgreSQL and cannot be "
                "loaded; leave it out with --ignore-extra",
                code="428C9",
            )
        if column.name in seen:
            raise SourceError(
                f'{where}: both "{seen[column.name]}" and "{name}" would fill {column.name}; say '
                f"which with --columns {name}=OTHER",
                code="columns",
            )
        seen[column.name] = name


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
