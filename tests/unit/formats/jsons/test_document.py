"""JSON documents as rows; what is right is said by Python's json module, and by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import SourceError
from penstock.formats.jsons.document import DocumentReader
from penstock.formats.jsons.lines import JsonRows
from penstock.model.batch import LINE, ROW

PLAIN = JsonRows(columns=("a", "b"))


def read(text: str, path: tuple[str, ...] = (), block: int = 7) -> list[tuple[int, str | None]]:
    reader = DocumentReader(io.BytesIO(text.encode()), PLAIN, path, block=block)
    return [row for b in reader.batches() for row in b.frame.select(LINE, "a").iter_rows()]


@pytest.mark.parametrize("block", [1, 5, 1 << 20])
def test_elements_keep_their_lines_and_source_text(tmp_path: Path, block: int) -> None:
    text = (
        '\ufeff[\n  {"a": 1.50},\n  {\n    "a": {"x": [1,\n 2]}\n  }\n, {"b": 1}, 7, {"a":NaN}]\n'
    )
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    reader = DocumentReader(path, PLAIN, block=block, file=1)
    batches = list(reader.batches())
    rows = [row for b in batches for row in b.frame.select(LINE, "a").iter_rows()]
    assert rows == [(2, "1.50"), (3, '{"x": [1,\n 2]}'), (7, None)]
    bad = [m for batch in batches for m in batch.malformed]
    assert [(m.line, m.code, m.raw) for m in bad] == [
        (7, "not_object", b"7"), (7, "json", b'{"a":NaN}'),
    ]  # fmt: skip
    ids = [row for b in batches for row in b.frame[ROW].to_list()]
    found = reader.fetch([ids[1], bad[0].row])
    assert found[bad[0].row] == (7, b"7", {})
    assert found[ids[1]][0] == 3


def test_an_array_is_found_by_its_path() -> None:
    text = (
        '{"n": -12, "skip": [{"items": ["]}", "\\""]}, 1], "data": {"x": null, '
        '"items": [{"a": 1}, {"a": 2}], "y": 1}, "z": "end"}'
    )
    for block in (1, 3, 100):
        assert read(text, ("data", "items"), block) == [(1, "1"), (1, "2")]


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("", (), "ends where a value should begin"),
        ('{"a": 1}', (), "is an object, not an array.*--json-path"),
        ('{"a": 1}\n{"a": 2}', (), "--format ndjson"),
        ("7", (), "single value"),
        ('{"a": [1]}', ("b",), "no key b, but a"),
        ("[]", ("b",), "no object, and has no b"),
        ('[{"a": 1}', (), "no comma or ]"),
        ('[{"a": 1},', (), "not valid JSON at line 1"),
        ('[{"a": 1}\n{"a": 2}]', (), "line 2.*no comma"),
        ('[{"a": 1}] []', (), "goes on behind its end"),
        ('[{"a": 1},\n{"a": 1 "b": 2}]', (), "not valid JSON at line 2"),
        ('[{"a": 1},\n{"a": "x]', (), "not valid JSON at line 2"),
        ('{"d": [{"a": 1}], "d": []}', ("d",), "key d a second time"),
        ('{"d": [{"a": 1}]', ("d",), "ends before the object is closed"),
        ('{"x": [[1], "', ("d",), "ends in the middle"),
        ("[" * 3000 + "]" * 3000, (), "nested too deep"),
    ],
)
def test_what_is_no_such_document_is_an_error(text: str, path: tuple[str, ...], said: str) -> None:
    with pytest.raises(SourceError, match=f"(?s){said}"):
        read(text, path)


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(SourceError, match="0xE9 is no utf-8"):
        list(DocumentReader(io.BytesIO(b'[{"a":"\xe9"}]'), PLAIN).batches())


def test_a_value_that_does_not_end_is_bounded() -> None:
    rows = JsonRows(columns=("a",), max_record_bytes=100)
    with pytest.raises(SourceError, match="within 100 characters"):
        list(DocumentReader(io.BytesIO(b'[{"a":"' + b"x" * 10000), rows, block=10).batches())


VALUES = st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b"]), VALUES | st.lists(VALUES)), max_size=9),
    st.integers(1, 30),
    st.sampled_from([None, 1]),
)
def test_elements_are_what_pythons_reader_says(
    objects: list[dict[str, object]], block: int, indent: int | None
) -> None:
    text = json.dumps({"x": objects, "d": objects}, indent=indent)
    reader = DocumentReader(io.BytesIO(text.encode()), PLAIN, ("d",), block=block)
    batches = list(reader.batches())
    nul = [o for o in objects if any(isinstance(v, str) and "\0" in v for v in o.values())]
    assert sum(len(b.malformed) for b in batches) == len(nul)
    good = [o for o in objects if o not in nul]
    rows = [row for b in batches for row in b.frame.select("a", "b").to_dicts()]
    assert len(rows) == len(good)
    for row, expected in zip(rows, good, strict=True):
        for name in ("a", "b"):
            want, got = expected.get(name), row[name]
            if isinstance(want, list):
                assert json.loads(got or "") == want
            else:
                assert got == (None if want is None else str(want))


def test_a_number_may_have_more_digits_than_pythons_int() -> None:
    digits = "7" * 5000
    assert read(f'[{{"a": {digits}}}]') == [(1, digits)]
