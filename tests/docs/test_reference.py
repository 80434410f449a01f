"""The reference names everything that there is: commands, options, public names, columns."""

from __future__ import annotations

import dataclasses
import os

import pytest

import penstock
from penstock.errors import PenstockError
from penstock.model.options import CsvOptions, ExcelOptions, Grammar, LoadOptions
from tests.docs import rules_table
from tests.docs.cli_page import PAGE, commands, options, page
from tests.fixtures.postgres import Database

REFERENCE = PAGE.parent


def test_the_command_line_page_is_what_the_program_says() -> None:
    if os.environ.get("PENSTOCK_WRITE_DOCS"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), "PENSTOCK_WRITE_DOCS=1 pytest tests/docs"


def test_the_rules_of_the_checker_are_on_their_page_as_they_are() -> None:
    if os.environ.get("PENSTOCK_WRITE_DOCS"):
        rules_table.PAGE.write_text(rules_table.page(), encoding="utf-8")
    assert rules_table.PAGE.read_text(encoding="utf-8") == rules_table.page()


def test_every_command_and_option_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, command in commands():
        assert f"`{f'penstock {name}'.strip()}`" in text
        for option in options(command):
            assert all(f"`{spelling}`" in text for spelling in option.opts)


def test_load_star_has_every_option_of_load() -> None:
    found = dict(commands())
    shared, more = ({o.opts[0] for o in options(found[name])} for name in ("load", "load-star"))
    own = {"--create", "--alter", "--revision"}  # a star's tables are there: they give the order
    assert shared - own < more
    assert shared > own


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}" in (REFERENCE / "library.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "kind", [LoadOptions, CsvOptions, ExcelOptions, Grammar, penstock.LoadResult]
)
def test_every_option_and_count_is_in_the_reference(kind: type) -> None:
    text = (REFERENCE / "library.md").read_text(encoding="utf-8")
    inner = {
        "csv",
        "json",
        "excel",
        "grammar",
        "budget",
    }  # what their own fields, and max_rejects, are given by
    for field in dataclasses.fields(kind):
        assert field.name in inner or f"`{field.name}`" in text, field.name


def test_every_exit_code_of_an_error_is_in_the_reference() -> None:
    text = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    kinds: list[type[PenstockError]] = [PenstockError, *PenstockError.__subclasses__()]
    assert all(f"| {kind.exit_code} |" in text for kind in kinds)


def test_every_column_of_the_ledger_is_in_the_reference(database: Database) -> None:
    from penstock.ledger import install

    with database.connect() as connection:
        install.ensure(connection, database.url)
        columns = connection.execute(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'penstock' and table_name <> 'alembic_version'"
        ).fetchall()
    text = (REFERENCE / "ledger.md").read_text(encoding="utf-8")
    tables = {part.split("`")[0]: part for part in text.split("## `penstock.")[1:]}
    for table, column in columns:
        assert f"`{column}`" in tables[table], (table, column)


def test_webhooks_their_schemes_limits_and_answers_are_in_the_reference() -> None:
    from penstock.events.sources import WebhookSource
    from penstock.events.webhooks.app import ANSWERS, RETRY_AFTER
    from penstock.events.webhooks.batching import MOST_WAITING
    from penstock.events.webhooks.limits import Limits
    from penstock.events.webhooks.schemes import SCHEMES, Scheme

    text = (REFERENCE / "webhooks.md").read_text(encoding="utf-8")
    for field in [*dataclasses.fields(WebhookSource), *dataclasses.fields(Scheme)]:
        assert f"`{field.name}`" in text, field.name
    for name, scheme in SCHEMES.items():
        assert f'`"{name}"`' in text
        told = [getattr(scheme, field.name) for field in dataclasses.fields(scheme)]
        assert all(f"`{one}`" in text for one in told if one.strip(" ,")), name
    for answer in ANSWERS:
        assert str(answer.status) in text, answer.status
    limits = Limits()
    for number in (
        f"more than {limits.headers} headers, or {limits.head >> 10} KiB",
        f"within {limits.seconds:g} seconds",
        f"within {limits.commit_seconds:g} seconds",
        f"{limits.connections} requests",
        f"take {limits.held >> 20} MiB",
        f"waits {limits.stop_seconds} seconds",
        f"{MOST_WAITING:,} deliveries",
        f"`Retry-After: {RETRY_AFTER}`",
    ):
        assert number in text, number
