"""A text that is never shown. Not for: where it comes from (`project`)."""

from __future__ import annotations

import hmac
from typing import NoReturn

_MASK = "***"


class Secret:
    """A password, token or passphrase: handed on whole, and shown nowhere.

    `repr`, `str` and formatting give `***`; it cannot be pickled. `reveal` gives the text, for the
    one call that needs it.

    Args:
        text: What is not to be shown.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled: pass its name, and fetch it there")


def revealed(value: str | Secret) -> str:
    """The text of either."""
    return value.reveal() if isinstance(value, Secret) else value
