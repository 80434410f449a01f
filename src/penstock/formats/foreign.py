"""Tells files that are no text by their first bytes, so that nobody is told to rename columns.

Not for: what is read packed (`bytes`), nor what a file is otherwise.
"""

from __future__ import annotations

import zlib

#: First bytes -> what begins so, and what to do. From the specifications of these formats.
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Name it .zip or .xlsx"),
    b"PAR1": ("a Parquet file", "Name it .parquet, or say --format parquet"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": (
        "an older Excel file, or one with a password",
        "Open it and save it as .xlsx, or as CSV UTF-8",
    ),
    b"BZh": ("packed by bzip2", "Unpack it"),
    b"\xfd7zXZ\0": ("packed by xz", "Unpack it"),
    b"7z\xbc\xaf\x27\x1c": ("packed by 7-Zip", "Unpack it"),
    b"\x04\x22\x4d\x18": ("packed by LZ4", "Unpack it"),
    b"\xff\x06\0\0sNaPpY": ("packed by Snappy", "Unpack it"),
}
_BZIP2_BLOCK = b"1AY&SY"
#: Bytes to look at.
LOOK = 64


def foreign(first: bytes) -> str:
    """What a file is that begins with these bytes and what to do; empty where it may be text.

    Args:
        first: Its first `LOOK` bytes, or all where there are fewer.
    """
    for magic, (what, remedy) in _FOREIGN.items():
        if first.startswith(magic) and (magic != b"BZh" or first[4:10] == _BZIP2_BLOCK):
            return f"it is {what}. {remedy}"
    if _zlib(first):
        return "it is packed by zlib. Unpack it"
    return ""


def _zlib(first: bytes) -> bool:
    # Two bytes prove little: what follows must unpack, and not be text itself.
    if first[:2] not in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"):
        return False
    try:
        zlib.decompressobj().decompress(first)
    except zlib.error:
        return False
    return any(byte < 0x09 or 0x0E <= byte < 0x20 for byte in first[2:])
