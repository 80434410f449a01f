"""Members of archives as streams, and archives that are refused."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from penstock.errors import SourceError
from penstock.formats.bytes import Source
from penstock.formats.zipped import members


def archive(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name.replace("_", "."), text)
    return path


def test_members_are_streams_by_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", b_csv="k\n1\n", a_csv="k\n2\n")
    with zipfile.ZipFile(path, "a") as more:
        more.mkdir("folder")
        more.writestr("folder/.DS_Store", "noise")
    found = members(path)
    assert [(str(one), one.size) for one in found] == [(f"{path}:a.csv", 4), (f"{path}:b.csv", 4)]
    source = Source(found[0])
    assert (source.read(10), source.consumed) == (b"k\n2\n", 4)
    source.close()


def test_no_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"k,v\n")
    with pytest.raises(SourceError, match="no zip archive"):
        members(path)
    with pytest.raises(SourceError, match="no files"):
        members(archive(tmp_path / "empty.zip"))
    with pytest.raises(SourceError, match="no such file"):
        members(tmp_path / "gone.zip")


def test_a_bomb_and_a_link_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="zip bomb"):
        members(archive(tmp_path / "x.zip", a_csv="1" * (40 << 20)))
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as made:
        link = zipfile.ZipInfo("a.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match="a link"):
        members(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", a_csv="k\n1\n")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the directory's flag of encryption
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="encrypted"):
        members(path)


def test_damage_within_a_member_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", a_csv="k\n" + "".join(map(str, range(9999))))
    (member,) = members(path)
    data = bytearray(path.read_bytes())
    data[200:220] = bytes(20)
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"x.zip:a.csv: no zip archive, or a damaged one"):
        Source(member).read(1 << 20)
