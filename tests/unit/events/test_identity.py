"""Delivery ids: the same for the same message, another for every other one."""

from __future__ import annotations

import hashlib
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.events.identity import delivery_id, delivery_ids
from penstock.events.sources import Identified


def hashed(raw: bytes) -> str:
    return "#" + hashlib.sha256(raw).hexdigest()[:32]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"id": "evt_1"}', "evt_1"),
        (b'{"id": 12}', "12"),
        (b'{"id": -12}', "-12"),
        (b'{"id": "\\u0041"}', "A"),
        (b'{"id": "\xc3\xbc"}', "ü"),
        (b'{"id": 1.0}', None),
        (b'{"id": true}', None),
        (b'{"id": {"a": 1}}', None),
        (b'{"id": ""}', None),
        (b'{"id": null}', None),
        (b'{"other": 1}', None),
        (b"[1]", None),
        (b"{bad", None),
        (b"\xff", None),
        (b'{"id": "a\\u0000b"}', hashed(b"a\0b")),
        (b'{"id": "#a"}', hashed(b"#a")),
        (b'{"id": "' + b"x" * 121 + b'"}', hashed(b"x" * 121)),
    ],
)
def test_an_immutable_id_is_the_delivery_id_and_content_stands_in_for_none(
    raw: bytes, expected: str | None
) -> None:
    of = Identified(id="id", immutable=True)
    assert delivery_id(of, raw) == (hashed(raw) if expected is None else expected)
    # Beside others, and beside one that is not UTF-8, it is the same.
    for beside in (b'{"id": "z"}', b"\xff"):
        assert delivery_ids(of, pl.Series([raw, beside], dtype=pl.Binary))[0] == delivery_id(
            of, raw
        )


def test_another_version_under_the_same_id_is_another_delivery() -> None:
    of = Identified(id="event.id")
    one, two = b'{"event": {"id": "a"}, "v": 1}', b'{"event": {"id": "a"}, "v": 2}'
    assert delivery_id(of, one) == "a" + hashed(one)
    assert delivery_id(of, two) == "a" + hashed(two)
    assert delivery_id(of, one) != delivery_id(of, two)


def test_without_an_id_the_content_is_all_there_is() -> None:
    of = Identified(id=None)
    raws = pl.Series([b"a", b"b", b"a"], dtype=pl.Binary)
    assert delivery_ids(of, raws).to_list() == [hashed(b"a"), hashed(b"b"), hashed(b"a")]


@pytest.mark.parametrize(("path", "immutable"), [("a..b", False), ("", False), (None, True)])
def test_paths_that_cannot_be_meant_are_refused(path: str | None, immutable: bool) -> None:
    with pytest.raises(UsageError):
        Identified(id=path, immutable=immutable)


@given(st.text(max_size=40), st.integers())
def test_ids_read_together_are_those_read_alone(text: str, number: int) -> None:
    of = Identified(id="id", immutable=True)
    raws = [json.dumps({"id": text}).encode(), json.dumps({"id": number}).encode()]
    together = delivery_ids(of, pl.Series(raws, dtype=pl.Binary)).to_list()
    assert together == [delivery_id(of, raw) for raw in raws]
    assert together[1] == str(number)
