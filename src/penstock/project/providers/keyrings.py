"""Values of the operating system's keyring: `keyring:SERVICE/USER` (extra `keyring`)."""

from __future__ import annotations

from penstock.errors import UsageError


class Keyring:
    """The keyring of the user who runs this."""

    def fetch(self, reference: str) -> str:
        """The password of `SERVICE/USER`.

        Raises:
            UsageError: No keyring is there, or it has no such entry.
        """
        try:
            import keyring
            from keyring.errors import KeyringError
        except ImportError:
            raise UsageError("keyring: needs the extra: pip install 'penstock[keyring]'") from None
        service, _, user = reference.rpartition("/")
        if not service or not user:
            raise UsageError("write keyring:SERVICE/USER")
        try:
            found = keyring.get_password(service, user)
        except KeyringError as error:
            raise UsageError(f"the keyring cannot be opened: {error}") from None
        if found is None:
            raise UsageError(f"the keyring has no entry for {service}, {user}")
        return found
