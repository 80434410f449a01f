"""Which events are about a person, what stands in their place, and how many went.

Not for: removing them (`forgetting`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from penstock.events.sources import plain_path

#: What stands in the place of an event that was forgotten, so that all others keep theirs. It is
#: no JSON, so that nothing else is taken for it; workers drop it.
FORGOTTEN = b"\0forgotten"


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with all its keys, also those that are there twice."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_float=str, parse_int=str)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom events are about.

    Attributes:
        path: Dotted path in an event's JSON, such as `user.id`; through lists, which `[]` may show,
            any element. A name may hold a dot.
        value: A text, or a number as it is written in the JSON.
    """

    path: str
    value: str

    def is_in(self, raw: bytes) -> bool | None:
        """Whether an event is about them; None where it is no JSON, and holds the value.

        Args:
            raw: As it was received.
        """
        literal = self.value.encode() in raw
        if raw == FORGOTTEN or (not literal and b"\\" not in raw):
            # Without a backslash no text of it is written otherwise.
            return False
        try:
            value = _DECODER.decode(raw.decode())
        except (ValueError, RecursionError):
            return None if literal else False
        return self._at(value, plain_path(self.path))

    def _at(self, value: Any, path: str) -> bool:
        if isinstance(value, _Pairs):
            return any(
                self._at(one, path[len(name) + 1 :])
                for name, one in value
                if path and (path == name or path.startswith(f"{name}."))
            )
        if isinstance(value, list):
            return any(self._at(one, path) for one in value)
        return not path and isinstance(value, str) and value == self.value


@dataclass(slots=True)
class Counts:
    """Where a person is.

    Attributes:
        staged: Events in staging.
        archived: Events in the archive.
        rejects: Refused rows.
        rows: Rows of the target, by the keys that the transform makes of the events.
    """

    staged: int = 0
    archived: int = 0
    rejects: int = 0
    rows: int = 0

    @property
    def any(self) -> bool:
        """Whether they are anywhere."""
        return bool(self.staged or self.archived or self.rejects or self.rows)


@dataclass(slots=True)
class Forgotten:
    """What was removed, and what a search found afterwards.

    Attributes:
        removed: What was.
        left: What is still there: something new came meanwhile; call it again.
        unclear: Events that are no JSON, and hold the value: where, for somebody to look.
    """

    removed: Counts = field(default_factory=Counts)
    left: Counts = field(default_factory=Counts)
    unclear: list[str] = field(default_factory=list)
