"""The whole example: the host's files, the flow, the balance: python run.py."""

from __future__ import annotations

import sys
from pathlib import Path

from generate import generate

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import projects  # noqa: E402  beside the examples

if __name__ == "__main__":
    generate(HERE / "share")
    url = projects.database(HERE, HERE / "sql" / "schema.sql")
    projects.run(HERE, {})
    projects.show(url)
