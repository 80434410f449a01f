"""The house rules that a linter does not know: sizes, imports, docstrings, instant start."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "penstock"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION, MOST_POSITIONAL = 400, 60, 5
#: What `--help` must not wait for.
HEAVY = {"polars", "sqlalchemy", "psycopg", "alembic", "pgpq", "arro3", "dotenv", "xlsxwriter"}
HEAVY |= {"uvicorn", "starlette"}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_a_room_of_bounded_size(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    tree = ast.parse(text)
    for function in functions(tree):
        assert function.end_lineno is not None
        length = function.end_lineno - function.lineno + 1
        # The commands' signatures are their options, one a line: only their bodies count.
        if "cli" in path.parts:
            length = function.end_lineno - function.body[0].lineno + 1
        assert length <= LONGEST_FUNCTION, function.name
        arguments = function.args
        if "cli" not in path.parts:
            positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
            count = len([name for name in positional if name not in ("self", "cls")])
            # A constructor's caller names what it hands over.
            assert count <= MOST_POSITIONAL or function.name == "__init__", function.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nobody_inside_imports_the_root(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "penstock"
        elif isinstance(node, ast.Import):
            assert "penstock" not in [alias.name for alias in node.names]


@pytest.mark.parametrize("words", [["-c", "import penstock"], ["-m", "penstock", "--help"]])
def test_nothing_heavy_is_imported_at_the_start(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "penstock" in imported
    assert imported & HEAVY == set()


def test_every_public_name_is_there_and_listed() -> None:
    assert penstock.__all__ == sorted(penstock.__all__)
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        penstock.no_such_name  # noqa: B018  asking is the test


def test_lock_files_name_no_address() -> None:
    locks = list(ROOT.glob("requirements*.lock"))
    assert locks
    for lock in locks:
        assert "://" not in lock.read_text(encoding="utf-8")
