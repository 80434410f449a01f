"""Finds out how the bytes of an input are to be read, before its values are looked at.

What a load would refuse for want of a declaration is tried with the likely ones, and said.
Not for: values (`profile`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.errors import SourceError
from penstock.formats.csv.header import CANDIDATES
from penstock.formats.csv.reader import CsvReader
from penstock.loading.evidence import Evidence, evidence_of
from penstock.loading.inputs import CsvInput, Input, inputs_of
from penstock.loading.profile.facts import Profile
from penstock.loading.profile.reading import profile
from penstock.model.naming import plain_name
from penstock.model.options import LoadOptions

#: Encodings that are tried where a file is not UTF-8; the last one reads any bytes.
_LIKELY = ("cp1252", "latin-1")
#: How the refusal of such a line ends, which was done here.
_ADVICE = "; if the whole file is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """An input that can be read.

    Attributes:
        inputs: Opened as settled.
        options: Those given, and what was found out: `encoding` and `delimiter`.
        profile: Of all rows.
        names: Source columns.
        encoding: The codec's name; empty where the format has none.
        encoding_because: What says so.
        delimiter: Of CSV; else empty.
        delimiter_because: What says so.
        problems: What was in the way.
    """

    inputs: Sequence[Input]
    options: LoadOptions
    profile: Profile
    names: tuple[str, ...]
    encoding: str = ""
    encoding_because: str = ""
    delimiter: str = ""
    delimiter_because: str = ""
    problems: tuple[str, ...] = ()


def settle(
    source: Any, options: LoadOptions, spool: Callable[[], Path], known: Collection[str]
) -> Settled:
    """Read an input as declared, else as its bytes say, else as the likely encodings say.

    Args:
        source: As for `load_table`.
        options: What was declared.
        spool: Gives a folder for what can be read only once.
        known: Column names of the table, where there is one.

    Raises:
        SourceError: It cannot be read.
    """
    first = _try(source, options, spool, known)
    if options.csv.encoding is not None or not (why := _not_utf8(first)):
        if isinstance(first, SourceError):
            raise first
        return first
    evidence = evidence_of(inputs_of(source, options, spool), options.csv.max_record_bytes)
    if evidence.is_utf8:
        return _still_utf8(first, why, evidence)
    for name in _LIKELY:
        csv = replace(options.csv, encoding=name)
        found = _try(source, replace(options, csv=csv), spool, known)
        if isinstance(found, Settled) and not _not_utf8(found):
            said = f"likely, as it is not UTF-8: {why.split(_ADVICE)[0]}"
            problems = (*found.problems, *_mixed(evidence, name))
            return replace(found, encoding_because=said, problems=problems)
    if isinstance(first, SourceError):
        raise first
    return first


def _still_utf8(first: Settled | SourceError, why: str, evidence: Evidence) -> Settled:
    """UTF-8 in which some records are wrong: they are refused, the others are read as they are.

    Raises:
        SourceError: What is wrong is needed to read the rest, such as the header.
    """
    if isinstance(first, SourceError):
        said = str(first).split(_ADVICE)[0].rstrip(".")
        raise SourceError(
            f"{said}. The rest of the file is UTF-8 ({evidence.utf8:,} lines show it): correct "
            "the bytes, another encoding would damage the rest.",
            code="encoding",
        )
    count = first.profile.malformed["encoding"][0]
    where = why.split(" of the record is not")[0]
    are = f"{count:,} {'record is' if count == 1 else 'records are'} not"
    return replace(first, encoding_because=f"{evidence.utf8:,} lines show it; {are}: {where}")


def _mixed(evidence: Evidence, name: str) -> list[str]:
    if not evidence.utf8:
        return []
    lines = f"{evidence.utf8:,} {'line' if evidence.utf8 == 1 else 'lines'}"
    return [
        f"{lines} could also be UTF-8, such as {evidence.first}, and {evidence.wrong:,} could not: "
        f"as {name} look whether they are read right"
    ]


def _not_utf8(found: Settled | SourceError) -> str:
    """The first line that is not UTF-8, as the likely encodings read it; else empty."""
    if isinstance(found, SourceError):
        return str(found) if found.code == "encoding" and "UTF-16" not in str(found) else ""
    return found.profile.malformed.get("encoding", (0, ""))[1]


def _try(
    source: Any, options: LoadOptions, spool: Callable[[], Path], known: Collection[str]
) -> Settled | SourceError:
    try:
        return _settled(source, options, spool, known)
    except SourceError as error:
        if error.code != "encoding":
            raise
        return error


def _settled(
    source: Any, options: LoadOptions, spool: Callable[[], Path], known: Collection[str]
) -> Settled:
    inputs = inputs_of(source, options, spool)
    problems: list[str] = []
    proof = ""
    try:
        names = inputs[0].columns(known)
    except SourceError as error:
        if error.code not in ("columns", "delimiter"):
            raise
        if error.code == "columns":
            problems.append(str(error))
            known = ()
        else:
            delimiter, proof = _by_rows(inputs[0], options, error)
            options = replace(options, csv=replace(options.csv, delimiter=delimiter))
            inputs = inputs_of(source, options, spool)
        names = inputs[0].columns(known)
    found = Settled(
        inputs=inputs,
        options=options,
        profile=profile(inputs, options.grammar, known=known),
        names=names,
        problems=tuple(problems),
    )
    return _as_csv(found, inputs[0], known, proof) if isinstance(inputs[0], CsvInput) else found


def _as_csv(found: Settled, one: CsvInput, known: Collection[str], proof: str) -> Settled:
    csv = found.options.csv
    with closing(CsvReader(one.where, csv, known=known, name=one.name)) as reader:
        delimiter, encoding = reader.delimiter, reader.encoding
    if csv.encoding is not None:
        said = "declared"
    else:
        said = "every line is" if encoding == "utf-8" else "a byte order mark says so"
    if not proof:
        fitting = {plain_name(name) for name in known} & {plain_name(n) for n in found.names}
        if csv.delimiter is not None:
            proof = "declared"
        elif len(found.names) == 1:
            proof = "the header has one name"
        elif fitting:
            proof = f"{len(fitting)} of the header's {len(found.names)} names are the table's"
        else:
            proof = f"the only one in the header, which has {len(found.names)} names by it"
    return replace(
        found,
        encoding=encoding,
        encoding_because=said,
        delimiter=delimiter,
        delimiter_because=proof,
    )


def _by_rows(one: Input, options: LoadOptions, error: SourceError) -> tuple[str, str]:
    """The only delimiter by which the first rows all have as many fields as the header.

    Raises:
        SourceError: There is none, or more than one: the error of the header.
    """
    fitting: dict[str, int] = {}
    if not isinstance(one, CsvInput):
        raise error
    for delimiter in CANDIDATES:
        csv = replace(options.csv, delimiter=delimiter)
        try:
            with closing(CsvReader(one.where, csv, name=one.name)) as reader:
                batch = next(reader.batches(), None)
                columns = len(reader.columns)
        except SourceError:
            continue
        if batch is not None and columns > 1 and batch.frame.height and not batch.malformed:
            fitting[delimiter] = columns
    if len(fitting) != 1:
        raise error
    delimiter, columns = fitting.popitem()
    return delimiter, f"only by it have the header and the first rows {columns} fields each"
