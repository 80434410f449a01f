"""What an answer says became of each record. Not for: answers that refuse all (`writing`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.connectors.rest.actions import Action
from penstock.connectors.rest.answers import Answer, message_of
from penstock.connectors.rest.paths import MISSING, at, text_of
from penstock.connectors.sending import Response


def of_single(action: Action, answer: Answer) -> Response:
    """What became of the one record that was sent; an empty answer is a yes."""
    found = answer.json()
    response = _of(action, {} if found is MISSING else found)
    created = response.created or (answer.status == 201 and response.outcome == "sent")
    return Response(
        outcome=response.outcome,
        target_id=response.target_id,
        code=response.code,
        reason=response.reason,
        created=created,
    )


def of_batch(action: Action, keys: Sequence[str], answer: Answer) -> Sequence[Response | None]:
    """What became of each record, by its key or its place; None: the answer does not say."""
    found = answer.json()
    entries = at(found, action.answers)
    if not isinstance(entries, list):
        entries = []
    if not action.match:
        if len(entries) != len(keys):
            return [None] * len(keys)
        return [_of(action, entry) for entry in entries]
    by_key: dict[str, Response] = {}
    for entry in entries:
        by_key[text_of(at(entry, action.match))] = _of(action, entry)
    refused = at(found, action.errors) if action.errors else []
    for entry in refused if isinstance(refused, list) else []:
        named = at(entry, action.error_match)
        for key in named if isinstance(named, list) else [named]:
            by_key[text_of(key)] = _refused(action, entry)
    return [by_key.get(key) for key in keys]


def _of(action: Action, entry: Any) -> Response:
    if action.accepted and at(entry, action.accepted) is not True:
        return _refused(action, entry)
    return Response(
        outcome="sent",
        target_id=text_of(at(entry, action.id)),
        created=bool(action.created) and at(entry, action.created) is True,
    )


def _refused(action: Action, entry: Any) -> Response:
    code = ""
    for place in ("errors.0.statusCode", "errors.0.code", "category", "code", "status"):
        if not code and isinstance(at(entry, place), (str, int)):
            code = text_of(at(entry, place))
    return Response(
        outcome="refused",
        code=code or "refused",
        reason=message_of(entry, action.message) or "the API gives no reason",
    )
