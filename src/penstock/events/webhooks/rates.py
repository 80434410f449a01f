"""How many requests a source may send: a bucket of tokens. Not for: who sends (`signatures`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Rate:
    """A bucket of tokens, of which each request takes one; it fills again as time goes by.

    Only requests whose signature is right may ask for one: else anybody could empty it, and the
    sender would be refused in his place.

    Attributes:
        per_second: Tokens that come in a second.
        burst: Tokens that it holds: requests that may come at once after a pause.
        clock: Seconds; it never goes back.
        exceeded: True from a refusal until the bucket was full again.
    """

    per_second: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    exceeded: bool = False
    _tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._at = self.clock()

    def wait(self) -> float:
        """Take a token; 0: there was one, else the seconds until there is."""
        now = self.clock()
        self._tokens = min(self._tokens + (now - self._at) * self.per_second, float(self.burst))
        self._at = now
        if self._tokens == self.burst:
            self.exceeded = False
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.per_second
