"""Folders of files. Not for: reading what is in them (`loading.extract`)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.connectors.places import Place, PlaceSettings, RemoteFile, shown, state_of, sync
from penstock.connectors.protocol import Check, tried
from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError
from penstock.loading.extract import Extract, extract
from penstock.loading.load import options_from

#: Bytes of a block that is copied.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings(PlaceSettings):
    """Which folder; besides what `PlaceSettings` has, for a folder that others write to.

    Attributes:
        folder: Relative to the project's root.
    """

    folder: str


class Files(Place):
    """A folder; names in it are relative to it.

    Args:
        settings: See `FilesSettings`.
        name: Its key in `env`.
        root: Where relative folders begin.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    settings: FilesSettings

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "files", root: Path = Path()
    ) -> None:
        self.name = name
        self.settings = read_settings(FilesSettings, settings, name)
        self.folder = root / self.settings.folder

    def where(self) -> str:
        """The folder, as it is named in the settings."""
        return self.settings.folder

    def paths(self, pattern: str) -> list[Path]:
        """The files of a pattern, by name; `**` goes into folders below, but not hidden ones.

        Raises:
            ConnectorError: There is no such folder.
        """
        if not self.folder.is_dir():
            raise ConnectorError(
                f"{self.name}: there is no folder {self.folder}",
                code="no_folder",
                advice="Make it, or correct folder in config.py.",
            )
        found = self.folder.glob(pattern.lstrip("/"))
        return sorted(path for path in found if path.is_file() and not self._hidden(path))

    def listed(self, pattern: str) -> list[RemoteFile]:
        """All files of a pattern, by name."""
        found = (self.look(str(path.relative_to(self.folder))) for path in self.paths(pattern))
        return [one for one in found if one is not None]

    def look(self, name: str) -> RemoteFile | None:
        """One file as it is now; None where there is none."""
        path = self.folder / name
        if not path.is_file():
            return None
        seen = path.stat()
        modified = datetime.fromtimestamp(seen.st_mtime, UTC)
        return RemoteFile(name, seen.st_size, modified, f"{seen.st_mtime_ns}")

    def receive(self, name: str, write: Callable[[bytes], object]) -> None:
        """Hand a file's bytes over, in order."""
        with self._may("read", name), (self.folder / name).open("rb") as source:
            while block := source.read(_BLOCK):
                write(block)

    def send(self, local: Path, name: str) -> None:
        """Write it as `.NAME.part`, then rename it; one of that name is replaced."""
        path = self.folder / name.lstrip("/")
        part = path.with_name(f".{path.name}.part")
        with self._may("written", name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with local.open("rb") as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
                target.flush()
                os.fsync(target.fileno())
            part.replace(path)
            sync(path.parent)

    def rename(self, name: str, to: str) -> None:
        """Rename a file; folders are made."""
        path = self.folder / to
        with self._may("moved", name):
            path.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).rename(path)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._may("removed", name):
            (self.folder / name).unlink()

    def extract(
        self, pattern: str, *, first: int, spool: Callable[[], Path], **options: Any
    ) -> Extract | None:
        """The rows of all files of a pattern, as text; None where there is no such file.

        Args:
            pattern: As for `paths`.
            first: Number of the first file, as `_row` has it.
            spool: Gives a folder for what can be read only once.
            **options: How they are written, as for `load_table`; `known` are column names that
                are expected, which prove a CSV file's delimiter.
        """
        known = options.pop("known", ())
        paths = self.paths(pattern)
        if not paths:
            return None
        states = {str(path.resolve()): state_of(path) for path in paths}
        found = extract(paths, options_from(**options), spool, known=known, first=first)
        files = tuple((path, *state) for path, state in states.items() if state is not None)
        return replace(found, files=files)

    def check(self) -> Iterator[Check]:
        """List the folder; write into it, where that is declared."""
        steps = [("list the folder", self._list)]
        if self.settings.write:
            steps.append(("write a file", self._write))
        return tried(*steps)

    def close(self) -> None:
        """Nothing is held."""

    def _list(self) -> str:
        found = self.paths("*")
        if not os.access(self.folder, os.R_OK | os.X_OK):
            raise self._refused("read")
        noun = "file" if len(found) == 1 else "files"
        return f"{len(found)} {noun} in {self.settings.folder}"

    def _write(self) -> str:
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"penstock")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._refused(f"written ({error.strerror})") from None
        return "and removed again"

    def _hidden(self, path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(self.folder).parts)

    @contextmanager
    def _may(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.error(
                f"{shown(name)} cannot be {what}: {error.strerror}",
                "rights",
                "Check the owner and rights of the folder and the file, and the room on the disk.",
            ) from None

    def _refused(self, what: str) -> ConnectorError:
        return ConnectorError(
            f"{self.folder} cannot be {what}", code="rights", advice="Check its owner and rights."
        )
