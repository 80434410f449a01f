"""Chooses the family that checks a column. Not for: the checks themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.errors import TargetError
from penstock.loading.types.arrays import array_check
from penstock.loading.types.booleans import boolean_check
from penstock.loading.types.byteas import bytea_check
from penstock.loading.types.check import Check
from penstock.loading.types.composites import composite_check
from penstock.loading.types.dates import date_check
from penstock.loading.types.enums import enum_check
from penstock.loading.types.floats import float_check
from penstock.loading.types.hstores import hstore_check
from penstock.loading.types.integers import integer_check
from penstock.loading.types.intervals import interval_check
from penstock.loading.types.jsons import json_check
from penstock.loading.types.moneys import money_check
from penstock.loading.types.nested import inside
from penstock.loading.types.networks import address_check, hardware_check
from penstock.loading.types.numerics import numeric_check
from penstock.loading.types.other import other_check
from penstock.loading.types.ranges import range_check
from penstock.loading.types.texts import text_check
from penstock.loading.types.times import time_check
from penstock.loading.types.timestamps import timestamp_check
from penstock.loading.types.tsvectors import tsvector_check
from penstock.loading.types.uuids import uuid_check
from penstock.loading.types.zones import timestamptz_check
from penstock.model.options import Grammar
from penstock.model.table import Column
from penstock.postgres.judged import is_judged

_FAMILIES: dict[str, Callable[[Column, Grammar], Check]] = {
    "int2": integer_check,
    "int4": integer_check,
    "int8": integer_check,
    "numeric": numeric_check,
    "float4": float_check,
    "float8": float_check,
    "text": text_check,
    "varchar": text_check,
    "bpchar": text_check,
    "bool": boolean_check,
    "date": date_check,
    "timestamp": timestamp_check,
    "timestamptz": timestamptz_check,
    "time": time_check,
    "timetz": time_check,
    "interval": interval_check,
    "uuid": uuid_check,
    "json": json_check,
    "jsonb": json_check,
    "bytea": bytea_check,
    "money": money_check,
    "citext": text_check,
    "inet": address_check,
    "cidr": address_check,
    "macaddr": hardware_check,
    "macaddr8": hardware_check,
    "hstore": hstore_check,
    "tsvector": tsvector_check,
}


def check_for(column: Column, grammar: Grammar) -> Check:
    """How the texts of a column are checked.

    A domain is checked as the type beneath it, an array, a range or a composite by what is in it. A
    domain's own CHECK, and types without a family, are left to the server.

    Raises:
        UsageError: A declaration of `grammar` that this column needs makes no sense.
    """
    if column.kind == "e":
        return enum_check(column, grammar)
    if column.kind == "c":
        fields = [check_for(field, inside(grammar)) for field in column.fields]
        return composite_check(column, fields, grammar)
    if column.element is not None and is_judged(column):
        element = check_for(column.element, inside(grammar))
        nested = array_check if column.kind == "b" else range_check
        return nested(column, element, grammar)
    family = _FAMILIES.get(column.base, other_check) if column.kind == "b" else other_check
    return family(column, grammar)


def refuse_unjudged(columns: Sequence[Column]) -> None:
    """Can it be told, for each column, whether PostgreSQL keeps a value as it was written?

    Raises:
        TargetError: It cannot (code `altered`).
    """
    for column in columns:
        if not column.unjudged:
            continue
        inside = "" if column.unjudged == column.type else f" (inside it: {column.unjudged})"
        raise TargetError(
            f"{column.name} is {column.type}{inside}: PostgreSQL's input would change some of its "
            "values without a word, and Penstock has no grammar for it yet. Leave the column out "
            "of the input, or load it into a column of type text.",
            code="altered",
        )
