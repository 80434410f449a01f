"""Values of the process environment and of `.env`: `env:NAME`."""

from __future__ import annotations

import os
from collections.abc import Mapping

from penstock.errors import UsageError


class Variables:
    """The process environment, and under it the project's `.env`.

    Args:
        dot_env: What `.env` says.
    """

    def __init__(self, dot_env: Mapping[str, str]) -> None:
        self._dot_env = dot_env

    def fetch(self, reference: str) -> str:
        """The variable's value.

        Raises:
            UsageError: It is not set.
        """
        value = os.environ.get(reference, self._dot_env.get(reference))
        if value is None:
            raise UsageError(f"the variable {reference} is not set, nor is it in .env")
        return value
