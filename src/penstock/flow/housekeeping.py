"""Folders of a project: what was processed is kept, what is old goes. Not for: rows."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from penstock.connectors.places import FileState, local_name, state_of, sync

#: Folders, relative to the project's root.
IMPORT, EXPORT, BACKUP, ERRORS, LOGS = (
    Path("data/import"),
    Path("data/export"),
    Path("data/backup"),
    Path("data/errors"),
    Path("logs"),
)
CORRECTIONS = IMPORT / "corrections"
#: Only in these is anything deleted.
_PURGED = (BACKUP, ERRORS, EXPORT, LOGS)
_DAY = 86_400
_BLOCK = 1 << 20


def make_folders(root: Path) -> None:
    """Make the folders that are not there."""
    for folder in (IMPORT, EXPORT, BACKUP, ERRORS, LOGS, CORRECTIONS):
        (root / folder).mkdir(parents=True, exist_ok=True)


def backup(root: Path, run_id: str, files: Mapping[Path, FileState]) -> list[Path]:
    """Move files into `data/backup/RUN/`, compressed, with a manifest of their hashes.

    A file is removed only when its copy is whole and on the disk, and it is as it was processed.

    Args:
        root: The project's.
        run_id: The run's.
        files: What was processed; one that was written anew since then is left where it is.

    Returns:
        The copies.
    """
    folder = root / BACKUP / run_id
    kept, manifest = [], []
    for path, state in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        copy = _free(folder / local_name(f"{path.name}.gz"))
        digest = hashlib.sha256()
        arriving = copy.with_name(f".{copy.name}")
        with path.open("rb") as source, arriving.open("wb") as disk:
            with gzip.GzipFile(path.name, "wb", fileobj=disk) as target:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    target.write(block)
            disk.flush()
            os.fsync(disk.fileno())
        if state_of(path) != state:
            arriving.unlink()
            continue
        arriving.rename(copy)
        manifest.append(
            {
                "file": path.name,
                "copy": copy.name,
                "sha256": digest.hexdigest(),
                "bytes": state[0],
            }
        )
        written = folder / ".manifest.json"
        written.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        written.rename(folder / "manifest.json")
        sync(folder)
        path.unlink()
        kept.append(copy)
    return kept


def purge(root: Path, days: float) -> int:
    """Delete what is older in backups, errors, exports and logs, and only there; how many files."""
    oldest, gone = time.time() - days * _DAY, 0
    for folder in _PURGED:
        for path in sorted((root / folder).rglob("*"), reverse=True):
            if path.is_symlink() or path.name == ".gitkeep":
                continue
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()
                gone += 1
            elif path.is_dir() and not any(path.iterdir()):
                shutil.rmtree(path)
    return gone


def _free(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        free = path.with_name(f"{number}-{path.name}")
        number += 1
    return free
