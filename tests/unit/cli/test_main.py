"""How the program ends, whatever happens in it."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from typing import Any

import pytest

from penstock.cli import commands, main
from penstock.cli.answer import interrupted
from penstock.errors import TryAgain


def _raising(error: BaseException) -> Callable[..., Any]:
    def program(*_: object, **__: object) -> None:
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "exit_code", "code", "said"),
    [
        (TryAgain("locked", code="55P03"), 75, "55P03", "locked"),
        (interrupted("nothing was changed."), 130, "interrupted", "nothing was changed"),
        (KeyboardInterrupt(), 130, "interrupted", "Interrupted."),
        (
            OSError(errno.ENOSPC, "No space left", "part.arrow"),
            1,
            "os",
            "part.arrow: No space left.",
        ),
        (KeyError("secret=1"), 1, "fault", "This is a fault of Penstock"),
    ],
)
def test_every_error_ends_with_a_line_an_object_and_its_exit_code(
    error: BaseException,
    exit_code: int,
    code: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PENSTOCK_DEBUG", raising=False)
    monkeypatch.setattr(commands, "app", _raising(error))
    with pytest.raises(SystemExit) as ended:
        main.run(["load", "a.csv", "--json"])
    assert ended.value.code == exit_code
    told = capsys.readouterr()
    found = json.loads(told.out)["error"]
    assert (found["code"], found["exit_code"]) == (code, exit_code)
    assert said in found["message"]
    assert told.err.startswith("Error: ")
    assert "Traceback" not in told.err


def test_without_json_nothing_is_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "app", _raising(TryAgain("locked")))
    with pytest.raises(SystemExit):
        main.run(["load", "a.csv", "--", "--json"])
    assert capsys.readouterr() == ("", "Error: locked.\n")
