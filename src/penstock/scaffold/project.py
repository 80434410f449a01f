"""Makes the folder of a project from templates. Not for: what its flow does."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from penstock.errors import UsageError

#: Templates, and their paths in the project.
_FILES = (
    ("config.txt", "config.py"),
    ("main.txt", "main.py"),
    ("test_connections.txt", "test_connections.py"),
    ("job.txt", "jobs/customers.py"),
    ("map.txt", "maps/customers_map.py"),
    ("test_map.txt", "tests/test_customers_map.py"),
    ("test_job.txt", "tests/test_customers.py"),
    ("conftest.txt", "tests/conftest.py"),
    ("customers.csv.txt", "data/import/customers.csv"),
    ("refused.csv.txt", "tests/customers.csv"),
    ("env.txt", ".env.example"),
    ("gitignore.txt", ".gitignore"),
    ("readme.txt", "README.md"),
)
#: Made although nothing is in them; git keeps no empty folder.
_EMPTY = ("custom", "data/backup", "data/export", "data/errors", "data/import/corrections", "logs")
_PACKAGES = ("custom", "jobs", "maps")
_CI = {"github": ".github/workflows/checks.yml", "gitlab": ".gitlab-ci.yml"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def make_project(folder: Path, *, ci: str | None = None) -> list[Path]:
    """Make a project that runs at once: a sample file, a map, a job, a flow, and their tests.

    Args:
        folder: It is made, or must be empty.
        ci: `github` or `gitlab`: also a file with the checks for it.

    Returns:
        The files, relative to the folder.

    Raises:
        UsageError: There is something in the folder, or its name is none for a project.
    """
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{folder.name!r} is no name for a project: begin with a letter")
    if ci is not None and ci not in _CI:
        raise UsageError(f"--ci {ci}: known are {', '.join(_CI)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not empty: nothing was written")
    files = [*_FILES, *([] if ci is None else [(f"{ci}.txt", _CI[ci])])]
    made = []
    for template, place in files:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(template).substitute(project=name), encoding="utf-8")
        made.append(Path(place))
    for place in _EMPTY:
        (folder / place).mkdir(parents=True, exist_ok=True)
        if place not in _PACKAGES:
            (folder / place / ".gitkeep").touch()
            made.append(Path(place) / ".gitkeep")
    for place in _PACKAGES:
        (folder / place / "__init__.py").touch()
        made.append(Path(place) / "__init__.py")
    (folder / ".penstock" / "pg").mkdir(parents=True)
    return sorted(made)


def make_job(folder: Path, name: str) -> Path:
    """Make a job from the template.

    Raises:
        UsageError: This is no project, the name is none, or the job is there already.
    """
    path = _new(folder, "jobs", name, f"{name}.py")
    path.write_text(_text("new_job.txt").substitute(name=name), encoding="utf-8")
    return path


def map_path(folder: Path, name: str) -> Path:
    """Where a new map will be.

    Raises:
        UsageError: This is no project, the name is none, or the map is there already.
    """
    return _new(folder, "maps", name, f"{name}_map.py")


def _new(folder: Path, kind: str, name: str, file: str) -> Path:
    if not (folder / kind).is_dir():
        raise UsageError(
            f"There is no folder {kind} in {folder}: is this a project? penstock new DIR"
        )
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for it: small letters, digits and underscores")
    path = folder / kind / file
    if path.exists():
        raise UsageError(f"{path} is there already: nothing was written")
    return path


def _text(template: str) -> Template:
    found = resources.files("penstock.scaffold") / "templates" / template
    return Template(found.read_text(encoding="utf-8"))
