"""How records are written, by declaration. Not for: doing it (`writing`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.connectors.rest.paths import RECORD, RECORDS, fields_of

#: Kinds of writing, and what is understood where the declaration does not say.
ACTIONS: Mapping[str, Mapping[str, Any]] = {
    "create": {"method": "POST"},
    "update": {"method": "PATCH"},
    "upsert": {"method": "PUT"},
    "link": {"method": "PUT"},
}
_METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One way in which records are written.

    Fields that `path` or `record` name (`/companies/{id}`) are left out of `{record}`.

    Attributes:
        method: Default: POST creates, PATCH updates, PUT upserts and links.
        path: Where to; with `{field}` of the record where `size` is 1.
        key: The fields that a record is known by.
        size: Records in one request; 1: the endpoint takes a single one.
        record: How one record is written: a template, see `paths.filled`.
        body: How a request is written, with `{records}`; single ones need none.
        answers: Where the answer to a batch has one entry for each record that was taken, or for
            each record.
        match: Where such an entry has the record's key; empty: they are in the order of the
            request, one for each record.
        id: Where the answer for a record has the id that it was given.
        accepted: Where the answer for a record says whether it was taken; empty: it was.
        created: Where it says whether it is new.
        message: Where it says what was wrong; empty: looked for at the usual places.
        errors: Where the answer to a batch has the records that were refused, apart.
        error_match: Where an entry of those has the record's key, or a list of keys.
        mode: `create`, `update`, `upsert` or `link`; set by where it is declared.
    """

    path: str
    method: str
    key: tuple[str, ...] = ()
    size: int = 1
    record: Mapping[str, Any] | str = RECORD
    body: Mapping[str, Any] | str = RECORDS
    answers: str = ""
    match: str = ""
    id: str = "id"
    accepted: str = ""
    created: str = ""
    message: str = ""
    errors: str = ""
    error_match: str = ""
    mode: str = field(default="")

    def __post_init__(self) -> None:
        problems = []
        if self.method not in _METHODS:
            problems.append(f"method must be one of {', '.join(_METHODS)}")
        if self.size < 1:
            problems.append("size must be 1 or more")
        if self.size > 1 and any(fields_of(self.path)):
            problems.append("a path with fields takes single records: leave size out")
        if self.size > 1 and self.errors and not (self.match and self.error_match):
            problems.append("errors apart need match and error_match, by which records are known")
        if (self.match or self.error_match) and not self.key:
            problems.append("match and error_match need the key")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def named(self) -> frozenset[str]:
        """The fields that stand elsewhere than in `{record}`."""
        return frozenset((*fields_of(self.path), *fields_of(self.record)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """How one record is looked up by its key.

    Attributes:
        path: Where; with `{field}` of the record.
        method: Default GET.
        params: Parameters; templates.
        body: What is sent; a template.
        records: Where the answer has the list of records that were found; None: the answer is
            the record itself, and 404 says that there is none.
        id: Where a record has its id.
        fields: Where a record has its fields; empty: it has them itself.
    """

    path: str
    method: str = "GET"
    params: Mapping[str, Any] | None = None
    body: Mapping[str, Any] | None = None
    records: str | None = None
    id: str = "id"
    fields: str = ""
