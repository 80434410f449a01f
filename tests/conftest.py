"""What every test can use. The fixtures themselves are in `tests/fixtures`."""

from __future__ import annotations

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.proxy"]
