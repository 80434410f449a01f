"""Events: each source's balance, why events are not in their tables, and what to do with them.

Not for: the work on them (`penstock work`).
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response

from penstock.console.access import note
from penstock.console.guarding import Asked
from penstock.console.rendering import link
from penstock.errors import UsageError
from penstock.events import letters
from penstock.events.letters import Letter

#: Events on one page.
_PAGE = 50
#: Characters of an event's bytes that are shown.
_LONG = 20_000


def events(asked: Asked) -> Response:
    """Balances, reasons, and the last events of the reason that was chosen."""
    pipeline, code = asked.text("pipeline") or None, asked.text("code") or None
    found = letters.letters(asked.connection, pipeline=pipeline, code=code, limit=_PAGE)
    return asked.page(
        "events.html",
        balances=letters.balances(asked.connection, pipeline),
        reasons=letters.reasons(asked.connection, pipeline),
        letters=found,
        most=_PAGE,
        chosen={"pipeline": pipeline or "", "code": code or ""},
        clear=asked.visitor.may("operator"),
    )


def event(asked: Asked) -> Response:
    """One event: where it came from, what became of it, its bytes."""
    given = asked.request.path_params
    place = (int(given["chunk"]), int(given["pos"]))
    found = letters.show(asked.connection, place)
    if found is None:
        raise UsageError(f"The event {place[0]}/{place[1]} is not in staging any more.")
    raw = bytes(found["raw"])
    text = raw[:_LONG].decode("utf-8", "backslashreplace")
    if len(raw) > _LONG:
        text += f"\n[{len(raw) - _LONG:,} more bytes: penstock events show {place[0]}/{place[1]}]"
    return asked.page("event.html", event=found, text=text)


def requeue(asked: Asked) -> Response:
    """Let workers try them again."""
    chosen = _chosen(asked)
    number = letters.requeue(asked.connection, chosen)
    note(asked.connection, asked.visitor, "requeue", {"events": number, **_about(asked)})
    return RedirectResponse(link("/events", pipeline=asked.text("pipeline")), 303)


def discard(asked: Asked) -> Response:
    """Leave them out for good, with the reason that was given."""
    said = asked.text("note")
    if not said:
        raise UsageError("Say why they are discarded: it stays in the ledger.")
    number = letters.discard(asked.connection, _chosen(asked), said)
    details = {"events": number, "note": said, **_about(asked)}
    note(asked.connection, asked.visitor, "discard events", details)
    return RedirectResponse(link("/events", pipeline=asked.text("pipeline")), 303)


def _about(asked: Asked) -> dict[str, str]:
    return {name: asked.text(name) for name in ("pipeline", "code") if asked.text(name)}


def _chosen(asked: Asked) -> Sequence[Letter]:
    """The events that are ticked, or all of the pipeline and reason that the page is about."""
    if asked.text("all"):
        pipeline, code = asked.text("pipeline") or None, asked.text("code") or None
        return letters.letters(asked.connection, pipeline=pipeline, code=code, limit=None)
    places = []
    for one in asked.form.getlist("event"):
        chunk, _, pos = str(one).partition("/")
        if chunk.isdigit() and pos.isdigit() and len(chunk) < 19 and len(pos) < 10:
            places.append((int(chunk), int(pos)))
    if not places:
        raise UsageError("Tick the events that are meant, or choose all.")
    return letters.letters(asked.connection, places=places, limit=None)
