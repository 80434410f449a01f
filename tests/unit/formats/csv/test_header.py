"""Headers: names, and the delimiter they prove."""

from __future__ import annotations

import io

import pytest

from penstock.errors import SourceError, UsageError
from penstock.formats.csv.header import prove_delimiter
from penstock.formats.csv.reader import CsvReader
from penstock.model.naming import plain_name
from penstock.model.options import CsvOptions

KNOWN = ("order_id", "customer", "unit price", "sold.on")


def reader(data: bytes, known: tuple[str, ...] = (), **options: object) -> CsvReader:
    return CsvReader(io.BytesIO(data), CsvOptions(**options), known=known, name="x.csv")  # type: ignore[arg-type]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_proven_by_the_known_names(delimiter: str) -> None:
    header = delimiter.join(["Order ID", '"a,b;c|d\te"', "UNIT-PRICE", "soldon"])
    assert prove_delimiter(header.encode(), KNOWN) == delimiter
    found = reader(header.encode() + b"\r\n", KNOWN)
    assert found.delimiter == delimiter
    assert found.columns == ("Order ID", "a,b;c|d\te", "UNIT-PRICE", "soldon")


def test_a_header_without_any_delimiter_is_one_column() -> None:
    assert reader(b"anything\n1\n", KNOWN).delimiter == ","


def test_no_match_shows_the_line_and_what_was_tried() -> None:
    with pytest.raises(SourceError, match=r"x\.csv: no delimiter fits .*'foo;b\|r'.*tab 1 fields"):
        _ = reader(b"foo;b|r\n1;2\n", KNOWN).columns


def test_names_that_nobody_knows_are_told_where_only_one_delimiter_splits() -> None:
    known = ("order_no", "b", "c", "d", "e", "f", "g")
    with pytest.raises(SourceError) as e:
        _ = reader(b"Bestell-Nr;Kunde ;\n1;2;3\n", known).columns
    assert str(e.value) == (
        'x.csv: none of "Bestell-Nr", "Kunde", "" is a column of the table '
        "(order_no, b, c, d, e, f, ...). Map them: --columns Bestell-Nr=order_no,..."
    )
    with pytest.raises(SourceError, match=r'"v" and 2 more is .* \(id\).*--columns \'q r=id,...\''):
        _ = reader(b"q r,p,s,t,u,v,w,x\n", ("id",)).columns


def test_an_even_match_is_refused() -> None:
    with pytest.raises(SourceError, match="more than one delimiter fits"):
        _ = reader(b"order_id,x;customer\n", KNOWN).columns


def test_without_known_names_the_only_delimiter_that_occurs_is_taken() -> None:
    assert reader(b"a|b\n").delimiter == "|"
    with pytest.raises(SourceError, match="more than one"):
        _ = reader(b"a|b;c\n").delimiter


def test_declared_columns_prove_the_delimiter_by_their_number() -> None:
    found = reader(b"1,5;2,5;3,5\n", columns=("p", "q", "r"), header=False)
    assert found.delimiter == ";"
    with pytest.raises(SourceError, match="more than one delimiter fits"):
        _ = reader(b"1,5;2\n", columns=("p", "q"), header=False).delimiter


def test_names_that_cannot_be_told_apart_are_named_with_positions() -> None:
    with pytest.raises(SourceError, match=r"'id' at positions 1, 3; no name at position 4") as e:
        _ = reader(b"id,a,id,,_row\n", delimiter=",").columns
    assert "--columns" in str(e.value)
    assert "'_row' at position 5" in str(e.value)


def test_declared_columns_replace_the_header() -> None:
    found = reader(b"id,id\n1,2\n", columns=("a", "b"))
    assert found.columns == ("a", "b")
    assert [batch.frame.row(0)[:2] for batch in found.batches()] == [("1", "2")]


def test_declared_columns_must_be_as_many_as_the_file_has() -> None:
    with pytest.raises(SourceError, match=r"the header has 3 fields.*names 2"):
        _ = reader(b"a,b,c\n", columns=("p", "q"), delimiter=",").columns
    with pytest.raises(SourceError, match=r"the first record has 3 fields.*names 2"):
        _ = reader(b"1,2,3\n", columns=("p", "q"), delimiter=",", header=False).columns


def test_declared_columns_must_be_different() -> None:
    with pytest.raises(UsageError, match="'p' at positions 1, 2"):
        reader(b"1,2\n", columns=("p", "p"))


def test_without_a_header_columns_are_required() -> None:
    with pytest.raises(UsageError, match="--columns"):
        reader(b"1,2\n", header=False)


@pytest.mark.parametrize("data", [b"", b"\n \n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("header", [True, False])
def test_an_empty_file_is_refused(data: bytes, header: bool) -> None:
    with pytest.raises(SourceError, match=r"x\.csv: empty") as e:
        list(reader(data, header=header, columns=("a",)).batches())
    assert e.value.code == "empty"


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b"\r\n\r\na,b\r\n"])
def test_a_header_alone_is_a_file_of_no_rows(data: bytes) -> None:
    found = reader(data)
    assert list(found.batches()) == []
    assert found.columns == ("a", "b")


def test_a_header_may_span_lines_and_lines_are_counted_on() -> None:
    found = reader(b'\n\n"a\nb",c\n1,2\n')
    assert [batch.frame.rows() for batch in found.batches()] == [[("1", "2", 1, 5)]]
    assert found.columns == ("a\nb", "c")


def test_names_that_look_like_patterns_are_only_names() -> None:
    found = reader(b'*,^.*$\n1,"a\nb"\n ,\n')
    assert [batch.frame.rows() for batch in found.batches()] == [[("1", "a\nb", 1, 2)]]


@pytest.mark.parametrize("header", [b'a,"b"x\n1,2\n', b'a,"b\n1,2\n'])
def test_malformed_quotes_in_the_header_are_shown(header: bytes) -> None:
    with pytest.raises(SourceError, match=r"quotes of the header.*'a,\"b"):
        _ = reader(header, delimiter=",").columns


def test_bytes_in_the_header_that_are_no_text_show_how_others_read_them() -> None:
    with pytest.raises(SourceError, match=r"0xE9 .* as cp1252 it reads 'a,caf\xe9'.*--encoding"):
        _ = reader(b"a,caf\xe9\r\n1,2\n").columns


def test_case_blanks_dots_dashes_and_underscores_do_not_count() -> None:
    assert {plain_name(name) for name in ("Unit Price", "unit_price", "UNIT-price.")} == {
        "unitprice"
    }
