"""Texts of JSON objects become rows of text. Not for: where the texts come from (`lines`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from penstock.formats.jsons.shapes import Shape, shape_of
from penstock.formats.jsons.tokens import BLANKS, NULL, Refused, fields, text_of

#: Records that are taken apart one by one rather than by a shape of their own.
_FEW = 8
#: Shapes kept, and those learnt from one block of records.
_SHAPES = 32
_NEW_SHAPES = 8
#: A name that no column may have (`loading.columns`).
_AT = "_row"
#: A number with an exponent that can be written out; a longer one is left for the type to refuse.
_EXPONENT = r"^-?[0-9.]+[eE][+-]?[0-9]{1,4}$"


@dataclass(frozen=True, slots=True)
class Records:
    """Texts taken apart.

    Attributes:
        frame: A String column for each column of the parser.
        positions: Of each row of `frame` among the texts (UInt32), ascending.
        refused: Position among the texts -> code and reason, ascending.
        blank: Texts without anything in them.
    """

    frame: pl.DataFrame
    positions: pl.Series
    refused: dict[int, tuple[str, str]]
    blank: int


class RecordParser:
    """Takes objects of JSON apart; what it learns of their shapes it keeps.

    Args:
        columns: The keys that become columns.
        verbatim: Columns that keep their JSON as it is written, strings with their quotes.
        positional: Columns whose numbers are written without exponent: `1.5e3` as `1500`.
        leave_out: Says of a key that is no column whether it may be left out.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        verbatim: Collection[str] = (),
        positional: Collection[str] = (),
        leave_out: Callable[[str], bool],
    ) -> None:
        self._columns = tuple(columns)
        self._verbatim = frozenset(verbatim)
        self._positional = frozenset(positional)
        self._leave_out = leave_out
        self._shapes: list[Shape] = []

    def parse(self, texts: pl.Series) -> Records:
        """Take texts apart, all of one shape at a time.

        Args:
            texts: Objects of JSON; String, none NULL.
        """
        rest = pl.DataFrame({_AT: pl.int_range(len(texts), dtype=pl.UInt32, eager=True)})
        rest = rest.with_columns(text=texts)
        parts: list[pl.DataFrame] = []
        refused: dict[int, tuple[str, str]] = {}
        for shape in self._shapes:
            rest = self._take(shape, rest, parts)
        filled = rest.filter(pl.col("text").str.strip_chars(BLANKS) != "")
        blank = rest.height - filled.height
        rest = self._learn(filled, parts, refused)
        parts.append(self._careful(rest, refused))
        tokens = pl.concat([part for part in parts if part.height] or parts[-1:])
        if len(parts) > 1 and tokens.height:
            tokens = tokens.sort(_AT)
        escapes = bool(texts.str.contains("\\", literal=True).any())
        frame, positions = self._texts(tokens, refused, escapes=escapes)
        return Records(frame, positions, dict(sorted(refused.items())), blank)

    def _take(self, shape: Shape, rest: pl.DataFrame, parts: list[pl.DataFrame]) -> pl.DataFrame:
        """Move the records of a shape from `rest` to `parts`."""
        if rest.is_empty():
            return rest
        found = shape.match(rest["text"])
        hit = found.to_series().is_not_null()
        if not hit.any():
            return rest
        part = rest.select(_AT).hstack(
            [
                found[name] if name in shape.keys else _nothing(name, rest.height)
                for name in self._columns
            ]
        )
        if hit.all():
            parts.append(part)
            return rest.clear()
        parts.append(part.filter(hit))
        return rest.filter(~hit)

    def _learn(
        self,
        rest: pl.DataFrame,
        parts: list[pl.DataFrame],
        refused: dict[int, tuple[str, str]],
    ) -> pl.DataFrame:
        """Take apart what has a shape that was not met before."""
        for _ in range(_NEW_SHAPES):
            if rest.height <= _FEW or len(self._shapes) >= _SHAPES:
                break
            first = rest.head(1)
            try:
                members = self._members(first["text"][0])
            except Refused as wrong:
                refused[first[_AT][0]] = wrong.code, wrong.reason
                rest = rest.slice(1)
                continue
            shape = shape_of(members)
            if shape is None:
                break
            self._shapes.append(shape)
            rest = self._take(shape, rest, parts)
        return rest

    def _members(self, text: str) -> list[tuple[str, str, str]]:
        members = fields(text)
        for key, _, _ in members:
            if key not in self._columns and not self._leave_out(key):
                raise Refused(
                    "unknown_key",
                    f'the key "{key}" is none of the columns, which are the keys that the '
                    "beginning of the file has: name all with --columns a,b,c",
                )
        return members

    def _careful(self, rest: pl.DataFrame, refused: dict[int, tuple[str, str]]) -> pl.DataFrame:
        """Records one by one."""
        rows = []
        for at, text in rest.iter_rows():
            try:
                found = {key: token for key, _, token in self._members(text)}
            except Refused as wrong:
                refused[at] = wrong.code, wrong.reason
            else:
                rows.append([at, *(found.get(name) for name in self._columns)])
        schema = {_AT: pl.UInt32(), **dict.fromkeys(self._columns, pl.String())}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _texts(
        self, tokens: pl.DataFrame, refused: dict[int, tuple[str, str]], *, escapes: bool
    ) -> tuple[pl.DataFrame, pl.Series]:
        """What the tokens say; rows with a string that no text can hold are refused."""
        wrong: dict[int, tuple[str, str]] = {}
        said = tokens.select(
            [_AT, *(_said(name, verbatim=name in self._verbatim) for name in self._columns)]
        )
        for name in self._columns if escapes else ():
            if name not in self._verbatim:
                said = _unescaped(said, tokens[name], wrong)
        for name in self._columns:
            if name in self._positional:
                said = _without_exponents(said, tokens[name])
        if wrong:
            lost = pl.Series(list(wrong), dtype=pl.UInt32)
            refused |= {tokens[_AT][place]: told for place, told in wrong.items()}
            said = said.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(lost.implode()))
        return said.drop(_AT), said[_AT]


def keys_of(texts: pl.Series) -> tuple[list[str], Refused | None]:
    """The keys of all objects, in the order in which they are met, and why the first was refused.

    Args:
        texts: String, none NULL; blank ones and refused ones do not count.
    """
    keys: dict[str, None] = {}
    first: Refused | None = None
    rest = texts.filter(texts.str.strip_chars(BLANKS) != "")
    shapes = 0
    while len(rest):
        try:
            members = fields(rest[0])
        except Refused as refused:
            first = first or refused
            rest = rest.slice(1)
            continue
        keys |= dict.fromkeys(key for key, _, _ in members)
        shape = shape_of(members) if shapes < _SHAPES and len(rest) > _FEW else None
        if shape is None:
            rest = rest.slice(1)
        else:
            shapes += 1
            rest = rest.filter(~rest.str.contains(shape.pattern))
    return list(keys), first


def _nothing(name: str, height: int) -> pl.Series:
    return pl.Series(name, [None], dtype=pl.String).new_from_index(0, height)


def _said(name: str, *, verbatim: bool) -> pl.Expr:
    """A token's text; strings with escapes come later. No name is a pattern here (`columns`)."""
    token = pl.col(name)
    null = token == NULL
    if verbatim:
        return pl.when(~null).then(token).alias(name)
    return (
        pl.when(token.str.starts_with('"'))
        .then(token.str.strip_chars('"'))
        .when(~null)
        .then(token)
        .alias(name)
    )


def _unescaped(
    said: pl.DataFrame, tokens: pl.Series, wrong: dict[int, tuple[str, str]]
) -> pl.DataFrame:
    escaped = tokens.str.starts_with('"') & tokens.str.contains("\\", literal=True)
    if not escaped.any():
        return said
    places = escaped.arg_true()
    values: list[str | None] = []
    for place, token in zip(places, tokens.gather(places), strict=True):
        try:
            values.append(text_of(token))
        except Refused as refused:
            wrong.setdefault(place, (refused.code, refused.reason))
            values.append(None)
    texts = said[tokens.name].scatter(places, pl.Series(values, dtype=pl.String))
    return said.with_columns(texts.alias(tokens.name))


def _without_exponents(said: pl.DataFrame, tokens: pl.Series) -> pl.DataFrame:
    """Grammars of decimal types read no exponents; JSON has them, and they lose nothing."""
    raised = tokens.str.contains(_EXPONENT).fill_null(value=False)
    if not raised.any():
        return said
    places = raised.arg_true()
    values = [format(Decimal(token), "f") for token in tokens.gather(places)]
    texts = said[tokens.name].scatter(places, pl.Series(values, dtype=pl.String))
    return said.with_columns(texts.alias(tokens.name))
