"""The parts of a workbook: which sheets it has, its texts, and which styles are dates.

A workbook is a zip archive of XML. It is read part by part; only the shared texts are held whole.
Not for: the cells of a sheet (`sheet`).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.parsers import expat

from penstock.errors import SourceError
from penstock.formats.excel.values import Look, look_of
from penstock.formats.zipped import check, telling

#: Bytes of XML that are given to the parser at a time.
_PIECE = 1 << 20
#: Bytes of shared texts, unpacked, that are held in memory.
_MOST_TEXTS = 1 << 30
_OLE = b"\xd0\xcf\x11\xe0"
_LOCKED = "EncryptedPackage".encode("utf-16-le")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_HIDDEN = ("hidden", "veryHidden")

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of the workbook.

    Attributes:
        name: As the tab says.
        part: Its place in the archive.
        hidden: It has no tab.
    """

    name: str
    part: str
    hidden: bool


class Workbook:
    """One open workbook.

    Args:
        path: The file.
        name: How messages name it.

    Attributes:
        name: How messages name it.
        sheets: In the order of their tabs.
        texts: The shared texts.
        looks: What each style shows of a number.
        since_1904: Days are counted from 1904 on.

    Raises:
        SourceError: It is no workbook, or protected by a password, damaged, or packed as no data
            is packed.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        _refuse_others(path, name)
        with telling(name):
            self._archive = zipfile.ZipFile(path)
        self.sheets: list[Sheet] = []
        self.texts: list[str] = []
        self.looks: list[Look] = []
        self.since_1904 = False
        try:
            main = self._target(self._relations(""), "/officeDocument")
            if main is None or not main.endswith(".xml"):
                raise SourceError(
                    f"{name}: no .xlsx workbook. Open it in Excel and save it as .xlsx.",
                    code="format",
                )
            relations = self._relations(main)
            self._read_sheets(main, relations)
            self._read_styles(self._target(relations, "/styles"))
            self._read_texts(self._target(relations, "/sharedStrings"))
        except BaseException:  # whatever it was is raised; only the file must not stay open
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def parse(self, part: str, start: _Start, end: _End, text: _Text) -> _Feed:
        """A parser of a part that calls these with the names of elements without prefixes."""
        with telling(self.name):
            check(self._archive.getinfo(part), self.name)
            return _Feed(self._archive.open(part), f"{self.name}:{part}", start, end, text)

    def _whole(self, part: str, start: _Start, end: _End, text: _Text) -> None:
        with self.parse(part, start, end, text) as feed:
            while feed.more():
                pass

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Id -> (kind, part) of what a part refers to."""
        folder, _, file = part.rpartition("/")
        place = posixpath.join(folder, "_rels", f"{file}.rels")
        found: dict[str, tuple[str, str]] = {}

        def start(name: str, attributes: Attributes) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                target = attributes["Target"]
                joined = target[1:] if target.startswith("/") else posixpath.join(folder, target)
                found[attributes["Id"]] = attributes["Type"], posixpath.normpath(joined)

        if place not in self._archive.namelist():
            raise SourceError(
                f"{self.name}: a zip archive, but no .xlsx workbook. For an archive of files, let "
                "its name end with .zip.",
                code="format",
            )
        self._whole(place, start, _nothing, _nothing)
        return found

    @staticmethod
    def _target(relations: Mapping[str, tuple[str, str]], kind: str) -> str | None:
        return next((part for type_, part in relations.values() if type_.endswith(kind)), None)

    def _read_sheets(self, main: str, relations: Mapping[str, tuple[str, str]]) -> None:
        def start(name: str, attributes: Attributes) -> None:
            if name == "workbookPr":
                self.since_1904 = attributes.get("date1904") in ("1", "true")
            elif name == "sheet":
                local = {_local(key): one for key, one in attributes.items()}
                kind, part = relations.get(local.get("id", ""), ("", ""))
                if kind.endswith("/worksheet"):  # others are charts and macros
                    hidden = attributes.get("state") in _HIDDEN
                    self.sheets.append(Sheet(attributes["name"], part, hidden))

        self._whole(main, start, _nothing, _nothing)

    def _read_styles(self, part: str | None) -> None:
        formats: dict[int, str] = {}
        inside = False

        def start(name: str, attributes: Attributes) -> None:
            nonlocal inside
            if name == "numFmt" and "formatCode" in attributes:
                formats[int(attributes.get("numFmtId", 0))] = attributes["formatCode"]
            elif name == "cellXfs":
                inside = True
            elif name == "xf" and inside:
                number = int(attributes.get("numFmtId", 0))
                self.looks.append(look_of(number, formats.get(number)))

        def end(name: str) -> None:
            nonlocal inside
            inside = inside and name != "cellXfs"

        if part is not None:
            self._whole(part, start, end, _nothing)

    def _read_texts(self, part: str | None) -> None:
        pieces: list[str] = []
        wanted = spoken = False

        def start(name: str, attributes: Attributes) -> None:
            nonlocal wanted, spoken
            del attributes
            if name == "rPh":  # how a name is pronounced
                spoken = True
            wanted = name == "t" and not spoken

        def end(name: str) -> None:
            nonlocal wanted, spoken
            wanted = False
            if name == "rPh":
                spoken = False
            elif name == "si":
                self.texts.append(unescaped("".join(pieces)))
                pieces.clear()

        def text(data: str) -> None:
            if wanted:
                pieces.append(data)

        if part is None:
            return
        with telling(self.name):
            size = self._archive.getinfo(part).file_size
        if size > _MOST_TEXTS:
            raise SourceError(
                f"{self.name}: {size:,} bytes of texts, which do not fit in memory. Save it as "
                "CSV UTF-8.",
                code="zip",
            )
        self._whole(part, start, end, text)


_Start = Callable[[str, Attributes], None]
_End = Callable[[str], None]
_Text = Callable[[str], None]


class _Feed:
    """A part's XML, parsed piece by piece. No document type is accepted: it could grow."""

    def __init__(self, stream: IO[bytes], name: str, start: _Start, end: _End, text: _Text) -> None:
        self._stream = stream
        self._name = name
        # Namespaces are left alone: prefixes are cut off only where there are any.
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = lambda tag, given: start(_local(tag), given)
        self._parser.EndElementHandler = lambda tag: end(_local(tag))
        self._parser.CharacterDataHandler = text
        self._parser.StartDoctypeDeclHandler = self._refuse

    def __enter__(self) -> _Feed:
        return self

    def __exit__(self, *told: object) -> None:
        self._stream.close()

    def more(self) -> bool:
        """Parse another piece; False after the last."""
        with telling(self._name):
            piece = self._stream.read(_PIECE)
        try:
            self._parser.Parse(piece, not piece)
        except (expat.ExpatError, KeyError, ValueError) as error:
            raise SourceError(
                f"{self._name}: damaged ({error}). Open the file in Excel and save it again.",
                code="corrupt",
            ) from error
        return bool(piece)

    def _refuse(self, *told: object) -> None:
        raise SourceError(f"{self._name}: declares a document type: no workbook does.", code="zip")


def _local(name: str) -> str:
    return name.rpartition(":")[2] if ":" in name else name


def unescaped(text: str) -> str:
    """Characters that XML has no place for are written as `_x000D_`."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    half = 0xD800 <= code <= 0xDFFF  # of a pair, and no character
    return found[0] if half else chr(code)


def _nothing(*told: object) -> None:
    """What a part has and nobody needs."""


def _refuse_others(path: Path, name: str) -> None:
    """Files under the name of a workbook that are something else.

    Raises:
        SourceError: It is an older workbook, one with a password, or none.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
            ole = first == _OLE and (first + stream.read(64 << 20))
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror}.") from error
    if ole and _LOCKED in ole:
        raise SourceError(
            f"{name}: protected by a password. Open it in Excel and save it without one.",
            code="format",
        )
    if ole:
        raise SourceError(
            f"{name}: an older Excel format (.xls). Open it in Excel and save it as .xlsx.",
            code="format",
        )
    if not first.startswith(b"PK"):
        raise SourceError(
            f"{name}: no .xlsx workbook. If it is CSV under that name, say --format csv.",
            code="format",
        )
