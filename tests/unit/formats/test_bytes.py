"""Stored bytes: compression, counting, hashing, and what a broken file says."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from penstock.errors import SourceError
from penstock.formats.bytes import Source, expand

DATA = random.Random(1).randbytes(200_000) + b"end"


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def all_of(source: Source, size: int) -> bytes:
    parts = []
    while part := source.read(size):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "stored",
    [
        DATA,
        gzip.compress(DATA),
        gzip.compress(DATA[:1000]) + gzip.compress(b"") + gzip.compress(DATA[1000:]),
        gzip.compress(DATA) + bytes(1000),
        zstd(DATA),
        zstd(DATA[:1000]) + zstd(b"") + zstd(DATA[1000:]),
        b"",
    ],
    ids=["plain", "gz", "gz members", "gz padded", "zst", "zst frames", "nothing"],
)
@pytest.mark.parametrize("size", [777, 1 << 20])
def test_whatever_the_compression_the_same_bytes_come_out(
    tmp_path: Path, stored: bytes, size: int
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(stored)
    for given in (path, str(path), io.BytesIO(stored)):
        source = Source(given)
        assert all_of(source, size) == (DATA if stored else b"")
        assert source.consumed == len(stored)
        assert source.sha256 == hashlib.sha256(stored).hexdigest()
        source.close()


@pytest.mark.parametrize(("ending", "stored"), [(".gz", gzip.compress(DATA)), (".zst", zstd(DATA))])
def test_a_truncated_file_names_itself_and_the_byte(
    tmp_path: Path, ending: str, stored: bytes
) -> None:
    path = tmp_path / f"data.csv{ending}"
    path.write_bytes(stored[:100_000])
    source = Source(path)
    with pytest.raises(SourceError, match=r"data\.csv.*ends in the middle, at byte 100000") as e:
        all_of(source, 1 << 20)
    assert e.value.code == "truncated"
    source.close()


@pytest.mark.parametrize("stored", [gzip.compress(DATA), zstd(DATA)], ids=["gz", "zst"])
def test_corrupt_compression_names_the_byte(stored: bytes) -> None:
    broken = stored + b"rubbish behind"
    with pytest.raises(SourceError, match=r"part-7: the .* data is corrupt at about byte \d+"):
        all_of(Source(io.BytesIO(broken), name="part-7"), 1 << 20)


def test_a_name_that_promises_compression_must_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"named \.gz, but at byte 0"):
        Source(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gz", "zst"])
def test_a_bomb_does_not_fill_memory(pack: object) -> None:
    assert callable(pack)
    bomb = pack(bytes(200 << 20))
    tracemalloc.start()
    source = Source(io.BytesIO(bomb))
    size = 0
    while part := source.read(1 << 20):
        size += len(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 200 << 20
    assert peak < 48 << 20


def test_the_hash_is_not_told_before_the_end() -> None:
    source = Source(io.BytesIO(b"abc"))
    source.read(2)
    with pytest.raises(SourceError, match="only after it was read whole"):
        _ = source.sha256
    source.drain()
    assert source.sha256 == hashlib.sha256(b"abc").hexdigest()


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv: there is no such file"):
        Source(tmp_path / "nowhere.csv")
    with pytest.raises(SourceError, match="a folder, not a file"):
        Source(tmp_path)


def test_expand_gives_files_once_and_sorted(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c[1].csv", "deep/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = expand([tmp_path / "b.csv", f"{tmp_path}/*.csv", tmp_path / "c[1].csv"])
    assert [path.name for path in found] == ["a.csv", "b.csv", "c[1].csv"]
    assert [path.name for path in expand([f"{tmp_path}/**/d.csv"])] == ["d.csv"]


def test_expand_names_all_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(SourceError, match=r"x\.csv, .*\*\.tsv"):
        expand([tmp_path / "a.csv", tmp_path / "x.csv", f"{tmp_path}/*.tsv"])
    with pytest.raises(SourceError, match="A folder"):
        expand([tmp_path])


def test_expand_takes_a_file_once_whatever_its_paths_and_keeps_the_first(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    given = tmp_path / "sub" / ".." / "s1.csv"
    (tmp_path / "s1.csv").write_bytes(b"")
    (tmp_path / "s2.csv").write_bytes(b"")
    (tmp_path / "link.csv").symlink_to(tmp_path / "s1.csv")
    assert expand([given, tmp_path / "s1.csv", tmp_path / "link.csv"]) == [given]
    assert expand([f"{tmp_path}/*.csv"]) == [tmp_path / "link.csv", tmp_path / "s2.csv"]


def test_a_stream_that_cannot_be_read_says_so_from_the_first_byte() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(SourceError, match=r"part-7: cannot be read at byte 0: Input/output error"):
        Source(Broken(), name="part-7")


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (bz2.compress, "bzip2. Unpack it"),
        (lzma.compress, "xz. Unpack it"),
        (zlib.compress, "zlib. Unpack it"),
        (zipped, "Name it .zip"),
        (lambda data: b"PAR1" + data, "--format parquet"),
        (lambda data: bytes.fromhex("d0cf11e0a1b11ae1") + data, "save it as .xlsx"),
    ],
)
def test_what_is_no_text_is_told_before_anything_is_read(
    pack: Callable[[bytes], bytes], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        Source(io.BytesIO(pack(b"id,name\n" + DATA)), name="a.csv", text=True)


@pytest.mark.parametrize("text", [b"x\x01,y\n1,2\n", b"x^2,y\n1,2\n", b"BZhang,x\n1,2\n", b"x\xda"])
def test_text_that_begins_like_something_else_is_text(text: bytes) -> None:
    assert Source(io.BytesIO(text), text=True).read(100) == text
