"""Connectors that a project or a package brings along."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.connectors.registry import connectors
from penstock.errors import UsageError

OWN = """
class Post:
    def __init__(self, settings, *, name, root):
        self.name, self.settings = name, settings

    def where(self):
        return "post"

    def check(self):
        return iter(())

    def close(self):
        pass
"""


def test_a_project_brings_its_own_in_custom(tmp_path: Path) -> None:
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "connectors.py").write_text(f'{OWN}\nconnectors = {{"post": Post}}\n')
    env = {"letters": {"kind": "post", "box": 7}, "drops": {"kind": "files", "folder": "x"}}
    made = connectors(env, tmp_path)
    assert made["letters"].where() == "post"
    with pytest.raises(
        UsageError, match=r"no kind 'pots'.*files, objects, post, postgres, rest, sftp"
    ):
        connectors({"letters": {"kind": "pots"}}, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 / 0", "ZeroDivisionError"), ("x = 1", "has no dictionary connectors")],
)
def test_a_project_s_own_that_cannot_be_read_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "connectors.py").write_text(text)
    with pytest.raises(UsageError, match=said):
        connectors({"letters": {"kind": "post"}}, tmp_path)


def test_an_installed_package_brings_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letters_for_penstock.py").write_text(OWN)
    about = tmp_path / "letters_for_penstock-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: letters-for-penstock\nVersion: 1.0\n"
    )
    (about / "entry_points.txt").write_text(
        "[penstock.connectors]\npost = letters_for_penstock:Post\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = connectors({"letters": {"kind": "post"}}, tmp_path)
    assert type(made["letters"]).__module__ == "letters_for_penstock"
