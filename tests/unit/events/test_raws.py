"""The raw events of files of every format; what they should be comes from Python's own modules."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import SourceError
from penstock.events.raws import must_be_read_first, raws_of
from penstock.events.sources import MAX_EVENT_BYTES
from penstock.events.taken import CHUNK
from penstock.loading.load import options_from


def raws(path: Path, **options: Any) -> list[bytes]:
    """All events of a file."""
    spool = path.parent / "spool"
    spool.mkdir(exist_ok=True)
    return [one for part in raws_of(path, options_from(**options), lambda: spool) for one in part]


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


LINES = [
    b'{"id": 1,  "n": 1.50e3}',
    b"no JSON at all",
    b'{"text": "\xff\xfe is no UTF-8"}',
    b'{"id": 1, "id": 2, "nul": "\\u0000", "half": "\\ud800"}',
    b'["an", "array"]',
    '{"é": "\u2028"}'.encode(),
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_as_they_stand_and_blank_ones_are_none(
    tmp_path: Path, end: bytes, *, last: bool
) -> None:
    blanks = [b"", b"  \t"]
    content = end.join([LINES[0], *blanks, *LINES[1:]]) + (end if last else b"")
    assert raws(file(tmp_path, "a.ndjson", content)) == LINES


def test_a_byte_order_mark_is_no_part_of_the_first_event(tmp_path: Path) -> None:
    assert raws(file(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + LINES[0] + b"\n")) == [LINES[0]]


@pytest.mark.parametrize(
    ("codec", "options"), [("utf-16", {}), ("latin-1", {"encoding": "latin-1"})]
)
def test_lines_of_another_encoding_become_utf_8(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    texts = ['{"a": "é"}', '{"b": "ü"}']
    path = file(tmp_path, "a.ndjson", "\n".join([*texts, ""]).encode(codec))
    assert raws(path, **options) == [text.encode() for text in texts]


def zipped(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.ndjson", content)
        archive.writestr("c.csv", "x,y\n1,2\n")
    return made.getvalue()


@pytest.mark.parametrize("ending", [".gz", ".zst", ".zip"])
def test_compressed_files_are_unpacked(tmp_path: Path, ending: str) -> None:
    content = b"\n".join(LINES)
    packed = {
        ".gz": gzip.compress(content[:20]) + gzip.compress(content[20:]),
        ".zst": zstandard.compress(content),
        ".zip": zipped(content),
    }[ending]
    more = [b'{"x":"1","y":"2"}'] if ending == ".zip" else []
    path = file(tmp_path, f"a.ndjson{ending}" if ending != ".zip" else "a.zip", packed)
    assert raws(path) == [*LINES, *more]
    assert must_be_read_first(path, options_from())


def test_a_line_that_is_too_long_is_cut_seen_and_costs_no_other(tmp_path: Path) -> None:
    middle = MAX_EVENT_BYTES + 5
    huge = b"x" * (3 * MAX_EVENT_BYTES)
    lines = [b"1", b"y" * middle, b"2", huge, b"3", b"4"]
    found = raws(file(tmp_path, "a.ndjson", b"\n".join(lines)))
    assert [one for one in found if len(one) < 10] == [b"1", b"2", b"3", b"4"]
    for cut, whole in ((found[1], lines[1]), (found[3], huge)):
        assert cut.startswith(whole[:4096] + b" [cut here: ")
        assert f"{len(whole):,} bytes".encode() in cut
        assert hashlib.sha256(whole).hexdigest().encode() in cut


@given(
    st.lists(st.binary(max_size=12).filter(lambda one: b"\n" not in one and bool(one.strip()))),
    st.integers(1, 40),
)
def test_lines_are_the_same_wherever_a_block_ends(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int
) -> None:
    path = file(tmp_path_factory.mktemp("f"), "a.ndjson", b"\n".join(lines))
    before = [one.removesuffix(b"\r") for one in lines]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.events.raws._BLOCK", block)
        try:
            found = raws(path, format="ndjson")
        except SourceError:  # it begins as an archive or a picture does
            return
    if lines and not (lines[0] + b"\n").startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        assert found == [one for one in before if one.strip(b" \t\r")]


def test_elements_of_a_document_are_their_exact_text(tmp_path: Path) -> None:
    elements = ['{"id": 1,\n  "n": 1.10e+02}', '"text"', "12345678901234567890.5", '{ "id": 2 }']
    inside = ",\n ".join(elements)
    whole = file(tmp_path, "a.json", f"[{inside}]".encode())
    deep = file(tmp_path, "b.json", f'{{"n": 4, "d": {{"items": [{inside}]}}, "z": 1}}'.encode())
    expected = [one.encode() for one in elements]
    assert raws(whole) == expected
    assert raws(deep, json_path="d.items") == expected


def test_a_document_that_is_no_array_is_one_event(tmp_path: Path) -> None:
    text = b'{"id": 1,\n "lines": [1, 2]}'
    assert raws(file(tmp_path, "a.json", b" " + text + b"\n")) == [text]


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"b": 2}', b'[{"a": 1}, {"b"', b"", b"{"])
def test_a_document_that_is_none_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError):
        raws(file(tmp_path, "a.json", content))


def test_rows_of_csv_are_objects_with_texts_and_malformed_ones_are_their_bytes(
    tmp_path: Path,
) -> None:
    rows = [["1", 'he said "é"\n', ""], ["2", "\u2028\t", "x"]]
    made = io.StringIO()
    csv.writer(made).writerows([["id", "a b", "c"], *rows])
    text = made.getvalue().encode() + b"3,too,many,fields\r\n4,NULL,\r\n"
    found = raws(file(tmp_path, "a.csv", text))
    expected = [
        {"id": "1", "a b": 'he said "é"\n', "c": None},
        {"id": "2", "a b": "\u2028\t", "c": "x"},
        {"id": "4", "a b": "NULL", "c": None},
    ]
    assert [json.loads(one) for one in (*found[:2], found[3])] == expected
    assert found[2] == b"3,too,many,fields"


def test_rows_of_parquet_are_objects_with_all_digits(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [2**63 - 1, None],
            "price": pl.Series([Decimal("1.10"), Decimal("0.00")], dtype=pl.Decimal(38, 2)),
            "tags": [["a", 'b"'], []],
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    found = [json.loads(one) for one in raws(tmp_path / "a.parquet")]
    assert found == [
        {"id": str(2**63 - 1), "price": "1.10", "tags": '["a","b\\""]'},
        {"id": None, "price": "0.00", "tags": "[]"},
    ]


def test_rows_of_fixed_width(tmp_path: Path) -> None:
    path = file(tmp_path, "a.dat", b"001Ada  \n002Bob  \n")
    found = raws(path, format="fixed", fixed="id:1-3,name:4-8")
    assert [json.loads(one) for one in found] == [
        {"id": "001", "name": "Ada"},
        {"id": "002", "name": "Bob"},
    ]


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv"])
def test_parts_are_bounded_and_lose_nothing(tmp_path: Path, name: str) -> None:
    count = 2 * CHUNK + 10
    head = b"id\n" if name.endswith("csv") else b""
    path = file(tmp_path, name, head + b"".join(b"%d\n" % one for one in range(count)))
    parts = [*raws_of(path, options_from(), lambda: tmp_path)]
    assert [len(part) for part in parts] == [CHUNK, CHUNK, 10]
    numbers = [int(json.loads(one)["id"]) if head else int(one) for part in parts for one in part]
    assert numbers == [*range(count)]


def test_parts_of_big_events_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    path = file(tmp_path, "a.ndjson", (b"x" * (1 << 20) + b"\n") * 80)
    sizes = [int(part.bin.size().sum()) for part in raws_of(path, options_from(), lambda: tmp_path)]
    assert sum(sizes) == 80 << 20
    assert max(sizes) <= 40 << 20
