# ruff: noqa: S101  these are tests, for projects to inherit
"""What every place of files must do: tests that the test of a new connector inherits.

::

    class TestInbox(PlaceContract):
        @pytest.fixture
        def place(self, tmp_path): ...      # an empty, writable place that takes files by name

Run by pytest, which Penstock itself does not need. Not for: connectors of other kinds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from penstock.connectors.places import Place
from penstock.errors import ConnectorError

#: More than one block of any connector, and no multiple of one.
_LARGE = b"0123456789abcdef" * 600_000 + b"end"


class PlaceContract:
    """Tests of a `Place`; the fixture `place` gives one that is empty, with `complete="name"`."""

    def test_its_checks_pass(self, place: Place) -> None:
        """An empty place works."""
        found = list(place.check())
        assert found
        assert all(one.ok for one in found), found

    def test_it_says_where_it_leads(self, place: Place) -> None:
        """One line, for people."""
        assert place.where()
        assert "\n" not in place.where()

    def test_an_empty_place_has_no_files(self, place: Place) -> None:
        """No file is no error."""
        assert place.find("*") == []

    def test_a_file_comes_back_as_it_was_sent(self, place: Place, tmp_path: Path) -> None:
        """Byte for byte, with its sha256, and nothing beside it."""
        for name, content in (("empty.csv", b""), ("large.bin", _LARGE)):
            source = tmp_path / "to-send"
            source.write_bytes(content)
            place.upload(source, name)
            (found,) = place.find(name)
            assert found.size == len(content)
            to = tmp_path / "fetched" / name
            assert place.download(found, to) == hashlib.sha256(content).hexdigest()
            assert to.read_bytes() == content
            assert [path.name for path in to.parent.iterdir()] == [name]
            to.unlink()

    def test_patterns_choose_names_and_folders(self, place: Place, tmp_path: Path) -> None:
        """`*` stays in a folder, `**` goes below; the order is that of the names."""
        self._put(place, tmp_path, "b.csv", "a.csv", "a.txt", "below/c.csv", "below/deep/d.csv")
        assert self._names(place, "*.csv") == ["a.csv", "b.csv"]
        assert self._names(place, "?.txt") == ["a.txt"]
        assert self._names(place, "below/*.csv") == ["c.csv"]
        assert self._names(place, "**/*.csv") == ["a.csv", "b.csv", "c.csv", "d.csv"]

    def test_names_of_people_are_names(self, place: Place, tmp_path: Path) -> None:
        """Blanks, umlauts, and what means something in addresses."""
        names = ["50% off.csv", "a b.csv", "q#1?=x&y.csv", "Übung.csv"]
        self._put(place, tmp_path, *names)
        assert self._names(place, "*.csv") == sorted(names)

    def test_what_is_still_written_is_not_found(self, place: Place, tmp_path: Path) -> None:
        """Names that programs give to files that they are writing."""
        self._put(place, tmp_path, "a.csv.part", "b.csv.tmp", "c.csv.filepart", "d.csv")
        assert self._names(place, "*") == ["d.csv"]

    def test_a_file_that_is_sent_again_is_replaced_and_looks_different(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Its version or size says so."""
        self._put(place, tmp_path, "a.csv")
        (before,) = place.find("a.csv")
        (tmp_path / "again").write_bytes(b"another, longer content")
        place.upload(tmp_path / "again", "a.csv")
        (after,) = place.find("a.csv")
        assert after != before
        assert after == place.look(after.name)

    def test_a_file_that_changed_since_it_was_found_is_not_taken(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Nor moved or deleted."""
        self._put(place, tmp_path, "a.csv")
        (before,) = place.find("a.csv")
        (tmp_path / "again").write_bytes(b"another, longer content")
        place.upload(tmp_path / "again", "a.csv")
        to = tmp_path / "fetched" / "a.csv"
        said = ""
        try:
            place.download(before, to)
        except ConnectorError as error:
            said = error.code
        assert said == "changed"
        assert list(to.parent.iterdir()) == []

    def test_a_file_is_renamed_into_a_new_folder_and_removed(
        self, place: Place, tmp_path: Path
    ) -> None:
        """What `after` needs."""
        self._put(place, tmp_path, "a.csv")
        (found,) = place.find("a.csv")
        to = found.name.removesuffix("a.csv") + "done/b.csv"
        place.rename(found.name, to)
        assert place.look(found.name) is None
        moved = place.look(to)
        assert moved is not None
        assert moved.size == found.size
        place.remove(to)
        assert place.look(to) is None

    def test_it_may_be_used_after_it_was_closed(self, place: Place, tmp_path: Path) -> None:
        """And be closed twice."""
        self._put(place, tmp_path, "a.csv")
        place.close()
        assert self._names(place, "*") == ["a.csv"]
        place.close()
        place.close()

    def _put(self, place: Place, tmp_path: Path, *names: str) -> None:
        for name in names:
            (tmp_path / "to-send").write_bytes(name.encode())
            place.upload(tmp_path / "to-send", name)

    def _names(self, place: Place, pattern: str) -> list[str]:
        return [one.name.rpartition("/")[2] for one in place.find(pattern)]
