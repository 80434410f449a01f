"""`python -m penstock`. Not for: anything else."""

from __future__ import annotations

from penstock.cli.main import run

if __name__ == "__main__":
    run()
