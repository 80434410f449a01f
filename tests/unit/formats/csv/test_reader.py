"""What becomes of records, well-formed and not, by hand-made examples."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard

from penstock.errors import SourceError, UsageError
from penstock.formats.csv.reader import CsvReader
from penstock.model.batch import Batch, Malformed, row_id
from penstock.model.options import CsvOptions


def read(data: bytes, *, block: int = 1 << 22, **options: object) -> list[Batch]:
    given = CsvOptions(**{"delimiter": ",", **options})  # type: ignore[arg-type]
    return list(CsvReader(io.BytesIO(data), given, name="x.csv", block=block).batches())


def rows(data: bytes, **options: object) -> list[tuple[object, ...]]:
    return [row for batch in read(data, **options) for row in batch.frame.iter_rows()]  # type: ignore[arg-type]


def malformed(data: bytes, **options: object) -> list[Malformed]:
    return [bad for batch in read(data, **options) for bad in batch.malformed]  # type: ignore[arg-type]


def test_an_unquoted_empty_field_is_null_and_a_quoted_one_is_the_empty_text() -> None:
    data = b'a,b,c\n,"",x\n1,,\n"",,""'
    assert rows(data) == [(None, "", "x", 1, 2), ("1", None, None, 2, 3), ("", None, "", 3, 4)]


def test_a_null_stays_one_where_another_record_needs_a_closer_look() -> None:
    data = b'a,b,c\n5" pipe,"",\n,"x,y",""\n"d""q",,""\n'
    assert rows(data) == [
        ('5" pipe', "", None, 1, 2),
        (None, "x,y", "", 2, 3),
        ('d"q', None, "", 3, 4),
    ]


def test_frames_have_text_columns_and_the_origin() -> None:
    (batch,) = read(b"a,b\n1,2\n")
    assert batch.frame.schema == pl.Schema(
        {"a": pl.String, "b": pl.String, "_row": pl.Int64, "_line": pl.Int64}
    )
    reader = CsvReader(io.BytesIO(b"a\n1\n"), CsvOptions(), file=3)
    assert [batch.frame["_row"].to_list() for batch in reader.batches()] == [[row_id(3, 1)]]


def test_a_ragged_record_says_what_is_missing_or_too_much() -> None:
    found = malformed(b"a,b,c\n1,2,3\n1\n1,2,3,4,5\nx,y,z\n")
    assert found == [
        Malformed(2, 3, b"1", "ragged", "1 field, 3 expected: nothing for b, c"),
        Malformed(3, 4, b"1,2,3,4,5", "ragged", "5 fields, 3 expected: 2 more after c"),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_records_and_lines_are_counted_over_breaks_in_fields(end: bytes) -> None:
    lines = [b"a,b", b'1,"x', b'y"', b"", b'"2', b"", b'",z', b"bad", b"3,w"]
    data = end.join(lines) + end
    (batch,) = read(data)
    text = end.decode()
    assert batch.frame.rows() == [
        ("1", f"x{text}y", 1, 2),
        (f"2{text * 2}", "z", 3, 5),
        ("3", "w", 5, 9),
    ]
    assert [(bad.row, bad.line, bad.raw) for bad in batch.malformed] == [(4, 8, b"bad")]
    assert batch.filtered == 1
    assert batch.records == 5
    assert batch.raw([1, 0]) == [end.join([b'"2', b"", b'",z']), end.join([b'1,"x', b'y"'])]


@pytest.mark.parametrize(
    ("line", "blank"),
    [
        *((b"", True), (b",,", True), (b" , \t,", True), (b",", True), (b"\t", True)),
        *((b'"",,', False), (b'" ",,', False), (b"\xc2\xa0,,", False)),
    ],
)
@pytest.mark.parametrize("other", [b"1,2,3", b'"1",2,3', b'1",2,3', b"1"])
def test_a_blank_record_is_filtered_and_keeps_its_number(
    line: bytes, blank: bool, other: bytes
) -> None:
    (batch,) = read(b"a,b,c\n" + line + b"\n" + other + b"\n")
    assert batch.filtered == int(blank)
    assert batch.records == 2
    numbers = batch.frame["_row"].to_list() + [bad.row for bad in batch.malformed]
    assert sorted(numbers) == ([2] if blank else [1, 2])


def test_in_a_single_column_an_empty_line_is_blank_and_a_quoted_one_is_not() -> None:
    (batch,) = read(b'a\n1\n\n""\n2\n')
    assert batch.frame.rows() == [("1", 1, 2), ("", 3, 4), ("2", 4, 5)]
    assert batch.filtered == 1


def test_an_unclosed_quote_gives_up_one_line_and_never_the_rest() -> None:
    data = b'a,b\n1,2\n3,"open\n5,6\n7,8\n'
    assert [row[0] for row in rows(data)] == ["1", "5", "7"]
    (bad,) = malformed(data)
    assert (bad.row, bad.line, bad.raw, bad.code) == (2, 3, b'3,"open', "quote")
    assert "not closed before the end" in bad.reason


def test_an_unclosed_quote_before_quoted_fields_gives_up_one_line() -> None:
    lines = [b'%d,"text %d"' % (at, at) for at in range(100)]
    lines[50] = b'50,"text 50'
    data = b"a,b\n" + b"\n".join(lines)
    assert [bad.row for bad in malformed(data)] == [51]
    assert [row[0] for row in rows(data)] == [str(at) for at in range(100) if at != 50]


def test_a_quote_open_beyond_the_limit_is_given_up_without_reading_on() -> None:
    data = b'a,b\n1,"open\n' + b"2,3\n" * 100
    (bad,) = malformed(data, max_record_bytes=50)
    assert (bad.row, bad.code) == (1, "quote")
    assert "not closed within 50 bytes" in bad.reason
    assert len(rows(data, max_record_bytes=50)) == 100


@pytest.mark.parametrize("block", [16, 1 << 22])
def test_an_overlong_line_is_one_reject_that_keeps_its_beginning(block: int) -> None:
    data = b"a,b\n1,2\n" + b"x" * 100_000 + b",y\n3,4\n"
    (bad,) = malformed(data, block=block, max_record_bytes=9000)
    assert (bad.row, bad.line, bad.code, bad.raw) == (2, 3, "too_long", b"x" * 4096)
    assert rows(data, block=block, max_record_bytes=9000) == [
        ("1", "2", 1, 2),
        ("3", "4", 3, 4),
    ]


def test_an_overlong_line_of_a_declared_encoding_is_one_reject() -> None:
    text = "a,b\r\n1,2\r\n" + "\u0100" * 50_000 + ",y\r\n3,4\r\n"
    data = text.encode("utf-16-le")
    options = {"encoding": "utf-16-le", "max_record_bytes": 5000, "block": 4096}
    assert [bad.code for bad in malformed(data, **options)] == ["too_long"]
    assert [row[0] for row in rows(data, **options)] == ["1", "3"]


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_field_of_ten_megabytes_is_legal(quote: bytes) -> None:
    value = b"line\n" * 2_000_000 if quote else b"x" * 10_000_000
    found = rows(b"a,b\n1," + quote + value + quote + b"\n2,z\n")
    assert [row[0] for row in found] == ["1", "2"]
    assert found[0][1] == value.decode()
    assert found[1][3] == (2_000_003 if quote else 3)


def test_invalid_bytes_condemn_only_their_record_and_propose_an_encoding() -> None:
    data = b"a,b\n1,ok\n2,caf\xe9\n3,\xc3\xa9\n"
    (bad,) = malformed(data)
    assert (bad.row, bad.line, bad.raw, bad.code) == (2, 3, b"2,caf\xe9", "encoding")
    assert "byte 0xE9 at position 6" in bad.reason
    assert "as cp1252 it reads '2,caf\xe9'" in bad.reason
    assert "if the whole file is cp1252, declare it: --encoding cp1252" in bad.reason
    assert [row[:2] for row in rows(data)] == [("1", "ok"), ("3", "\xe9")]


@pytest.mark.parametrize("name", ["M\xfcller", "\u65e5\u672c", "\U0001f377"])
def test_a_wrong_byte_in_a_line_of_utf8_proposes_no_other_encoding(name: str) -> None:
    (bad,) = malformed(b"a,b\n" + name.encode() + b",J\xe4ger\n")
    assert f"byte 0xE4 at position {len(name.encode()) + 3}" in bad.reason
    assert "the rest of the record is: correct this byte" in bad.reason
    assert "cp1252" not in bad.reason
    assert "--encoding" not in bad.reason


def test_bytes_invalid_in_the_declared_encoding_condemn_only_their_record() -> None:
    data = b"a,b\n1,\x80\n2,\x81\n3,\xc3\x81\n"
    found = malformed(data, encoding="cp1252")
    assert [(bad.row, bad.raw, bad.code) for bad in found] == [
        (2, b"2,\x81", "encoding"),
        (3, b"3,\xc3\x81", "encoding"),
    ]
    assert "as utf-8 it reads '3,\xc1'" in found[1].reason
    assert rows(data, encoding="cp1252") == [("1", "\u20ac", 1, 2)]


def test_a_nul_byte_condemns_only_its_record() -> None:
    data = b'a,b\n1,x\0y\n2,"\0"\n3,z\n'
    assert [(bad.row, bad.code) for bad in malformed(data)] == [(1, "nul"), (2, "nul")]
    assert rows(data) == [("3", "z", 3, 4)]


TEXT = 'id,name\r\n1,"Ren\xe9e ""R"""\r\n2,"two\r\nlines"\r\n\r\n3,\xfc\r\n4\r\n5,last'


@pytest.mark.parametrize(
    ("data", "encoding", "codec"),
    [
        (TEXT.encode(), None, "utf-8"),
        (b"\xef\xbb\xbf" + TEXT.encode(), None, "utf-8"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), None, "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), None, "utf-16-be"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16", "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be", "utf-16-be"),
        (TEXT.encode("cp1252"), "windows-1252", "cp1252"),
        (TEXT.encode("cp500"), "cp500", "cp500"),
    ],
    ids=["utf-8", "sig", "16le", "16be", "16 mark", "16be declared", "1252", "ebcdic"],
)
@pytest.mark.parametrize("block", [1, 10, 1 << 22])
def test_every_encoding_of_a_file_gives_the_same_rows_and_its_own_bytes(
    data: bytes, encoding: str | None, codec: str, block: int
) -> None:
    batches = read(data, encoding=encoding, block=block)
    assert pl.concat(batch.frame for batch in batches).rows() == [
        ("1", 'Ren\xe9e "R"', 1, 2),
        ("2", "two\r\nlines", 2, 3),
        ("3", "\xfc", 4, 6),
        ("5", "last", 6, 8),
    ]
    raws = [raw for batch in batches for raw in batch.raw(range(batch.frame.height))]
    wanted = ['1,"Ren\xe9e ""R"""', '2,"two\r\nlines"', "3,\xfc", "5,last"]
    assert raws == [text.encode(codec) for text in wanted]
    bad = [bad for batch in batches for bad in batch.malformed]
    assert [(one.row, one.line, one.raw) for one in bad] == [(5, 7, "4".encode(codec))]
    assert sum(batch.filtered for batch in batches) == 1


def test_an_odd_byte_at_the_end_of_utf_16_condemns_the_last_record() -> None:
    data = b"\xff\xfe" + "a,b\n1,2\n3,4".encode("utf-16-le") + b"x"
    assert rows(data) == [("1", "2", 1, 2)]
    assert [(bad.row, bad.code) for bad in malformed(data)] == [(2, "encoding")]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognised_and_not_guessed(codec: str) -> None:
    with pytest.raises(SourceError, match=f"--encoding {codec}"):
        read("id,name\n1,x\n".encode(codec))


def test_a_mark_that_contradicts_the_declared_encoding_is_refused() -> None:
    with pytest.raises(SourceError, match="byte order mark of utf-8, and --encoding cp1252"):
        read(b"\xef\xbb\xbfa\n", encoding="cp1252")
    with pytest.raises(UsageError, match="no text encoding"):
        read(b"a\n", encoding="klingon")


def test_the_quote_can_be_another_character_or_none() -> None:
    assert rows(b"a,b\n'x,''y',\"z\n", quote="'") == [("x,'y", '"z', 1, 2)]
    assert rows(b'a,b\n"x,y"\n', quote="") == [('"x', 'y"', 1, 2)]


def test_a_declared_escape_keeps_what_it_does_not_escape() -> None:
    data = rb"a,b,c" + b"\n" + rb'"x\"y","C:\new\\",\N' + b"\n" + rb'p\,q,"",' + b"\n"
    assert rows(data, escape="\\") == [
        ('x"y', "C:\\new\\", "\\N", 1, 2),
        ("p,q", "", None, 2, 3),
    ]


@pytest.mark.parametrize("block", [1, 1 << 22])
def test_an_escaped_line_end_is_part_of_the_field(block: int) -> None:
    assert rows(b'a,b\nx\\\ny,"1\\\n2"\nlast,\n', escape="\\", block=block) == [
        ("x\ny", "1\n2", 1, 2),
        ("last", None, 2, 5),
    ]


def test_an_undeclared_backslash_is_text() -> None:
    assert rows(b'a,b\n"x\\","C:\\new"\n') == [("x\\", "C:\\new", 1, 2)]


@pytest.mark.parametrize("delimiter", ["\xa7", "\u2192", "~", " ", "*"])
def test_any_single_character_can_delimit(delimiter: str) -> None:
    text = 'a,b,c\n1,"x,y",\n,,\n"",2,3\n4\n'.replace(",", delimiter)
    assert rows(text.encode(), delimiter=delimiter) == [
        ("1", f"x{delimiter}y", None, 1, 2),
        ("", "2", "3", 3, 4),
    ]
    assert [bad.row for bad in malformed(text.encode(), delimiter=delimiter)] == [4]


@pytest.mark.parametrize(
    "options", [{"delimiter": ",,"}, {"quote": "ab"}, {"delimiter": '"'}, {"escape": "\n"}]
)
def test_declarations_without_a_meaning_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--"):
        read(b"a,b\n", **options)  # type: ignore[arg-type]


def test_line_ends_may_be_mixed_and_the_last_one_missing() -> None:
    assert rows(b"a,b\r\n1,2\n3,4\r\n5,6") == [
        ("1", "2", 1, 2),
        ("3", "4", 2, 3),
        ("5", "6", 3, 4),
    ]


def test_a_lone_carriage_return_outside_of_quotes_is_malformed() -> None:
    (bad,) = malformed(b"a,b\n1,x\ry\n3,4\n")
    assert (bad.row, bad.code) == (1, "quote")
    assert "carriage return" in bad.reason


def test_a_file_can_be_read_once_by_a_reader() -> None:
    reader = CsvReader(io.BytesIO(b"a\n1\n"), CsvOptions())
    list(reader.batches())
    with pytest.raises(UsageError, match="open a new reader"):
        next(reader.batches())


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("", bytes), (".gz", gzip.compress), (".zst", zstandard.ZstdCompressor().compress)],
    ids=["plain", "gz", "zst"],
)
def test_records_are_fetched_again_from_the_same_content_only(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    data = b'a,b\n1,"x\ny"\nbad\n2,\n3,z\n'
    path = tmp_path / f"data.csv{ending}"
    path.write_bytes(pack(data))
    reader = CsvReader(path, CsvOptions(), file=2, block=4)
    assert sum(batch.records for batch in reader.batches()) == 4
    assert reader.fetch([row_id(2, 1), row_id(2, 3), row_id(2, 2)]) == {
        row_id(2, 1): (2, b'1,"x\ny"', {"a": "1", "b": "x\ny"}),
        row_id(2, 2): (4, b"bad", {}),
        row_id(2, 3): (5, b"2,", {"a": "2", "b": None}),
    }
    assert reader.fetch([]) == {}
    with pytest.raises(UsageError, match="no record with _row"):
        reader.fetch([row_id(2, 9)])
    path.write_bytes(pack(data.replace(b"3,z", b"3,y")))
    with pytest.raises(SourceError, match="changed while it was being loaded"):
        reader.fetch([row_id(2, 1)])


def test_a_stream_is_fetched_from_where_it_stood() -> None:
    stream = io.BytesIO(b"skipped\na,b\n1,2\n")
    stream.seek(8)
    reader = CsvReader(stream, CsvOptions())
    list(reader.batches())
    assert reader.fetch([1]) == {1: (2, b"1,2", {"a": "1", "b": "2"})}


def test_progress_counts_stored_bytes() -> None:
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    reader = CsvReader(io.BytesIO(data), CsvOptions(), block=100)
    seen = [batch.read_bytes for batch in reader.batches()]
    assert seen == sorted(seen)
    assert seen[-1] == reader.size == len(data)
