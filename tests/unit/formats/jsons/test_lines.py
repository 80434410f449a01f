"""NDJSON as rows; what is right is said by Python's json module, and by hand."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import SourceError, UsageError
from penstock.formats.jsons.lines import JsonRows, NdjsonReader
from penstock.model.batch import LINE, ROW, Batch, record_of

DEEP = "[" * 63 + "]" * 63


def read(data: bytes | str, rows: JsonRows | None = None, block: int = 4 << 20) -> list[Batch]:
    stream = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    return list(NdjsonReader(stream, rows or JsonRows(), block=block).batches())


def rows_of(data: bytes | str, rows: JsonRows | None = None) -> list[dict[str, str | None]]:
    return [row for b in read(data, rows) for row in b.frame.drop(ROW, LINE).to_dicts()]


def refused(data: bytes | str, rows: JsonRows | None = None) -> list[tuple[int, str]]:
    return [(m.line, m.code) for batch in read(data, rows) for m in batch.malformed]


def test_numbers_keep_every_character_of_their_source() -> None:
    numbers = ["9223372036854775808", "0.1234567890123456789012345678901", "1e400", "-0.0", "1E+2"]
    for times in (1, 20):  # one by one, and by shape
        data = "\n".join(f'{{"n": {one}}}' for one in numbers * times)
        assert rows_of(data) == [{"n": one} for one in numbers * times]


def test_an_exponent_is_written_out_where_the_column_is_decimal() -> None:
    data = '{"n":1.50e3,"t":1.50e3}\n{"n":-12E-3,"t":"1e3"}\n{"n":"1e3"}\n{"n":1e99999}\n'
    found = rows_of(data, JsonRows(positional=frozenset({"n"})))
    assert [row["n"] for row in found] == ["1500", "-0.012", "1e3", "1e99999"]
    assert [row["t"] for row in found] == ["1.50e3", "1e3", None, None]


@pytest.mark.parametrize("times", [1, 20])
def test_each_kind_of_value_becomes_its_text(times: int) -> None:
    line = (
        '{"s":"a\\"b\\u00fc\\n","e":"","q":"null","n":null,"t":true,"f":false,'
        '"o":{"a": 1.50, "b":[1,{"c":"]"}]},"l":[ ]}\n'
    )
    expected = {
        "s": 'a"bü\n', "e": "", "q": "null", "n": None, "t": "true", "f": "false",
        "o": '{"a": 1.50, "b":[1,{"c":"]"}]}', "l": "[ ]",
    }  # fmt: skip
    assert rows_of(line * times) == [expected] * times


def test_a_missing_key_is_null_and_the_order_of_keys_does_not_matter() -> None:
    data = '{"a":1,"b":2}\n{"b":3}\n{"b":5,"a":4}\n' * 10
    one = [{"a": "1", "b": "2"}, {"a": None, "b": "3"}, {"a": "4", "b": "5"}]
    assert rows_of(data) == one * 10


def test_a_column_of_json_keeps_strings_with_their_quotes() -> None:
    data = '{"j":"12"}\n{"j":12}\n{"j":null}\n{"j":"\\u00e9"}\n'
    found = rows_of(data, JsonRows(verbatim=frozenset({"j"})))
    assert [row["j"] for row in found] == ['"12"', "12", None, '"\\u00e9"']


@pytest.mark.parametrize("times", [0, 20])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a":1', "json"),
        (b'{"a":1}}', "json"),
        (b'{"a":1,}', "json"),
        (b'{"a":01}', "json"),
        (b'{"a":.5}', "json"),
        (b'{"a":+5}', "json"),
        (b"{'a':1}", "json"),
        (b'{"a":"x\ty"}', "json"),
        (b'{"a":"\\x"}', "json"),
        (b'{"a":NaN}', "json"),
        (b'{"a":[-Infinity]}', "json"),
        (b'{"a":1} // x', "json"),
        (b"[1]", "not_object"),
        (b'"a"', "not_object"),
        (b"null", "not_object"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'{"a":1,"z":2}', "unknown_key"),
        (b'{"a":' + DEEP.replace("[", "[[", 1).encode() + b"]}", "too_deep"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":"\\u0000"}', "nul"),
        (b'{"a":"\xe9"}', "encoding"),
        (b'{"a":"' + b"x" * 12000 + b'"}', "too_long"),
    ],
)
def test_a_line_that_is_no_row_is_refused_alone(line: bytes, code: str, times: int) -> None:
    data = b'{"a":1}\n' * times + line + b'\n{"a":2}\n'
    rows = JsonRows(columns=("a",), max_record_bytes=11000)
    (batch,) = read(data, rows)
    assert [(m.line, m.code) for m in batch.malformed] == [(times + 1, code)]
    assert batch.malformed[0].raw == (line if code != "too_long" else line[:4096])
    assert batch.frame["a"].to_list() == ["1"] * times + ["2"]
    assert batch.frame[LINE].to_list() == [*range(1, times + 1), times + 2]


def test_64_levels_are_not_too_deep() -> None:
    assert rows_of(f'{{"a":{DEEP}}}') == [{"a": DEEP}]


def test_blank_lines_are_filtered_and_counted() -> None:
    (batch,) = read(b'\n{"a":1}\r\n \t\n{"a":2}\n')
    assert (batch.records, batch.filtered, batch.frame.height) == (4, 2, 2)
    assert batch.frame[LINE].to_list() == [2, 4]
    assert batch.raw([0, 1]) == [b'{"a":1}', b'{"a":2}']


def test_a_key_after_the_beginning_is_refused_or_left_out() -> None:
    line = '{"a":"' + "x" * (1 << 20) + '"}\n'
    data = line * 12 + '{"a":1,"Late":2}\n{"a":3}\n'
    assert refused(data) == [(13, "unknown_key")]
    assert refused(data, JsonRows(ignore_extra=True)) == []
    # A key that the table has is not what the user wanted to leave out.
    assert refused(data, JsonRows(ignore_extra=True, known=("late",))) == [(13, "unknown_key")]
    assert rows_of(data, JsonRows(columns=("a", "Late")))[-2:] == [
        {"a": "1", "Late": "2"}, {"a": "3", "Late": None},
    ]  # fmt: skip


@pytest.mark.parametrize("data", ["", "\n\n", "a,b\n1,2\n", "[]\n"])
def test_a_file_without_an_object_says_so(data: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(data)
    assert caught.value.code == "empty"


def test_bytes_are_fetched_again_from_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n{"a":\n{"a":3}\n'))
    reader = NdjsonReader(path, JsonRows(), file=2, block=10)
    (rows, bad) = ([], [])
    for batch in reader.batches():
        rows += batch.frame[ROW].to_list()
        bad += [m.row for m in batch.malformed]
    assert [record_of(row) for row in (*rows, *bad)] == [1, 3, 2]
    assert reader.fetch([rows[1], bad[0]]) == {
        rows[1]: (3, b'{"a":3}', {"a": "3"}),
        bad[0]: (2, b'{"a":', {}),
    }
    with pytest.raises(UsageError, match="no record"):
        reader.fetch([rows[1] + 1])
    path.write_bytes(gzip.compress(b'{"a":1}\n{"a":2}\n{"a":3}\n'))
    with pytest.raises(SourceError, match="changed"):
        reader.fetch([rows[1]])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", 'c"', "ü\\"])


@given(
    st.lists(st.dictionaries(NAMES, VALUES), min_size=1, max_size=30),
    st.booleans(),
    st.sampled_from([None, (",", ":"), (" ,\t", " : ")]),
)
def test_rows_are_what_pythons_reader_says(
    objects: list[dict[str, object]], ascii_only: bool, separators: tuple[str, str] | None
) -> None:
    columns = ("a", "b", 'c"', "ü\\")
    lines = [json.dumps(o, ensure_ascii=ascii_only, separators=separators) for o in objects]
    found = rows_of("\n".join(lines), JsonRows(columns=columns))
    for row, line in zip(found, lines, strict=True):
        expected = json.loads(line, parse_int=str, parse_float=str)
        for name in columns:
            want, got = expected.get(name), row[name]
            if isinstance(want, (dict, list)):
                assert json.loads(got or "", parse_int=str, parse_float=str) == want
                assert got is not None
                assert got in line
            else:
                assert got == (
                    {True: "true", False: "false"}[want] if isinstance(want, bool) else want
                )


@given(st.binary(max_size=40), st.integers(0, 30))
def test_what_pythons_reader_refuses_is_refused(noise: bytes, at: int) -> None:
    good = b'{"a": 1, "b": "x", "c": [1, {"d": null}]}'
    line = (good[:at] + noise + good[at:]).replace(b"\n", b" ").replace(b"\r", b" ")
    data = (good + b"\n") * 12 + line + b"\n"
    batches = read(data, JsonRows(columns=("a", "b", "c")))
    taken = sum(batch.frame.height for batch in batches) == 13
    try:
        pairs = json.loads(line.decode(), object_pairs_hook=list, parse_constant=lambda _: 1 / 0)
        keys = [key for key, _ in pairs]
        fine = isinstance(pairs, list) and line.strip(b" \t").startswith(b"{")
        fine = fine and len(set(keys)) == len(keys) and set(keys) <= {"a", "b", "c"}
        fine = fine and not any(isinstance(v, str) and "\0" in v for _, v in pairs)
    except (ValueError, ZeroDivisionError, TypeError):
        fine = False
    assert taken == fine
