"""kill -9 between the steps of a fetch, then the next run: each file is there once, and whole."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from penstock import Etl
from penstock.project.environment import choose
from tests.fixtures import programs
from tests.fixtures.postgres import Database
from tests.fixtures.sftp import Box

#: A run that kills itself after a step, the second time it comes: one file is done, one is not.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from penstock import Etl
from penstock.flow.fetching import Fetching
from penstock.project.environment import choose

said = json.loads(sys.argv[1])
etl = Etl(env=choose(said["env"], "dev", Path(said["folder"])))
etl.start()
seen = []

def on_step(name):
    seen.append(name)
    if seen.count(said["step"]) == 2:
        Path(said["marker"]).write_text(name)
        os.kill(os.getpid(), signal.SIGKILL)

place = etl._begun.connectors["drops"]
Path(said["marker"]).write_text(str(os.getpid()))
fetching = Fetching(etl._begun.ledger(), etl._flow, etl.root, on_step)
fetching.fetch(place, "*.csv", Path("data/import"))
etl.end()
"""
AFTER: dict[str, dict[str, str]] = {
    "delete": {"after": "delete"},
    "move": {"after": "move", "move_to": "done"},
    "leave": {"after": "leave"},
}
CONTENTS = {f"{name}.csv": f"{name}\n" * 50_000 for name in ("a", "b", "c")}


def environment(box: Box, database: Database, after: str) -> dict[str, Any]:
    return {
        "project": "shop",
        "drops": box.settings | AFTER[after],
        "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
    }


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("step", ["in the middle", "downloaded", "named", "booked", "finished"])
def test_killed_between_two_steps_the_next_run_completes_it(
    sftp_box: Box, database: Database, tmp_path: Path, step: str, after: str
) -> None:
    out, marker = sftp_box.folder / "out", tmp_path / "marker"
    for name, text in CONTENTS.items():
        (out / name).write_text(text)
    env = environment(sftp_box, database, after)
    order = {"env": env, "folder": str(tmp_path), "step": step, "marker": str(marker)}
    if step == "in the middle":

        def kill(path: Path, offset: int) -> None:
            if path.name == "b.csv" and marker.read_text() != step:
                pid = int(marker.read_text())
                marker.write_text(step)
                os.kill(pid, signal.SIGKILL)

        sftp_box.on_read = kill
    (tmp_path / "fetches.py").write_text(PROGRAM)
    words = ("fetches.py", json.dumps(order))
    killed = programs.run(*words, folder=tmp_path, variables=os.environ)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert marker.read_text() == step

    folder = tmp_path / "data" / "import"
    for path in folder.glob("*.csv"):
        assert path.read_text() == CONTENTS[path.name], "seen whole or not at all"
    etl = Etl(env=choose(env, "dev", tmp_path))
    etl.start()
    etl.fetch("drops", "*.csv")
    assert etl.end() == 0

    found = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    assert found == CONTENTS
    assert not (folder / ".fetching").exists()
    with database.connect() as connection:
        booked = connection.execute("select name from penstock.fetched order by 1").fetchall()
    assert booked == [(f"/out/{name}",) for name in CONTENTS]
    there = sorted(str(path.relative_to(out)) for path in out.rglob("*.csv"))
    where = {"delete": [], "move": [f"done/{name}" for name in CONTENTS], "leave": [*CONTENTS]}
    assert there == where[after]
