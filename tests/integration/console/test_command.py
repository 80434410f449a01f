"""`penstock console` as a process: users, start, answers, stop."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from penstock.console import access
from tests.fixtures.postgres import Database
from tests.integration.cli.program import environment


def told(folder: Path, url: str, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", "console", *words],
        cwd=folder,
        env=environment(PENSTOCK_DSN=url),
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_console_starts_with_a_user_answers_and_stops(
    ledger_database: Database, tmp_path: Path
) -> None:
    url = ledger_database.url
    refused = told(tmp_path, url)
    assert refused.returncode == 2
    assert "penstock console user NAME --role admin" in refused.stderr
    short = told(tmp_path, url, "user", "ann", "--role", "admin", said="short\n")
    assert (short.returncode, "12 to 1,024 characters" in short.stderr) == (2, True)
    made = told(
        tmp_path, url, "user", "ann", "--role", "admin", "--json", said="long enough it is\n"
    )
    assert json.loads(made.stdout) == {"user": "ann", "role": "admin", "disabled": False}
    assert "long enough" not in made.stdout + made.stderr
    running = subprocess.Popen(
        [sys.executable, "-m", "penstock", "console", "--port", "0"],
        cwd=tmp_path,
        env=environment(PENSTOCK_DSN=url),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    address = next(found[0] for line in running.stderr if (found := re.search("http://.*", line)))
    with httpx2.Client(base_url=address) as client:
        assert client.get("/health").text == "ok\n"
        form = {"name": "ann", "password": "long enough it is"}
        assert client.post("/sign-in", data=form).status_code == 303
        assert client.get("/").status_code == 200
    running.send_signal(signal.SIGTERM)
    _, rest = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "Stopped." in rest
    gone = told(tmp_path, url, "user", "ann", "--disable")
    assert gone.returncode == 0
    listed = json.loads(told(tmp_path, url, "users", "--json").stdout)["users"]
    assert [(one["user"], one["role"], one["disabled"]) for one in listed] == [
        ("ann", "admin", True)
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  it is refused
def test_passwords_do_not_go_over_the_network_in_clear(
    ledger_database: Database, tmp_path: Path, host: str
) -> None:
    with ledger_database.connect() as connection:
        access.put_user(connection, "ann", "admin", "long enough it is")
    refused = told(tmp_path, ledger_database.url, "--host", host)
    assert (refused.returncode, "in clear" in refused.stderr) == (2, True)


def test_behind_a_proxy_the_cookie_is_for_https_alone(
    ledger_database: Database, tmp_path: Path
) -> None:
    with ledger_database.connect() as connection:
        access.put_user(connection, "ann", "admin", "long enough it is")
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "penstock", "console"),
            *("--port", "0", "--https", "--name", "data.example.com"),
        ],
        cwd=tmp_path,
        env=environment(PENSTOCK_DSN=ledger_database.url),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        address = next(
            found[0] for line in running.stderr if (found := re.search("http://.*", line))
        )
        with httpx2.Client(base_url=address, headers={"host": "data.example.com"}) as client:
            form = {"name": "ann", "password": "long enough it is"}
            answer = client.post("/sign-in", data=form)
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]
    finally:
        running.terminate()
        running.communicate(timeout=20)
