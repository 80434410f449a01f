"""Tries every connection of an environment: python test_connections.py prod."""

import sys

from penstock.cli.main import run

if __name__ == "__main__":
    run(["test-connections", *(word for name in sys.argv[1:2] for word in ("-e", name))])
