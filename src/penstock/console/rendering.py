"""Templates, and how moments, numbers and outcomes are shown. Not for: what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

#: Of ages, the largest unit first.
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page; what values hold is text, never markup."""
    return HTMLResponse(_templates().get_template(template).render(values), status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("penstock.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(moment=moment, number=number, seconds=seconds, age=age, short=short)
    made.globals["link"] = link
    return made


def moment(at: datetime | None) -> str:
    """`2026-01-31 12:00:00`, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def age(at: datetime | None) -> str:
    """How long ago: `3 min`."""
    return "never" if at is None else seconds((datetime.now(UTC) - at).total_seconds())


def seconds(count: float | None) -> str:
    """`0.4 s`, `17 s`, `3 min`, `2 h`, `5 d`."""
    if count is None:
        return ""
    if count < 10:
        return f"{max(count, 0):.1f} s"
    return next(f"{count / size:.0f} {unit}" for size, unit in _UNITS if count >= size)


def number(count: int) -> str:
    """`1,000`."""
    return f"{count:,}"


def short(text: str | None, length: int = 120) -> str:
    """The beginning of a long text, in one line."""
    one = " ".join((text or "").split())
    return one if len(one) <= length else f"{one[: length - 1]}\N{HORIZONTAL ELLIPSIS}"


def link(path: str, **query: Any) -> str:
    """An address of this console; what is None or empty is left out."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def bars(outcomes: Sequence[Mapping[str, Any]], count: int = 30) -> list[dict[str, Any]]:
    """Outcomes as bars from left (old) to right (new), high by how long they took.

    Args:
        outcomes: The newest first: `status`, `seconds`, `run_id`, `started_at`.
        count: Bars; the last ones are the newest.

    Returns:
        `x`, `y`, `height` in units of a picture of 8 x `count` by 24, and what is given.
    """
    shown = list(outcomes[:count])[::-1]
    longest = max((one["seconds"] or 0.0 for one in shown), default=0.0) or 1.0
    first = count - len(shown)
    made = []
    for place, one in enumerate(shown):
        height = 6 + 18 * min(1.0, (one["seconds"] or 0.0) / longest)
        made.append(
            {
                **one,
                "x": 8 * (first + place),
                "y": round(24 - height, 1),
                "height": round(height, 1),
            }
        )
    return made
