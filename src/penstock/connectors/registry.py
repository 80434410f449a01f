"""Which class a connector's settings mean. Not for: the classes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from penstock.connectors.protocol import Connector
from penstock.errors import PenstockError, UsageError

#: Kind -> module and class; imported when one is made.
KINDS: Mapping[str, tuple[str, str]] = {
    "files": ("penstock.connectors.files", "Files"),
    "objects": ("penstock.connectors.objects", "Objects"),
    "postgres": ("penstock.connectors.postgres", "Postgres"),
    "sftp": ("penstock.connectors.sftp", "Sftp"),
    "rest": ("penstock.connectors.rest.connector", "Rest"),
    "smtp": ("penstock.connectors.smtp", "Smtp"),
    "sql": ("penstock.connectors.sql", "Sql"),
}
#: URL scheme -> kind, for settings that have a `url` and no `kind`.
SCHEMES: Mapping[str, str] = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "file": "files",
    "sftp": "sftp",
    "s3": "objects",
    "gs": "objects",
    "az": "objects",
    "mysql": "sql",
    "mariadb": "sql",
    "sqlite": "sql",
    "mssql": "sql",
    "oracle": "sql",
}
#: Packages offer connectors under this name (`[project.entry-points."penstock.connectors"]`).
GROUP = "penstock.connectors"
#: A project has its own in the dictionary `connectors` of this file.
CUSTOM = Path("custom/connectors.py")


def is_connector(value: Any) -> bool:
    """True for settings that name a connector: a dictionary with a `kind`, or a known URL."""
    return isinstance(value, Mapping) and ("kind" in value or _scheme(value) in SCHEMES)


def connector(
    name: str,
    settings: Any,
    root: Path = Path(),
    more: Mapping[str, type[Any]] | None = None,
) -> Connector:
    """The connector of these settings; nothing is opened yet.

    Args:
        name: Its key in `env`.
        settings: A dictionary with a `kind`, or a `url` whose scheme says it.
        root: The project's root, where relative paths begin.
        more: Kind -> class, of the project's own.

    Raises:
        UsageError: No such kind, or wrong settings; every mistake is listed.
    """
    if not isinstance(settings, Mapping):
        raise UsageError(f"{name} is no connector: it must be a dictionary with a kind")
    kind = settings.get("kind", SCHEMES.get(_scheme(settings)))
    made: Connector = _class_of(name, kind, more or {}, root)(settings, name=name, root=root)
    return made


def connectors(
    environment: Mapping[str, Any],
    root: Path = Path(),
    more: Mapping[str, type[Any]] | None = None,
) -> dict[str, Connector]:
    """Every connector of an environment; nothing is opened yet.

    Raises:
        UsageError: The mistakes of all of them, one a line.
    """
    made, problems = {}, []
    for name, value in environment.items():
        if not is_connector(value):
            continue
        try:
            made[name] = connector(name, value, root, more)
        except PenstockError as error:
            problems.append(error.message)
    if problems:
        raise UsageError("\n".join(problems))
    return made


def _class_of(name: str, kind: Any, more: Mapping[str, type[Any]], root: Path) -> type[Any]:
    if kind in more:
        return more[kind]
    if kind in KINDS:
        module, attribute = KINDS[kind]
        found: type[Any] = getattr(import_module(module), attribute)
        return found
    own = _of_project(root)
    if kind in own:
        return own[kind]
    for one in entry_points(group=GROUP):
        if one.name == kind:
            loaded: type[Any] = one.load()
            return loaded
    known = ", ".join(sorted({*KINDS, *more, *own}))
    raise UsageError(f"{name}: there is no kind {kind!r} of connector; known are {known}")


def _of_project(root: Path) -> Mapping[str, type[Any]]:
    """`connectors` in the project's `custom/connectors.py`: kind -> class.

    Raises:
        UsageError: The file raises an error, or has no such dictionary.
    """
    path = root / CUSTOM
    if not path.is_file():
        return {}
    spec = importlib.util.spec_from_file_location("custom.connectors", path)
    assert spec is not None  # noqa: S101  a .py file has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    # By its name, as dataclasses look their own module up.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (
        Exception
    ) as error:  # the project's own code may raise anything: it is told, with the place
        raise UsageError(f"{path}: {type(error).__name__}: {error}") from error
    found = getattr(module, "connectors", None)
    if not isinstance(found, Mapping):
        raise UsageError(f'{path} has no dictionary connectors = {{"kind": Class}}')
    return found


def _scheme(settings: Mapping[str, Any]) -> str:
    url = settings.get("url")
    text = url if isinstance(url, str) else getattr(url, "reveal", str)()
    return text.partition(":")[0].partition("+")[0] if "://" in text else ""
