"""The command that loads an input, with the options it needs and no others. Not for: running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from penstock.model.options import CsvOptions, FixedOptions, Grammar, LoadOptions

_PLAIN = Grammar()
_CSV = CsvOptions()
_TAB = "\t"


def command_words(
    files: Sequence[str], table: str, options: LoadOptions, *, create: bool
) -> list[str]:
    """`penstock load FILE... TABLE` and the options that are not their defaults.

    Args:
        files: As they were given.
        table: The target.
        options: How the input is written.
        create: True where the table is not there yet.
    """
    words = ["penstock", "load", *files]
    if len(files) > 1 or Path(files[0]).name.split(".")[0] != table:
        words.append(table)
    if create:
        words.append("--create")
    words += _of_format(options) + _of_csv(options.csv)
    if options.columns:
        pairs = ",".join(f"{source}={target}" for source, target in options.columns.items())
        words += ["--columns", pairs]
    grammar = options.grammar
    for name in ("dates", "numbers", "timezone", "empty"):
        value = getattr(grammar, name)
        if value != getattr(_PLAIN, name) and value is not None:
            words += [f"--{name}", value]
    for text in grammar.null:
        words += ["--null", text] if not text.startswith("-") else [f"--null={text}"]
    words += [f"--{name}" for name in ("round", "trim") if getattr(grammar, name)]
    if options.ignore_extra:
        words.append("--ignore-extra")
    return words


def _of_csv(csv: CsvOptions) -> list[str]:
    words = []
    for one in fields(CsvOptions):
        value = getattr(csv, one.name)
        if value == getattr(_CSV, one.name) or one.name == "max_record_bytes":
            continue
        if one.name == "header":
            words.append("--no-header")
        elif one.name == "columns":
            words += ["--columns", ",".join(value)]
        elif one.name == "quote":
            words += ["--quote", value or "none"]
        else:
            words += [f"--{one.name}", "tab" if value == _TAB else value]
    return words


def _of_format(options: LoadOptions) -> list[str]:
    words = []
    if options.format is not None:
        words += ["--format", options.format.value]
    if options.json.path is not None:
        words += ["--json-path", options.json.path]
    if options.excel.sheet is not None:
        words += ["--sheet", str(options.excel.sheet)]
    if options.excel.header_row is not None:
        words += ["--header-row", str(options.excel.header_row)]
    if options.fixed is not None:
        words += ["--fixed", ",".join(f"{n}:{_span(at)}" for n, *at in options.fixed.fields)]
        words += _records(options.fixed)
    return words


def _records(fixed: FixedOptions) -> list[str]:
    if fixed.kind is None:
        return []
    kinds = [f"{kind}=header" for kind in fixed.headers]
    kinds += [f"{kind}=row" for kind in fixed.details]
    for kind, counted in fixed.trailers.items():
        kinds.append(f"{kind}=trailer" + ("" if counted is None else f":{_span(counted)}"))
    return ["--records", f"{_span(fixed.kind)}:{','.join(kinds)}"]


def _span(positions: Sequence[int]) -> str:
    first, last = positions
    return f"{first}-{last}"
