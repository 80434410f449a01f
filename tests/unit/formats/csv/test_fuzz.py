"""The whole reader against the strict standard reader, for any bytes and any block size."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from penstock.formats.csv.dialect import Dialect
from penstock.formats.csv.fast import FastReader
from penstock.formats.csv.reader import CsvReader
from penstock.model.batch import LINE, ROW, record_of
from penstock.model.options import CsvOptions
from tests.unit.formats.csv.strict_oracle import Seen, records

_PIECES = [
    *(b"a", b"bb", b"", b" ", b"\xc3\xa9", b"a,b", b"\t", b"7.5"),
    *(b'"a"', b'"a,b"', b'"x\ny"', b'"q""q"', b'""', b'" "', b'"\r\n"', b'"\r"'),
    *(b'"', b'"open', b'a"b', b'"a"b', b' "a"', b'""a"', b"\r", b"\0", b"\xff", b"\xef\xbb\xbf"),
]
fields = st.sampled_from(_PIECES) | st.text('a,"\n\r \\', max_size=5).map(str.encode)
lines = st.lists(fields, min_size=1, max_size=4).map(b",".join)
ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n"])
bodies = st.lists(st.tuples(lines, ends), max_size=12).map(
    lambda parts: b"".join(line + end for line, end in parts)
)


def read(
    data: bytes, width: int, block: int, *, quote: str = '"', eol: bytes = b"\n", limit: int = 4096
) -> list[Seen]:
    """Everything that the reader says about a file whose header is `c1,c2,...`."""
    header = b",".join(b"c%d" % at for at in range(width)) + eol
    options = CsvOptions(delimiter=",", quote=quote, max_record_bytes=limit)
    reader = CsvReader(io.BytesIO(header + data), options, block=block)
    seen: list[Seen] = []
    counted = 0
    for batch in reader.batches():
        assert batch.records == batch.frame.height + len(batch.malformed) + batch.filtered
        counted += batch.records
        raws = batch.raw(range(batch.frame.height))
        for row, raw in zip(batch.frame.iter_rows(), raws, strict=True):
            seen.append(Seen(record_of(row[-2]), row[-1] - 1, raw, row[:-2]))
        for bad in batch.malformed:
            seen.append(Seen(record_of(bad.row), bad.line - 1, bad.raw, code=bad.code))
    assert all(one.record <= counted for one in seen)
    return sorted(seen, key=lambda one: one.record)


def expected(data: bytes, width: int, *, quote: str = '"', eol: bytes = b"\n") -> list[Seen]:
    found = records(data, width, quote=quote, eol=eol)
    return [seen for seen in found if seen.values is not None or seen.code]


@settings(max_examples=400, deadline=None)
@given(bodies, lines, st.integers(1, 3), st.sampled_from([1, 7, 64, 1 << 20]))
@example(b'a,b,""\n', b'"",b,', 3, 7)
@example(b'1,"x\n2,"y\n3,z\n', b"4,w", 2, 1)
@example(b"\xef\xbb\xbfa,b\n", b"", 2, 1 << 20)
def test_any_bytes_are_read_as_the_strict_reader_reads_them(
    body: bytes, last: bytes, width: int, block: int
) -> None:
    data = body + last
    assert read(data, width, block) == expected(data, width)


@settings(max_examples=100, deadline=None)
@given(bodies, st.integers(1, 3), st.sampled_from([1, 64, 1 << 20]))
def test_without_quoting_a_quote_is_text(body: bytes, width: int, block: int) -> None:
    assert read(body, width, block, quote="") == expected(body, width, quote="")


@settings(max_examples=100, deadline=None)
@given(st.lists(lines, max_size=12), st.integers(1, 3), st.sampled_from([1, 64, 1 << 20]))
def test_old_mac_line_ends_are_read_as_the_strict_reader_reads_them(
    parts: list[bytes], width: int, block: int
) -> None:
    data = b"".join(line + b"\r" for line in parts)
    # Behind the header's CR this is the line end of another system.
    assume(not data.lstrip(b"\r").startswith(b"\n"))
    assert read(data, width, block, eol=b"\r") == expected(data, width, eol=b"\r")


@settings(max_examples=200, deadline=None)
@given(bodies, lines, st.integers(1, 3), st.sampled_from([1, 7, 64]), st.integers(4, 40))
def test_the_block_size_changes_nothing_where_records_are_too_long(
    body: bytes, last: bytes, width: int, block: int, limit: int
) -> None:
    data = body + last
    whole = read(data, width, 1 << 20, limit=limit)
    assert read(data, width, block, limit=limit) == whole
    assert all(len(seen.raw.rstrip(b"\r\n")) <= limit for seen in whole if seen.values)


@pytest.mark.parametrize("seed", range(4))
def test_what_the_fast_reader_accepts_is_what_the_strict_reader_reads(seed: int) -> None:
    numbers = random.Random(seed)
    fast = FastReader(Dialect(","), ["a", "b", "c"], 1 << 20)
    accepted = 0
    for _ in range(800):
        pieces = [numbers.choice(_PIECES) for _ in range(numbers.choice([3, 3, 3, 6]))]
        data = b"".join(piece + (b"," if at % 3 < 2 else b"\n") for at, piece in enumerate(pieces))
        parsed = fast.parse(data)
        if parsed is None:
            continue
        accepted += 1
        rows = [seen for seen in records(data, 3) if seen.values is not None]
        assert parsed.frame.drop(ROW, LINE).rows() == [seen.values for seen in rows]
        assert parsed.frame[LINE].to_list() == [seen.line - 1 for seen in rows]
    assert accepted > 100
