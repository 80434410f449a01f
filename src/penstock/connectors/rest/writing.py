"""Sends records to a module, and finds out what became of each. Not for: books (`flow.sending`).

What may have arrived is looked up before it is sent again. A batch that the API refuses as a whole
is halved until each record has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.connectors.rest.actions import Action
from penstock.connectors.rest.answers import Answer, line_of
from penstock.connectors.rest.finding import look_up
from penstock.connectors.rest.modules import Module
from penstock.connectors.rest.outcomes import of_batch, of_single
from penstock.connectors.rest.paths import filled, path_of
from penstock.connectors.rest.transport import Request, Transport, Unanswered
from penstock.connectors.sending import Answered, Outgoing, Response
from penstock.errors import ConnectorError, UsageError

#: Answers after which no other record would fare better.
_FATAL = (401, 403, 405)
#: Answers to a batch that may be the fault of one record in it.
_SPLIT = (400, 404, 409, 413, 422)
_UNKNOWN = "unknown"


class RestWriter:
    """Sends records of a module in one way.

    Args:
        transport: The way there.
        module: What they are.
        action: How they are written.
        key: Fields that a record is known by; default: as declared.

    Attributes:
        size: Records that are sent together.
        key: The fields that a record is known by; empty where it has no key.
        repeatable: True where sending a record twice is the same as sending it once.

    Raises:
        UsageError: The action needs a key, and none is declared or given.
    """

    def __init__(
        self, transport: Transport, module: Module, action: Action, key: tuple[str, ...] = ()
    ) -> None:
        self.size = action.size
        self.key = key or action.key
        self.repeatable = action.mode != "create"
        self._transport = transport
        self._module = module
        self._action = action
        if self.repeatable and not self.key:
            raise UsageError(
                f"{transport.name}: {module.name}.{action.mode} needs the key by which a record "
                "is known: declare it, or say key="
            )

    def send(self, records: Sequence[Outgoing]) -> Answered:
        """Send at most `size` records, none of them with the key of another one."""
        responses: list[Response | None] = [None] * len(records)
        open_still, reason = list(range(len(records))), ""
        error: ConnectorError | None = None
        for tries in range(self._transport.settings.retries + 1):
            if tries:
                self._transport.pause(tries - 1)
            try:
                open_still, reason = self._round(records, responses, open_still)
            except ConnectorError as found:
                error = found
                break
            if not open_still:
                break
        for place in range(len(records)):
            if responses[place] is None and place in open_still and reason:
                responses[place] = Response(outcome="unknown", code=_UNKNOWN, reason=reason)
        rest = Response(
            outcome="not_sent",
            code="not_sent",
            reason="not sent" if error is None else error.message,
        )
        return Answered(responses=[one or rest for one in responses], error=error)

    def look_up(self, record: Outgoing) -> Response | None:
        """What the API has of a record that may have arrived; None where it is not there.

        Raises:
            ConnectorError: It cannot be asked.
        """
        find = self._module.find
        if find is None:
            if self.repeatable:
                return None
            return Response(
                outcome="unknown", code=_UNKNOWN, reason="it may have arrived before, and the "
                "module has no find by which to look it up"
            )  # fmt: skip
        return look_up(self._transport, find, record, self.key)

    def _round(
        self, records: Sequence[Outgoing], responses: list[Response | None], places: list[int]
    ) -> tuple[list[int], str]:
        """Send these; gives those that are to be sent again, and why.

        Raises:
            ConnectorError: Nothing more can be sent; `responses` has what is known.
        """
        chosen = [records[place] for place in places]
        try:
            answer = self._transport.ask(self._request(chosen))
        except Unanswered as lost:
            return self._looked_up(records, responses, places, str(lost))
        if answer.status in _FATAL:
            raise self._transport.told(answer, answer.where)
        if len(places) > 1 and answer.status in _SPLIT:
            half = len(places) // 2
            again: list[int] = []
            reason = ""
            for part in (places[:half], places[half:]):
                rest, why = self._round(records, responses, part)
                again, reason = again + rest, why or reason
            return again, reason
        unsaid = []
        for place, one in zip(places, self._responses(chosen, answer), strict=True):
            if one is None:
                unsaid.append(place)
            else:
                responses[place] = replace(one, reason=self._transport.hidden(one.reason))
        if not unsaid:
            return [], ""
        return self._looked_up(
            records, responses, unsaid, "the answer does not say what became of it"
        )

    def _looked_up(
        self,
        records: Sequence[Outgoing],
        responses: list[Response | None],
        places: list[int],
        reason: str,
    ) -> tuple[list[int], str]:
        again = []
        told = f"it may have arrived: {reason}"
        # Until each is looked up, this is what is known, whatever happens meanwhile.
        for place in places:
            responses[place] = Response(outcome="unknown", code=_UNKNOWN, reason=told)
        for place in places:
            found = self.look_up(records[place])
            if found is not None and (found.outcome == "sent" or not self.repeatable):
                why = f"{told}; {found.reason}" if found.reason else ""
                responses[place] = replace(found, reason=why)
            else:
                responses[place] = None
                again.append(place)
        return again, told

    def _responses(self, records: Sequence[Outgoing], answer: Answer) -> Sequence[Response | None]:
        action = self._action
        if answer.status >= 300:
            code = str(answer.status)
            reason = line_of(answer, self._transport.hidden).removeprefix(": ")
            refused = Response(
                outcome="refused", code=code, reason=reason or f"{answer.where} answered {code}"
            )
            return [refused] * len(records)
        if action.size == 1:
            return [of_single(action, answer)]
        return of_batch(action, [one.key or "" for one in records], answer)

    def _request(self, records: Sequence[Outgoing]) -> Request:
        action = self._action
        written = [self._written(one) for one in records]
        if action.size == 1:
            path, body = path_of(action.path, records[0].record), written[0]
        else:
            path, body = action.path, filled(action.body, {}, written)
        return Request(method=action.method, path=path, body=body or None, again="sure")

    def _written(self, one: Outgoing) -> object:
        named = self._action.named
        rest = {name: value for name, value in one.record.items() if name not in named}
        return filled(self._action.record, one.record, rest)
