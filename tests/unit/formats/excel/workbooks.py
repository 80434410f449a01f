"""Workbooks made by hand, for what no writer makes. Not for: ordinary sheets (xlsxwriter)."""

from __future__ import annotations

import zipfile
from pathlib import Path

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
#: Styles: 0 a number, 1 a day, 2 a day and a time, 3 a time of day, 4 elapsed hours.
_STYLES = (14, 22, 21, 46)


def workbook(
    path: Path,
    cells: str,
    *,
    texts: str = "",
    book: str = "",
    sheets: str = '<sheet name="S" sheetId="1" r:id="r1"/>',
    head: str = "",
) -> Path:
    """A workbook whose sheet data are `cells`."""
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in (0, *_STYLES))
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="r1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">'
        f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/a.xml"/>'
        f'<Relationship Id="r2" Type="{_OFFICE}/styles" Target="/xl/styles.xml"/>'
        f'<Relationship Id="r3" Type="{_OFFICE}/sharedStrings" Target="texts.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<x:workbook xmlns:x="{_MAIN}" xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f"{book}<x:sheets>{sheets}</x:sheets></x:workbook>",
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs>{styles}</cellXfs></styleSheet>',
        "xl/texts.xml": f'<sst xmlns="{_MAIN}">{texts}</sst>',
        "xl/worksheets/a.xml": f'{head}<worksheet xmlns="{_MAIN}"><sheetData>{cells}'
        "</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path
