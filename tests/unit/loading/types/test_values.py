from __future__ import annotations

import pytest

from penstock.loading.types.registry import check_for
from penstock.model.options import Grammar
from tests.fixtures.columns import column
from tests.fixtures.literals import LITERALS
from tests.fixtures.values import VALUES
from tests.unit.loading.types.outcome import outcomes

ALL = VALUES | LITERALS


@pytest.mark.parametrize("type_sql", ALL)
def test_exactly_the_listed_texts_are_accepted(type_sql: str) -> None:
    texts = [text for text, _ in ALL[type_sql]]
    found = outcomes(check_for(column(type_sql), Grammar()), texts)
    wrong = [
        (text[:60], outcome)
        for (text, accepted), outcome in zip(ALL[type_sql], found, strict=True)
        if (outcome.code is None) != accepted
    ]
    assert wrong == []


@pytest.mark.parametrize("type_sql", ALL)
def test_the_careful_look_alone_decides_as_both_tiers_do(type_sql: str) -> None:
    check = check_for(column(type_sql), Grammar())
    texts = [text for text, _ in ALL[type_sql]]
    assert outcomes(check, texts, every=True) == outcomes(check, texts)
