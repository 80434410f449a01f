"""Values that lie in a file, as Docker and Kubernetes hand out secrets: `file:/run/secrets/x`."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import UsageError

#: Bytes of a secret at the most: a private key has a few thousand.
_MOST = 65_536


class SecretFiles:
    """Files that hold one value each; a line end after it is not part of it.

    Args:
        folder: Where relative paths begin.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, reference: str) -> str:
        """The file's text.

        Raises:
            UsageError: It cannot be read, is too long, or is no text.
        """
        path = self._folder / reference
        try:
            with path.open("rb") as file:
                found = file.read(_MOST + 1)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        if len(found) > _MOST:
            raise UsageError(f"{path} has more than {_MOST:,} bytes: it is no secret")
        try:
            return found.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise UsageError(f"{path} is no UTF-8 text") from None
