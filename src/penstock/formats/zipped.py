"""Members of a zip archive as streams: nothing is unpacked to the disk, whatever a name says.

Not for: what the members hold, nor gzip and Zstandard (`bytes`).
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from penstock.errors import SourceError

#: A member that unpacks to more than this many times its stored size is taken for a bomb; text
#: packs to a tenth, and repeated rows to a fiftieth. Small members may be packed as they like.
_MOST_RATIO = 250
_SMALL = 16 << 20
#: Members of one archive.
_MOST_MEMBERS = 10_000
_ENCRYPTED = 0x1
#: What systems add to archives beside the files.
_NOISE = ("__MACOSX/",)
_NOISE_NAMES = (".DS_Store", "Thumbs.db")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a zip archive.

    Attributes:
        archive: The archive.
        name: The member's name in it; only a name, never a place on the disk.
        size: Bytes when unpacked, as the archive says; it gives no more.
    """

    archive: Path
    name: str
    size: int

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"

    def open(self) -> BinaryIO:
        """The unpacked bytes.

        Raises:
            SourceError: The archive is gone or damaged; also while reading.
        """
        with telling(str(self.archive)):
            archive = zipfile.ZipFile(self.archive)
            try:
                stream = archive.open(self.name)
            except BaseException:  # whatever it was is raised; only the file must not stay open
                archive.close()
                raise
        return cast("BinaryIO", io.BufferedReader(_Unpacked(archive, stream, str(self))))


class _Unpacked(io.RawIOBase):
    """A member's stream, which closes its archive and tells damage as an error of the source."""

    def __init__(self, archive: zipfile.ZipFile, stream: IO[bytes], name: str) -> None:
        self._archive = archive
        self._stream = stream
        self._told_as = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        with telling(self._told_as):
            piece = self._stream.read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._archive.close()
        super().close()


def members(path: Path) -> list[Member]:
    """The files of an archive, by name; folders and what systems add are left out.

    Raises:
        SourceError: It is no zip archive, has no files, or a member is encrypted, packed as no
            data is packed, or no plain file.
    """
    with telling(str(path)), zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir() and not _noise(info)]
    if not infos:
        raise SourceError(f"{path}: the archive has no files.", code="empty")
    if len(infos) > _MOST_MEMBERS:
        raise SourceError(f"{path}: {len(infos):,} files, more than {_MOST_MEMBERS:,}.", code="zip")
    names: set[str] = set()
    for info in infos:
        check(info, str(path))
        if info.filename in names:
            raise SourceError(f"{path}: has two files named {info.filename}.", code="zip")
        names.add(info.filename)
    return [Member(path, info.filename, info.file_size) for info in sorted(infos, key=_by_name)]


def check(info: zipfile.ZipInfo, where: str) -> None:
    """Refuse a member that cannot be read, or should not be.

    Raises:
        SourceError: It is encrypted, a link, or unpacks to far more than data does.
    """
    name = f"{where}:{info.filename}"
    if info.flag_bits & _ENCRYPTED:
        raise SourceError(f"{name}: encrypted. Unpack it with its password first.", code="zip")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise SourceError(f"{name}: a link, not a file. Pack the file itself.", code="zip")
    if info.file_size > max(_SMALL, _MOST_RATIO * info.compress_size):
        raise SourceError(
            f"{name}: {info.compress_size:,} bytes that unpack to {info.file_size:,}: no data "
            "packs so well, this looks like a zip bomb. If it is right, unpack it and load the "
            "file.",
            code="zip",
        )


def _noise(info: zipfile.ZipInfo) -> bool:
    return info.filename.startswith(_NOISE) or info.filename.endswith(_NOISE_NAMES)


def _by_name(info: zipfile.ZipInfo) -> str:
    return info.filename


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Damage to an archive as an error of the source, which begins with `name`."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"{name}: there is no such file. Check the path.") from error
    except KeyError as error:
        raise SourceError(f"{name}: the archive has no such file any more.") from error
    # NotImplementedError is how zipfile says that it knows no such compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SourceError(
            f"{name}: no zip archive, or a damaged one ({error}). Fetch it again.", code="corrupt"
        ) from error
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}.") from error
