"""Lines of fixed width as rows, and the short form of their options."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from penstock.errors import SourceError, UsageError
from penstock.formats.fixed.reader import FixedReader
from penstock.formats.fixed.spec import fixed_from
from penstock.model.batch import LINE, Batch
from penstock.model.options import FixedOptions

RECORDS = "1-2:HD=header,DT=row,TR=trailer:3-5,XX=trailer"


def read(data: bytes, options: FixedOptions, block: int = 1 << 20) -> list[Batch]:
    return list(FixedReader(io.BytesIO(data), options, block=block).batches())


def rows(data: bytes, options: FixedOptions, block: int = 1 << 20) -> list[tuple[object, ...]]:
    return [row for b in read(data, options, block) for row in b.frame.drop("_row").iter_rows()]


def test_fields_are_cut_by_characters_and_blanks_around_them_go() -> None:
    options = fixed_from("b:4-8, a:1-3 ,c:9")
    data = " 1 äöü   x\n 12 日本 y!\n\n   " + "      \n"
    assert rows(data.encode(), options) == [
        ("äöü", "1", None, 1),
        ("日本 y", "12", "!", 2),
    ]
    (batch,) = read(data.encode(), options)
    assert (batch.records, batch.filtered) == (4, 2)


@pytest.mark.parametrize("block", [8, 1 << 20])
def test_a_line_that_is_no_row_is_refused_alone(block: int) -> None:
    data = b"1a\n12\n1\n\xe9a\n2\0\n" + b"3" * 200 + b"\n4d\n"
    options = fixed_from("n:1,t:2")
    reader = FixedReader(io.BytesIO(data), options, max_record_bytes=100, block=block)
    batches = list(reader.batches())
    assert [row for b in batches for row in b.frame[LINE]] == [1, 2, 7]
    assert [(m.line, m.code) for b in batches for m in b.malformed] == [
        (3, "short"), (4, "encoding"), (5, "nul"), (6, "too_long"),
    ]  # fmt: skip


@pytest.mark.parametrize("block", [4, 1 << 20])
def test_kinds_divide_the_lines_and_trailers_count_their_rows(block: int) -> None:
    data = b"HDa\nDT1\nDT\nTR002\n\nHDb\nDT3\nZZ9\nXX\n"
    options = fixed_from("n:3", RECORDS)
    batches = read(data, options, block)
    assert rows(data, options, block) == [("1", 2), ("3", 7)]
    assert [(m.line, m.code) for b in batches for m in b.malformed] == [
        (3, "short"), (8, "record_kind"),
    ]  # fmt: skip
    assert sum(batch.records for batch in batches) == 5


@pytest.mark.parametrize("block", [4, 1 << 20])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"DT1\nTR002\n", "line 2: the trailer says 002, and there are 1 rows"),
        (b"DT1\nTR001\nDT2\nTR002\n", "line 4: the trailer says 002, and there are 1 rows"),
        (b"DT1\nTRabc\n", "says abc"),
        (b"DT1\nTR\n", "says nothing"),
        (b"DT1\n", "does not end with a trailer"),
        (b"DT1\nTR001\nDT2\n", "does not end with a trailer"),
        (b"", "does not end with a trailer"),
    ],
)
def test_a_file_that_its_trailer_does_not_confirm_is_an_error(
    data: bytes, said: str, block: int
) -> None:
    with pytest.raises(SourceError, match=said):
        read(data, fixed_from("n:3", RECORDS), block)


def test_lines_are_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"1a\r\n2\r\n3c\r\n")
    reader = FixedReader(path, fixed_from("n:1,t:2"), file=1)
    (batch,) = reader.batches()
    wanted = [batch.frame["_row"][1], batch.malformed[0].row]
    assert reader.fetch(wanted) == {
        wanted[0]: (3, b"3c", {"n": "3", "t": "c"}),
        wanted[1]: (2, b"2", {}),
    }


def test_the_short_form_says_all() -> None:
    assert fixed_from("id:1-6,flag:7", RECORDS) == FixedOptions(
        fields=(("id", 1, 6), ("flag", 7, 7)),
        kind=(1, 2),
        details=("DT",),
        headers=("HD",),
        trailers={"TR": (3, 5), "XX": None},
    )


@pytest.mark.parametrize(
    ("fields", "records", "said"),
    [
        ("", None, "no name or no position"),
        ("id", None, "no name or no position"),
        (":1-2", None, "no name or no position"),
        ("id:0-2", None, "0-2 is no position"),
        ("id:5-2", None, "5-2 is no position"),
        ("id:x", None, "x is no position"),
        ("id:1-2,id:3", None, "'id'"),
        ("a:1-5,b:5-6", None, "a ends at 5, and b begins at 5"),
        ("a:1", "1", "no kinds"),
        ("a:1", "x:D=row", "x is no position"),
        ("a:1", "1:D=rows", "not understood"),
        ("a:1", "1:D=row:2-3", "not understood"),
        ("a:1", "1:D=row,D=header", "twice"),
        ("a:1", "1:D=header", "no kind is a row"),
        ("a:1", "1:D=row,T=trailer:", "nothing is no position"),
    ],
)
def test_a_short_form_that_makes_no_sense_is_told(
    fields: str, records: str | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        fixed_from(fields, records)
