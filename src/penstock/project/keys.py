"""The key of a project, and what is encrypted by it. Not for: where secrets are used."""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from penstock.errors import UsageError
from penstock.model.secret import Secret

#: How an encrypted value begins; a Fernet token follows (github.com/fernet/spec).
PREFIX = "enc:"
#: Holds the key itself, or the path of its file; else it lies in the user's configuration.
KEY_VARIABLE, FILE_VARIABLE = "PENSTOCK_KEY", "PENSTOCK_KEY_FILE"
_PRIVATE = 0o600
#: Bytes of a derived key, and of what names it.
KEY_BYTES, ID_BYTES = 32, 4
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def key_file(project: str) -> Path:
    """Where the key of a project lies: outside of its folder, so that it is never committed.

    `PENSTOCK_KEY_FILE`, else `$XDG_CONFIG_HOME/penstock/PROJECT.key` (default `~/.config`).
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path.home() / ".config"
    return folder / "penstock" / f"{_NAME.sub('_', project)}.key"


class ProjectKey:
    """Encrypts and decrypts the secrets of one project.

    Args:
        project: Its name.

    Attributes:
        path: Where its key lies, or would.
    """

    def __init__(self, project: str) -> None:
        self.path = key_file(project)
        self._project = project

    def exists(self) -> bool:
        """True where a key can be used."""
        return bool(os.environ.get(KEY_VARIABLE)) or self.path.is_file()

    def make(self) -> None:
        """Make the key; only its owner can read it.

        Raises:
            UsageError: There is one already.
        """
        if self.exists():
            raise UsageError(f"There is a key already: {self.path}")
        self._write([Fernet.generate_key().decode()])

    def renew(self) -> None:
        """Put a new key in front: it encrypts from now on, the others still decrypt."""
        self._write([Fernet.generate_key().decode(), *self._keys()])

    def forget_old(self) -> None:
        """Keep only the newest key."""
        self._write(self._keys()[:1])

    def encrypt(self, secret: Secret) -> str:
        """The secret as `enc:...`.

        Raises:
            UsageError: There is no key, or it is none.
        """
        return PREFIX + self._fernet().encrypt(secret.reveal().encode()).decode()

    def decrypt(self, text: str) -> Secret:
        """The secret behind `enc:...`.

        Raises:
            UsageError: No key, another key, or a text that was cut or altered; no value is shown.
        """
        try:
            return Secret(self._fernet().decrypt(text.removeprefix(PREFIX).encode()).decode())
        except (InvalidToken, ValueError):
            raise UsageError(
                f"it cannot be decrypted with {self.where()}: it was encrypted with another key, "
                "or cut or altered. Encrypt it again: python main.py -p"
            ) from None

    def derived(self, purpose: str) -> dict[bytes, bytes]:
        """Keys for one purpose alone, by their ids; the newest first.

        Who has one knows nothing of the project's key, nor of those for other purposes
        (HKDF, RFC 5869).

        Args:
            purpose: Names it; two purposes have two keys.

        Raises:
            UsageError: There is no key, or it is none.
        """
        self._fernet()  # else a line that is no key would be taken for one
        found: dict[bytes, bytes] = {}
        for one in self._keys():
            source = HKDF(SHA256(), ID_BYTES + KEY_BYTES, salt=None, info=purpose.encode())
            made = source.derive(base64.urlsafe_b64decode(one))
            found.setdefault(made[:ID_BYTES], made[ID_BYTES:])
        return found

    def where(self) -> str:
        """Where the key is taken from, for people."""
        return KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else str(self.path)

    def _fernet(self) -> MultiFernet:
        keys = self._keys()
        try:
            return MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise UsageError(
                f"{self.where()} holds no key (32 bytes in URL-safe base64 on each line)"
            ) from None

    def _keys(self) -> list[str]:
        given = os.environ.get(KEY_VARIABLE)
        if given:
            return given.split()
        if not self.path.is_file():
            raise UsageError(
                f"there is no key for {self._project}: copy {self.path} from where it was made, "
                f"or name it with {FILE_VARIABLE}; penstock key new makes one"
            )
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"{self.path} can be read by others: chmod 600 {self.path}")
        return self.path.read_text(encoding="ascii", errors="replace").split()

    def _write(self, keys: list[str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
            file.write("\n".join(keys) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
