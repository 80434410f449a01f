"""What a provider of secrets is. Not for: providers."""

from __future__ import annotations

from typing import Protocol


class Provider(Protocol):
    """Fetches a value by its reference, as in `vault:kv/shop#password`.

    One of your own needs this one method; put it into `env["providers"]` under its prefix.
    """

    def fetch(self, reference: str) -> str:
        """The value.

        Args:
            reference: What stands after the prefix and its colon.

        Raises:
            PenstockError: It cannot be had; the message says why and what to do, and shows no
                value.
        """
        ...
