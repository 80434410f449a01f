"""What every test can use. The fixtures themselves are in `tests/fixtures`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.proxy",
    "tests.fixtures.mail",
    "tests.fixtures.sftp",
    "tests.fixtures.objects",
    "tests.fixtures.mariadb",
    "tests.fixtures.api",
    "tests.fixtures.flows",
    "tests.fixtures.webhooks",
]

# A busy machine is slow, not wrong: time is measured in bench/, not here.
settings.register_profile("gate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("sweep", settings.get_profile("gate"), max_examples=2_000)
settings.load_profile(os.environ.get("PENSTOCK_HYPOTHESIS", "gate"))
