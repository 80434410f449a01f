"""Patterns of file names: `*`, `?`, `[]` within a name, `**` across folders. Not for: listing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

_MAGIC = re.compile(r"[*?\[]")
#: Any number of folders.
DEEP = "**"


def fixed_part(pattern: str) -> tuple[str, list[str]]:
    """The folders before the first that is a pattern, and the rest, part by part."""
    parts = pattern.split("/")
    first = next((n for n, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    folder = "/".join(parts[:first])
    return folder or ("/" if pattern.startswith("/") else ""), parts[first:]


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """True where a name, part by part, is one of the pattern."""
    if not pattern:
        return not parts
    if pattern[0] == DEEP:
        return any(matches(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])
