"""Which input is behind what a user gives: told by its type, its name or what was declared.

Not for: reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from penstock.errors import UsageError
from penstock.formats.bytes import expand, open_file
from penstock.formats.jsons.lines import JsonRows
from penstock.formats.zipped import members
from penstock.loading.inputs.copies import copied, kept
from penstock.loading.inputs.frames import FrameInput
from penstock.loading.inputs.kinds import WHOLE, format_of, refuse_text_only
from penstock.loading.inputs.protocol import Input
from penstock.loading.inputs.stored import CsvInput, FixedInput, JsonInput, Where
from penstock.loading.inputs.traced import Traced, TracedInput
from penstock.model.options import Format, LoadOptions


def inputs_of(
    source: Any, options: LoadOptions, spool: Callable[[], Path], file: int = 0
) -> list[Input]:
    """The inputs behind whatever a user may give.

    Args:
        source: A path or glob, several of them, an open binary file, a Polars frame or several. An
            archive stands for its members.
        options: How files are written.
        spool: Gives a folder of the load's own, for what can be read only once.
        file: Number of the first input, so that inputs of one load stay apart.

    Raises:
        UsageError: The source is of no such kind, or an option does not go with its format.
        SourceError: A file is missing or of no known format, or what can be read only once cannot
            be kept.
    """
    if isinstance(source, (str, Path)):
        return _files([source], options, spool, file)
    if type(source).__module__.partition(".")[0] == "pandas":
        raise UsageError("A pandas frame: load polars.from_pandas(frame), which keeps its types")
    if isinstance(source, Traced):
        return [TracedInput(source, file)]
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return [FrameInput([source], file)]
    if hasattr(source, "read"):
        name = str(getattr(source, "name", "stream"))
        return [_input(copied(source, spool, name), file, options, name)]
    if isinstance(source, Iterable) and not isinstance(source, (Mapping, bytes, bytearray)):
        return _several(source, options, spool, file)
    raise UsageError(
        f"A load reads a path, an open binary file or Polars frames, not {type(source).__name__}"
    )


def _several(
    source: Iterable[Any], options: LoadOptions, spool: Callable[[], Path], file: int
) -> list[Input]:
    items = iter(source)
    first = next(items, None)
    if first is None:
        raise UsageError("There is nothing to load: the source is an empty list")
    if isinstance(first, (str, Path)):
        return _files([first, *items], options, spool, file)
    frames = []
    for place, frame in enumerate(
        [first, *items] if isinstance(source, list) else _chain(first, items)
    ):
        if not isinstance(frame, pl.DataFrame):
            raise UsageError(f"A load reads paths or Polars frames, not {type(frame).__name__}")
        if isinstance(source, list):
            frames.append(frame)
            continue
        with kept(spool, "frames") as folder:
            path = folder / f"frame-{place}.arrow"
            frame.write_ipc(path)
        frames.append(pl.read_ipc(path))
    if any(frame.schema != frames[0].schema for frame in frames):
        raise UsageError("The frames of one load must have the same columns and types")
    return [FrameInput(frames, file, "frames")]


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _files(
    given: Sequence[str | Path], options: LoadOptions, spool: Callable[[], Path], file: int
) -> list[Input]:
    found: list[Input] = []
    for path in expand(given):
        number = file + len(found)
        if not path.is_file():  # a pipe or a device can be read only once
            with open_file(path, str(path)) as stream:
                copy = copied(stream, spool, str(path))
            found.append(_input(copy, number, options, str(path)))
        elif path.name.lower().endswith(".zip"):
            found += _members(path, number, options, spool)
        else:
            found.append(_input(path, number, options, str(path)))
    return found


def _members(path: Path, file: int, options: LoadOptions, spool: Callable[[], Path]) -> list[Input]:
    """The files of an archive, each an input; only what needs to jump about in it is copied."""
    found: list[Input] = []
    for number, member in enumerate(members(path), file):
        where: Where = member
        if format_of(str(member), options, certain=True) in WHOLE:
            with member.open() as stream:
                where = copied(stream, spool, str(member))
        found.append(_input(where, number, options, str(member)))
    return found


def _input(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    return _MAKERS[format_of(name, options)](where, file, options, name)


def _csv(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    return CsvInput(where, file, options.csv, name)


def _ndjson(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    return JsonInput(where, file, _json_rows(options, name), name=name)


def _json(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    path = options.json.path
    keys = () if path is None else tuple(path.split("."))
    return JsonInput(where, file, _json_rows(options, name), keys, name)


def _json_rows(options: LoadOptions, name: str) -> JsonRows:
    refuse_text_only(options, name)
    return JsonRows(
        columns=options.csv.columns,
        ignore_extra=options.ignore_extra,
        encoding=options.csv.encoding,
        max_record_bytes=options.csv.max_record_bytes,
    )


def _fixed(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    if options.fixed is None:
        raise UsageError('--format fixed needs the fields: --fixed "id:1-6,name:7-30".')
    if options.csv.columns is not None:
        raise UsageError("--fixed names the columns: of --columns only SOURCE=TARGET goes with it.")
    return FixedInput(where, file, options.fixed, options.csv, name)


def _parquet(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    if options.csv.columns is not None:
        raise UsageError(f"{name} names its columns: of --columns only SOURCE=TARGET goes with it.")
    from penstock.loading.inputs.typed import ParquetInput  # most loads never need it

    return ParquetInput(_path(where), file, name)


def _excel(where: Where, file: int, options: LoadOptions, name: str) -> Input:
    if not options.csv.header:
        raise UsageError(f"{name}: --no-header is about CSV; a sheet has its names in a row.")
    from penstock.loading.inputs.typed import ExcelInput  # most loads never need it

    return ExcelInput(_path(where), file, options, name)


def _path(where: Where) -> Path:
    assert isinstance(where, Path)  # noqa: S101  a member of these formats was copied
    return where


_MAKERS: Mapping[Format, Callable[[Where, int, LoadOptions, str], Input]] = {
    Format.CSV: _csv,
    Format.NDJSON: _ndjson,
    Format.JSON: _json,
    Format.PARQUET: _parquet,
    Format.EXCEL: _excel,
    Format.FIXED: _fixed,
}
