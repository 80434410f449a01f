"""Reads a project's folder of revisions, and says what is wrong with it. Not for: running them.

Files are Alembic's: `revision`, `down_revision`, `upgrade()`. They lie in `migrations/` itself, or
in `migrations/versions/` where that is there, as Alembic's own `init` makes it. No `env.py` is
needed: what it would say, `running` and `offline` do.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.script import Script, ScriptDirectory

from penstock.errors import UsageError

#: Of a project.
FOLDER = "migrations"
#: Below it, where a project's revisions were made by Alembic's own command.
_VERSIONS = "versions"
#: In a revision file: rules of the checker that are known to be right here, each with its reason.
_ACCEPTS = "accepts"
_UNSET = object()


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of the folder.

    Attributes:
        name: Its id.
        follows: The ids of those that it follows.
        path: Its file.
        title: The first line of its docstring.
        accepts: Rule of the checker -> why it does not matter here.
    """

    name: str
    follows: tuple[str, ...]
    path: Path
    title: str
    accepts: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.path.name}: {self.title}" if self.title else self.path.name


@dataclass(frozen=True, slots=True)
class Folder:
    """The revisions of a project, in the order in which they run.

    Attributes:
        path: Where their files are.
        revisions: From the first to the newest.
    """

    path: Path
    revisions: tuple[Revision, ...]

    @property
    def head(self) -> str | None:
        """The id of the newest one; None where there is none."""
        return self.revisions[-1].name if self.revisions else None

    def pending(self, current: str | None) -> tuple[Revision, ...]:
        """Those that a database lacks.

        Args:
            current: Where it is; None: before the first.

        Raises:
            UsageError: It is at a revision that the folder does not have.
        """
        if current is None:
            return self.revisions
        names = [one.name for one in self.revisions]
        if current not in names:
            raise UsageError(
                f"The database is at revision {current}, which is in no file of {self.path}: it is "
                "of a newer version of this project (take that), or the version table is "
                'another program\'s: name a schema for this one, env["migrations"]["schema"]'
            )
        past = self._before(current)
        return tuple(one for one in self.revisions if one.name not in past)

    def _before(self, name: str) -> set[str]:
        """A revision and all that it builds on."""
        known = {one.name: one for one in self.revisions}
        found, todo = set[str](), [name]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += known[one].follows
        return found

    def scripts(self) -> ScriptDirectory:
        """The same for Alembic, whose modules are imported now.

        Raises:
            UsageError: A file raises an error; the message has its line.
        """
        found = ScriptDirectory(str(self.path), version_locations=[str(self.path)])
        try:
            list(found.walk_revisions())
        except Exception as error:  # the project's own code may raise anything
            raise UsageError(told(error, self.path)) from error
        return found

    def script(self, scripts: ScriptDirectory, one: Revision) -> Script:
        """Alembic's own of a revision."""
        found = scripts.get_revision(one.name)
        assert found is not None  # noqa: S101  it was read from the same file
        return found


def folder_of(root: Path) -> Path:
    """Where the revisions of a project are, or will be."""
    inner = root / FOLDER / _VERSIONS
    return inner if inner.is_dir() else root / FOLDER


def read_folder(path: Path) -> Folder:
    """The revisions of a folder; no file of it is run.

    Args:
        path: The folder; one that is not there has none.

    Raises:
        UsageError: A file is no revision, two have one id, one follows an unknown one, or they have
            more than one end.
    """
    found = [_read(one) for one in sorted(path.glob("*.py")) if one.name != "__init__.py"]
    known: dict[str, Revision] = {}
    for one in found:
        if one.name in known:
            raise UsageError(
                f"{known[one.name].path.name} and {one.path.name} are both revision {one.name}: "
                "give one of them another id"
            )
        known[one.name] = one
    for one in found:
        if lost := [name for name in one.follows if name not in known]:
            raise UsageError(
                f"{one.path.name}: its down_revision {lost[0]} is in no file of {path}: name the "
                "revision that it follows"
            )
    followed = {name for one in found for name in one.follows}
    heads = [one for one in found if one.name not in followed]
    if len(heads) > 1:
        first, second = heads[:2]
        raise UsageError(
            f"{path} has {len(heads)} ends: {', '.join(one.path.name for one in heads)}. Which one "
            f"comes last? Let it follow the other: down_revision = {first.name!r} in "
            f"{second.path.name}"
        )
    return Folder(path, _ordered(found, known, path))


def _ordered(
    found: Sequence[Revision], known: Mapping[str, Revision], path: Path
) -> tuple[Revision, ...]:
    done: dict[str, Revision] = {}
    waiting = list(found)
    while waiting:
        ready = [one for one in waiting if all(name in done for name in one.follows)]
        if not ready:
            names = ", ".join(one.path.name for one in waiting)
            raise UsageError(f"{path}: the revisions {names} follow one another in a circle")
        done |= {one.name: one for one in ready}
        waiting = [one for one in waiting if one.name not in done]
    return tuple(known[name] for name in done)


def _read(path: Path) -> Revision:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UsageError(f"{path.name}, line {error.lineno}: {error.msg}") from None
    said = _assigned(tree, path)
    if not isinstance(said.get("revision"), str) or said.get("down_revision", _UNSET) is _UNSET:
        raise UsageError(
            f'{path} is no revision: it needs revision = "..." and down_revision = "..." (or '
            "None), as texts. penstock new migration NAME writes one"
        )
    follows = said["down_revision"]
    names = follows if isinstance(follows, (tuple, list)) else [] if follows is None else [follows]
    title = (ast.get_docstring(tree) or "").partition("\n")[0]
    accepts = said.get(_ACCEPTS, {})
    if not isinstance(accepts, dict) or not all(isinstance(why, str) for why in accepts.values()):
        raise UsageError(f'{path.name}: accepts is a dictionary, {{"drop_column": "why"}}')
    return Revision(str(said["revision"]), tuple(map(str, names)), path, title, accepts)


def _assigned(tree: ast.Module, path: Path) -> dict[str, object]:
    """What the file says of itself, without running it."""
    said: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets: list[ast.expr] = [node.target]
            value = node.value
        elif isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        else:
            continue
        for one in targets:
            if isinstance(one, ast.Name) and one.id in ("revision", "down_revision", _ACCEPTS):
                try:
                    said[one.id] = ast.literal_eval(value)
                except ValueError:
                    raise UsageError(
                        f"{path.name}, line {node.lineno}: write {one.id} as it is, without "
                        "calculating it"
                    ) from None
    return said


def told(error: BaseException, folder: Path) -> str:
    """What a revision's own code raised, and where: file, line, kind and words."""
    kind = f"{type(error).__name__}: {error}"
    lines = [
        one
        for one in traceback.extract_tb(error.__traceback__)
        if Path(one.filename).parent == folder
    ]
    if not lines:
        return kind
    return f"{Path(lines[-1].filename).name}, line {lines[-1].lineno}: {kind}"
