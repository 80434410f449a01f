"""Which format a file has: as declared, or as its name says. Not for: looking into it."""

from __future__ import annotations

from penstock.errors import SourceError, UsageError
from penstock.model.options import Format, Grammar, LoadOptions

#: Endings of names, and what they say. Before them there may be one of `_PACKED`.
_ENDINGS = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".txt": Format.CSV,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".json": Format.JSON,
    ".parquet": Format.PARQUET,
    ".xlsx": Format.EXCEL,
    ".xlsm": Format.EXCEL,
}
_PACKED = (".gz", ".zst")
#: Formats that are not read from the beginning to the end, and so never compressed as a whole.
WHOLE = (Format.PARQUET, Format.EXCEL)
#: Endings of all files that can be loaded.
ENDINGS = (
    *_ENDINGS,
    *(e + packed for e, kind in _ENDINGS.items() if kind not in WHOLE for packed in _PACKED),
    ".zip",
)


def format_of(name: str, options: LoadOptions, *, certain: bool = False) -> Format:
    """The format of a file; CSV, or fixed width where that is declared, if nothing says another.

    Args:
        name: The file's name.
        options: `format` and `fixed`.
        certain: True: a name that says nothing is an error.

    Raises:
        SourceError: The format is none of those that can be read.
    """
    lower = name.lower()
    packed = lower.endswith(_PACKED)
    if packed:
        lower = lower.rpartition(".")[0]
    said = next((kind for ending, kind in _ENDINGS.items() if lower.endswith(ending)), None)
    if lower.endswith((".xls", ".xlsb", ".ods")) and options.format is None:
        raise SourceError(
            f"{name}: of Excel only .xlsx is read. Open it and save it as .xlsx, or as CSV UTF-8.",
            code="format",
        )
    found = options.format or said
    if found is None and certain and options.fixed is None:
        raise SourceError(
            f"{name}: its name does not say what it is. Say --format, or leave it out of the "
            "archive.",
            code="format",
        )
    if found in (None, Format.CSV) and options.format is None and options.fixed is not None:
        found = Format.FIXED
    if found in WHOLE and packed:
        raise SourceError(
            f"{name}: a {found} file is not read while it is unpacked. Unpack it first.",
            code="format",
        )
    return found or Format.CSV


def refuse_text_only(options: LoadOptions, name: str) -> None:
    """Numbers and NULLs that are no text have one way to be written; a declared one misreads them.

    Raises:
        UsageError: `numbers`, or the empty text for NULL, is declared.
    """
    if options.grammar.numbers != Grammar().numbers:
        raise UsageError(
            f"--numbers {options.grammar.numbers} is about text, and {name} has numbers that are "
            "none: 1.234 in it is less than two. Load it apart, without --numbers."
        )
    if options.grammar.empty == "text":
        raise UsageError(
            f"--empty text is about unquoted fields, and {name} has none: in it, null is NULL and "
            '"" is the empty text. Load it apart, without --empty.'
        )
