"""Looks a record up by its key, and compares it. Not for: when that is done (`writing`)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from penstock.connectors.rest.actions import Find
from penstock.connectors.rest.paths import MISSING, at, filled, path_of, text_of
from penstock.connectors.rest.transport import Request, Transport
from penstock.connectors.sending import Outgoing, Response
from penstock.errors import ConnectorError


def look_up(
    transport: Transport, find: Find, one: Outgoing, key: tuple[str, ...]
) -> Response | None:
    """What the API has of a record; None where it has none of its key.

    Raises:
        ConnectorError: It cannot be asked, or answers what it should not.
    """
    if any(one.record.get(name) is None for name in key) or not key:
        return Response(outcome="unknown", code="unknown", reason="it has no key to look it up by")
    answer = transport.ask(
        Request(
            method=find.method,
            path=path_of(find.path, one.record),
            params=filled(dict(find.params or {}), one.record),
            body=None if find.body is None else filled(find.body, one.record),
        )
    )
    if answer.status == 404:
        return None
    if answer.status >= 400:
        raise transport.told(answer, answer.where)
    found = answer.json()
    if find.records is not None:
        several = at(found, find.records)
        if not isinstance(several, list):
            raise ConnectorError(
                f"{transport.name}: {answer.where}: the answer has no list at "
                f"{find.records or 'its top'}",
                code="records",
                advice="Correct find in the module's declaration.",
            )
        if not several:
            return None
        if len(several) > 1:
            said = f"{len(several)} records have the key {one.key}"
            return Response(outcome="unknown", code="unknown", reason=said)
        found = several[0]
    target_id = text_of(at(found, find.id))
    fields = at(found, find.fields)
    other = _different(one.record, fields if isinstance(fields, Mapping) else {})
    if other:
        said = f"a record with its key is there, with other content: {', '.join(other)}"
        return Response(outcome="unknown", target_id=target_id, code="unknown", reason=said)
    return Response(outcome="sent", target_id=target_id)


def _different(sent: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [name for name, value in sent.items() if not _same(value, found.get(name, MISSING))]


def _same(sent: Any, found: Any) -> bool:
    """Equal as text, or as numbers: an API may write 5.00 as 5."""
    one, other = text_of(sent), text_of(found)
    if one == other:
        return True
    if isinstance(sent, bool) or isinstance(found, bool):
        return one.lower() == other.lower()
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False
