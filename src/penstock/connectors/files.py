"""Folders of files. Not for: reading what is in them (`loading.extract`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.connectors.protocol import Check, tried
from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError
from penstock.loading.extract import Extract, extract
from penstock.loading.load import options_from


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings:
    """Which folder.

    Attributes:
        folder: Relative to the project's root.
        write: True where files are written there too, which `check` tries.
    """

    folder: str
    write: bool = False


class Files:
    """A folder.

    Args:
        settings: See `FilesSettings`.
        name: Its key in `env`.
        root: Where relative folders begin.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "files", root: Path = Path()
    ) -> None:
        self.name = name
        self.settings = read_settings(FilesSettings, settings, name)
        self.folder = root / self.settings.folder

    def where(self) -> str:
        """The folder, as it is named in the settings."""
        return self.settings.folder

    def find(self, pattern: str) -> list[Path]:
        """The files of a pattern, by name; `**` goes into folders below.

        Raises:
            ConnectorError: There is no such folder.
        """
        if not self.folder.is_dir():
            raise ConnectorError(
                f"{self.name}: there is no folder {self.folder}",
                code="no_folder",
                advice="Make it, or correct folder in config.py.",
            )
        return sorted(path for path in self.folder.glob(pattern) if path.is_file())

    def extract(
        self, pattern: str, *, first: int, spool: Callable[[], Path], **options: Any
    ) -> Extract | None:
        """The rows of all files of a pattern, as text; None where there is no such file.

        Args:
            pattern: As for `find`.
            first: Number of the first file, as `_row` has it.
            spool: Gives a folder for what can be read only once.
            **options: How they are written, as for `load_table`; `known` are column names that
                are expected, which prove a CSV file's delimiter.
        """
        known = options.pop("known", ())
        paths = self.find(pattern)
        if not paths:
            return None
        return extract(paths, options_from(**options), spool, known=known, first=first)

    def check(self) -> Iterator[Check]:
        """List the folder; write into it, where that is declared."""
        steps = [("list the folder", self._list)]
        if self.settings.write:
            steps.append(("write a file", self._write))
        return tried(*steps)

    def close(self) -> None:
        """Nothing is held."""

    def _list(self) -> str:
        found = self.find("*")
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

    def _refused(self, what: str) -> ConnectorError:
        return ConnectorError(
            f"{self.folder} cannot be {what}", code="rights", advice="Check its owner and rights."
        )
