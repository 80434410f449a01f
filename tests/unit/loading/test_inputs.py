"""What becomes an input, and what is said where something cannot."""

from __future__ import annotations

import io
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from penstock.errors import SourceError, UsageError
from penstock.loading.inputs import CsvInput, inputs_of
from penstock.loading.inputs.kinds import format_of
from penstock.model.options import CsvOptions, FixedOptions, Format, LoadOptions

CONTENT = b"k,v\n1,a\n2,b\n"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    return folder


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file grows beyond 1 MiB in here, which is what a full disk looks like to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def rows_of(one: object) -> list[tuple[str, str]]:
    assert isinstance(one, CsvInput)
    assert one.columns(["k", "v"]) == ("k", "v")
    return [row for batch in one.batches() for row in batch.frame.select("k", "v").iter_rows()]


def test_a_named_pipe_is_read_once_and_keeps_its_name(tmp_path: Path, spool: Path) -> None:
    pipe = tmp_path / "fifo.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(CONTENT,))
    writer.start()
    (one,) = inputs_of(pipe, LoadOptions(), lambda: spool)
    writer.join(timeout=10)
    assert (one.name, one.size) == (str(pipe), len(CONTENT))
    assert rows_of(one) == rows_of(one) == [("1", "a"), ("2", "b")]


def test_an_unnamed_pipe_among_files_is_an_input_like_them(tmp_path: Path, spool: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"k,v\n9,z\n")
    reading, writing = os.pipe()
    os.write(writing, CONTENT)
    os.close(writing)
    found = inputs_of([path, f"/dev/fd/{reading}"], LoadOptions(), lambda: spool)
    os.close(reading)
    by_name = {one.name: rows_of(one) for one in found}
    assert by_name == {
        str(path): [("9", "z")],
        f"/dev/fd/{reading}": [("1", "a"), ("2", "b")],
    }
    assert [one.file for one in found] == [0, 1]


@pytest.mark.usefixtures("small_files")
def test_a_full_folder_for_copies_is_named_with_tmpdir(spool: Path) -> None:
    with pytest.raises(SourceError) as caught:
        inputs_of(io.BytesIO(bytes(3 << 20)), LoadOptions(), lambda: spool)
    assert str(spool) in caught.value.message
    assert "TMPDIR" in caught.value.message
    frames = (pl.DataFrame({"k": range(200_000)}) for _ in range(2))
    with pytest.raises(SourceError, match="TMPDIR") as caught:
        inputs_of(frames, LoadOptions(), lambda: spool)
    assert str(spool) in caught.value.message


def test_a_folder_for_copies_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    def make() -> Path:
        (tmp_path / "gone" / "private").mkdir()
        raise AssertionError

    with pytest.raises(SourceError, match=r"gone/private: No such file .*TMPDIR"):
        inputs_of(io.BytesIO(CONTENT), LoadOptions(), make)


def test_a_stream_that_breaks_is_not_blamed_on_the_copy(spool: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(SourceError, match=r"stream: cannot be read: .*Input/output error"):
        inputs_of(Broken(), LoadOptions(), lambda: spool)


@pytest.mark.parametrize("source", [{"k": [1]}, b"k,v\n", 7, None])
def test_what_is_no_source_is_refused_by_its_type(source: object, spool: Path) -> None:
    with pytest.raises(UsageError, match=f"A load reads a path, .* not {type(source).__name__}"):
        inputs_of(source, LoadOptions(), lambda: spool)


def test_an_empty_list_is_nothing_to_load(spool: Path) -> None:
    with pytest.raises(UsageError, match="nothing to load"):
        inputs_of([], LoadOptions(), lambda: spool)


FIXED = FixedOptions(fields=(("k", 1, 2),))


@pytest.mark.parametrize(
    ("name", "options", "found"),
    [
        ("a.csv", LoadOptions(), Format.CSV),
        ("A.CSV.GZ", LoadOptions(), Format.CSV),
        ("stream", LoadOptions(), Format.CSV),
        ("a.jsonl.zst", LoadOptions(), Format.NDJSON),
        ("a.ndjson", LoadOptions(fixed=FIXED), Format.NDJSON),
        ("a.json", LoadOptions(), Format.JSON),
        ("a.json", LoadOptions(format=Format.NDJSON), Format.NDJSON),
        ("a.parquet", LoadOptions(), Format.PARQUET),
        ("a.xlsm", LoadOptions(), Format.EXCEL),
        ("a.dat", LoadOptions(fixed=FIXED), Format.FIXED),
        ("a.txt", LoadOptions(fixed=FIXED), Format.FIXED),
        ("a.txt", LoadOptions(fixed=FIXED, format=Format.CSV), Format.CSV),
    ],
)
def test_a_name_says_the_format(name: str, options: LoadOptions, found: Format) -> None:
    assert format_of(name, options) is found


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.xls", "save it as .xlsx"), ("a.parquet.gz", "Unpack it first"), ("b", "--format")],
)
def test_a_name_of_no_format_is_told(name: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        format_of(name, LoadOptions(), certain=True)


def test_fixed_width_needs_its_fields_and_names_its_columns(spool: Path) -> None:
    stream = io.BytesIO(CONTENT)
    with pytest.raises(UsageError, match="needs the fields"):
        inputs_of(stream, LoadOptions(format=Format.FIXED), lambda: spool)
    both = LoadOptions(fixed=FIXED, csv=CsvOptions(columns=("a",)))
    with pytest.raises(UsageError, match="--fixed names the columns"):
        inputs_of(stream, both, lambda: spool)


def test_a_stream_is_read_as_its_name_says(tmp_path: Path, spool: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"k": 1}\n')
    with path.open("rb") as stream:
        (one,) = inputs_of(stream, LoadOptions(), lambda: spool)
    assert one.columns([]) == ("k",)
    assert one.name == str(path)
