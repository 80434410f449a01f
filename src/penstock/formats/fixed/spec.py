"""How fixed fields and kinds of records are written in one line. Not for: reading a file."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from penstock.errors import UsageError
from penstock.formats.csv.header import check_names
from penstock.model.options import FixedOptions

_SPAN = re.compile(r"\s*([0-9]+)(?:\s*-\s*([0-9]+))?\s*")
_FORM = 'Write --fixed "id:1-6,name:7-30": a name, and its first and last position from 1.'
_RECORDS = (
    'Write --records "1-2:HD=header,DT=row,TR=trailer:3-10": where the kind stands, what each kind '
    "is, and where a trailer has the number of rows."
)


def fixed_from(fields: str, records: str | None = None) -> FixedOptions:
    """Options from their short form.

    Args:
        fields: `id:1-6,name:7-30,flag:31`.
        records: `1:H=header,D=row,T=trailer:2-9`; None: every line is a row.

    Raises:
        UsageError: They are not of that form, two fields overlap or have one name, or no kind is
            a row.
    """
    found = []
    for part in fields.split(","):
        name, mark, span = part.rpartition(":")
        if not mark or not name.strip():
            raise UsageError(f"--fixed {part.strip()}: no name or no position. {_FORM}")
        found.append((name.strip(), *_span(span, f"--fixed {part.strip()}", _FORM)))
    check_names([name for name, _, _ in found], "--fixed", declared=True)
    ordered = sorted(found, key=lambda one: one[1])
    for before, after in pairwise(ordered):
        if after[1] <= before[2]:
            raise UsageError(
                f"--fixed: {before[0]} ends at {before[2]}, and {after[0]} begins at {after[1]}."
            )
    options = FixedOptions(fields=tuple(found))
    return options if records is None else _with_records(options, records)


def _with_records(options: FixedOptions, records: str) -> FixedOptions:
    place, mark, kinds = records.partition(":")
    if not mark:
        raise UsageError(f"--records {records}: no kinds. {_RECORDS}")
    kind = _span(place, f"--records {place.strip()}", _RECORDS)
    what: dict[str, list[str]] = {"header": [], "row": [], "trailer": []}
    trailers: dict[str, tuple[int, int] | None] = {}
    for part in kinds.split(","):
        text, _, role = part.partition("=")
        text = text.strip()
        role, counted, span = (word.strip() for word in role.partition(":"))
        if not text or role not in what or (counted and role != "trailer"):
            raise UsageError(f"--records {part.strip()}: not understood. {_RECORDS}")
        if any(text in others for others in what.values()):
            raise UsageError(f"--records: the kind {text} is given twice.")
        what[role].append(text)
        if role == "trailer":
            trailers[text] = _span(span, f"--records {part.strip()}", _RECORDS) if counted else None
    if not what["row"]:
        raise UsageError(f"--records {records}: no kind is a row. {_RECORDS}")
    return replace(
        options,
        kind=kind,
        details=tuple(what["row"]),
        headers=tuple(what["header"]),
        trailers=trailers,
    )


def _span(text: str, said: str, form: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    first = int(found[1]) if found else 0
    last = int(found[2] or first) if found else 0
    if not 0 < first <= last:
        raise UsageError(f"{said}: {text.strip() or 'nothing'} is no position. {form}")
    return first, last
