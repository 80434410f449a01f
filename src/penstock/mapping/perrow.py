"""Whether an expression looks at one row at a time. Not for: evaluating it (`made`).

Decided on the serialized tree by a list of what is known to be per-row, so that what is not known
is refused. `Expr.meta.is_row_separable()` is not asked: it takes `filter`, `drop_nulls` and
`is_in(another column)` for per-row (Polars 2.1).
"""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl

_REMEDY = (
    "is not known to look at one row at a time, and a map is applied to rows in batches: do it in"
    " TRANSFORM on the whole frame, or for one value at a time with Field(column, each=function)"
)
_PYTHON = "a Python function is called: write Field(column, each=function)"
_NO_FORMAT = (
    "a date is read without a format, which Polars guesses from the first value of each batch:"
    ' give the format, such as str.to_date("%d.%m.%Y"), or Field(column, dates="DD.MM.YYYY")'
)
_MEMBERS = (
    "it compares with another column, of which Polars takes all rows: compare with a list of"
    " values, or use Lookup"
)
#: Functions of one value, or of several of one row.
_PLAIN = (
    "Abs AsStruct Atan2 Ceil Clip Coalesce Cut Exp FillNull Floor Log Log1p MaxHorizontal"
    " MeanHorizontal MinHorizontal Negate Replace ReplaceStrict Round RoundSF Sign SumHorizontal"
    " Truncate"
)
_FAMILIES = {
    "Boolean": "AllHorizontal AnyHorizontal IsBetween IsClose IsFinite IsIn IsInfinite IsNan"
    " IsNotNan IsNotNull IsNull Not",
    "Pow": "Cbrt Generic Sqrt",
    "Trigonometry": "ArcCos ArcSin ArcTan Cos Cot Degrees Radians Sin Tan",
    "BinaryExpr": "Contains EndsWith Get Head Size Slice StartsWith Tail",
    "StructExpr": "FieldByName JsonEncode RenameFields",
    "ArrayExpr": "ArgMax ArgMin Contains CountMatches Get Join Length Max Mean Median Min Sort Sum"
    " ToList",
    "ListExpr": "ArgMax ArgMin Concat Contains CountMatches DropNulls Gather GatherEvery Get Join"
    " Length Max Mean Median Min SetOperation Slice Sort Sum ToArray ToStruct",
    "StringExpr": "ConcatHorizontal Contains ContainsAny CountMatches EndsWith EscapeRegex Extract"
    " ExtractAll ExtractGroups ExtractMany Find FindMany Format Head HexDecode HexEncode"
    " Base64Decode Base64Encode JsonDecode JsonPathMatch LenBytes LenChars Lowercase Normalize"
    " PadEnd PadStart Replace ReplaceMany Reverse Slice Split SplitExact SplitN StartsWith"
    " StripChars StripCharsEnd StripCharsStart StripPrefix StripSuffix Strptime Tail Titlecase"
    " ToDecimal ToInteger Uppercase ZFill",
    "TemporalExpr": "CastTimeUnit Century Combine ConvertTimeZone Date DatetimeFunction Day"
    " DaysInMonth Duration Hour IsLeapYear IsoYear Microsecond Millennium Millisecond Minute Month"
    " MonthEnd MonthStart Nanosecond OffsetBy OrdinalDay Quarter Replace ReplaceTimeZone Round"
    " Second Time TimeStamp ToString TotalDays TotalHours TotalMicroseconds TotalMilliseconds"
    " TotalMinutes TotalNanoseconds TotalSeconds Truncate Week WeekDay Year",
}
_MEMBERS_OF = {
    family: frozenset(names.split()) for family, names in {"": _PLAIN, **_FAMILIES}.items()
}
#: What a user calls what the tree calls otherwise.
_CALLED = {
    "Count": "len",
    "Eval": "cumulative_eval",
    "Random": "sample or shuffle",
    "RollingExpr": "rolling",
    "Selector": "a choice of several columns",
}


def unsuited(expression: pl.Expr) -> list[str]:
    """Why an expression is not per-row: a sentence for each reason; empty where it is."""
    try:
        tree = json.loads(expression.meta.serialize(format="json"))
    except pl.exceptions.ComputeError:  # Python functions do not serialize
        return [_PYTHON]
    found: dict[str, None] = {}
    _walk(tree, found)
    return list(found)


def _walk(node: Any, found: dict[str, None]) -> None:
    if isinstance(node, str):
        found[_refused(_words(node))] = None
        return
    kind, body = next(iter(node.items()))
    if kind == "Literal":
        if "Series" in body:
            found[_refused("a Series")] = None
    elif kind == "Function":
        _function(body["input"], body["function"], found)
    elif kind == "Eval" and _of_lists(body["variant"]):
        _walk(body["expr"], found)
    elif kind in _CHILDREN:
        for child in _CHILDREN[kind]:
            _walk(body[child], found)
    elif kind != "Column":
        _refuse_kind(kind, body, found)


#: Functions and how many of their arguments, from the second, are values of no row.
_VALUES = {"IsIn": 1, "Replace": 2, "ReplaceStrict": 2}
#: Nodes that are per-row where these parts of them are.
_CHILDREN: dict[str, tuple[Any, ...]] = {
    "Alias": (0,),
    "BinaryExpr": ("left", "right"),
    "Cast": ("expr",),
    "Ternary": ("predicate", "truthy", "falsy"),
}


def _of_lists(variant: Any) -> bool:
    """True for `list.eval` and the like: whatever they do stays within one row's list."""
    name = variant if isinstance(variant, str) else next(iter(variant))
    return name in ("List", "ListAgg", "Array", "ArrayAgg")


def _refuse_kind(kind: str, body: Any, found: dict[str, None]) -> None:
    name = next(iter(body)) if kind == "Agg" else kind
    found[_refused(_words(name))] = None


def _function(inputs: list[Any], function: Any, found: dict[str, None]) -> None:
    family = "" if isinstance(function, str) else next(iter(function))
    inner = function if family not in _FAMILIES else function[family]
    member = inner if isinstance(inner, str) else next(iter(inner))
    if member not in _MEMBERS_OF[family if family in _FAMILIES else ""]:
        found[_refused(_words(family if family in _CALLED else member))] = None
    elif member == "Strptime" and inner[member][1]["format"] is None:
        found[_NO_FORMAT] = None
    # Their members and replacements are values, given as a list or a Series.
    values = 0 if family in ("StringExpr", "TemporalExpr") else _VALUES.get(member, 0)
    given = inputs[1 : 1 + values]
    if any("Literal" not in one for one in given):
        found[_MEMBERS] = None
    for one in inputs[:1] + inputs[1 + len(given) :]:
        _walk(one, found)


def _refused(name: str) -> str:
    return f"{name} {_REMEDY}"


def _words(name: str) -> str:
    """`CumSum` as a user writes it: `cum_sum`."""
    return _CALLED.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
