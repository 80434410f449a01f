"""The bytes of a COPY on disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock.errors import SourceError
from penstock.loading.kept import kept_on_disk


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_kept_comes_back_as_it_was() -> None:
    pieces = [b"a" * 700_000, b"", b"b" * 700_000, b"c"]
    with kept_on_disk(iter(pieces)) as kept:
        assert b"".join(kept) == b"".join(pieces)


def test_a_folder_without_room_is_named_with_the_remedy() -> None:
    with (
        files_of_at_most(1 << 16),
        pytest.raises(SourceError, match=r"TMPDIR .* --max-lock"),
        kept_on_disk([b"x" * (1 << 20)]),
    ):
        pass
