"""What an SQLSTATE means for a load. Not for: raising (`errors`).

The classes follow PostgreSQL's appendix A "PostgreSQL Error Codes".
"""

from __future__ import annotations

from enum import StrEnum

import psycopg


class Kind(StrEnum):
    """What to do about an error."""

    #: One row's fault: isolate it, quarantine it, go on.
    ROW = "row"
    #: The table or the role cannot take the load: stop, say so.
    SCHEMA = "schema"
    #: Locked, cut off or shutting down: nothing changed, try again later.
    TRANSIENT = "transient"
    #: Out of disk, memory or connections: never a row's fault.
    RESOURCE = "resource"
    #: Anything else: a person must look.
    OTHER = "other"


_TRANSIENT = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
_RESOURCE = {"57014"}
#: Row level security that refuses a row is 42501 like a missing right; the message tells.
_ROW_SECURITY = "violates row-level security policy"
#: Codes that a value, a view's check option or a statement limit can cause.
_ROW = {"54000", "54001", "44000", "21000"}
#: Classes that data and triggers raise; a class PostgreSQL does not know is a trigger's own.
_ROW_CLASSES = {"22", "23", "09", "27", "P0"}
_STANDARD_CLASSES = frozenset(
    {"00", "01", "02", "03", "08", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "24"}
    | {"25", "26", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44"}
    | {"53", "54", "55", "57", "58", "72", "F0", "HV", "XX"}
)


def kind_of(error: psycopg.Error) -> Kind:
    """The class of an error that psycopg raised; a connection that broke is transient."""
    code = error.sqlstate
    if code is None:
        return Kind.TRANSIENT if isinstance(error, psycopg.OperationalError) else Kind.OTHER
    if code in _TRANSIENT or code.startswith("08"):
        return Kind.TRANSIENT
    if code in _RESOURCE or code.startswith("53"):
        return Kind.RESOURCE
    if code == "42501":
        return Kind.ROW if _ROW_SECURITY in str(error) else Kind.SCHEMA
    if code in _ROW or code[:2] in _ROW_CLASSES or code[:2] not in _STANDARD_CLASSES:
        return Kind.ROW
    if code == "25006" or code[:2] in ("42", "3F", "0A"):
        return Kind.SCHEMA
    return Kind.OTHER
