"""Every bad input of the table gets its exit code, its line, its column, its code, its advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import run
from tests.acceptance.bad_inputs import BAD, Bad
from tests.fixtures.postgres import Database


def penstock(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON answer, and what was said to people."""
    with pytest.raises(SystemExit) as ended:
        run(words)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    answer: dict[str, Any] = json.loads(out)
    return int(str(ended.value.code)), answer, err


@pytest.mark.parametrize("bad", BAD, ids=[bad.what for bad in BAD])
def test_bad_input(
    bad: Bad, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / bad.name
    if bad.content is not None:
        path.write_bytes(bad.content)
    with database.connect() as connection:
        connection.execute(bad.setup.encode())
        before = connection.execute("select count(*) from people").fetchone()
    code, answer, _ = penstock(
        capsys, "load", str(path), bad.table, "--max-rejects", "all", "--json",
        "--dsn", database.url, *bad.options,
    )  # fmt: skip
    assert code == bad.exit_code, answer
    if "error" in answer:
        assert bad.said in answer["error"]["message"]
        with database.connect() as connection:
            after = connection.execute("select count(*) from people").fetchone()
        assert after == before, "nothing was changed"
        return
    assert answer["inserted"] == bad.inserted
    found: list[tuple[int, str, str]] = []
    reasons: list[str] = []
    with database.connect() as connection:
        rows = connection.execute(
            "select line, columns, codes, reasons from penstock.rejects order by line"
        ).fetchall()
    for line, columns, codes, texts in rows:
        found += [(line, column, one) for column, one in zip(columns, codes, strict=True)]
        reasons += texts
    assert found == bad.rejects
    assert answer["quarantined"] == len(rows)
    assert not rows or bad.said in " ".join(reasons)
