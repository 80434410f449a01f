"""The streams that Singer's targets are held to, as tables: loaded twice, as their messages say.

How many rows a stream has after an upsert stands in the EXPECTED.md beside the data; the values are
read by Python's json.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from penstock import LoadError, load_table, unit
from tests.acceptance.singer import SingerError, Stream, quoted, read
from tests.acceptance.test_real_data import ask, run
from tests.fixtures.postgres import Database

SUITES = Path(__file__).parents[3] / "shared" / "data" / "peer_suites"
pytestmark = pytest.mark.skipif(not SUITES.is_dir(), reason="the streams are not on this machine")

#: Streams that are refused: by the reader, or because no record has what the table needs.
NO_SENSE = {"invalid_schema", "record_before_schema"}
NO_ROW = {"record_missing_key_property", "record_missing_required_property"}


def cases(folder: str) -> list[str]:
    """Names of the files with rows; no data, no cases."""
    names = sorted(path.stem for path in (SUITES / folder).glob("*.singer"))
    return [f"{folder}/{name}" for name in names if name not in NO_SENSE | NO_ROW]


def expected_counts(file: str) -> dict[str, int]:
    """Stream -> rows after an upsert, from the table in EXPECTED.md; records where no key."""
    folder, name = file.split("/")
    (line,) = [
        line
        for line in (SUITES / folder / "EXPECTED.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {name}.singer |")
    ]
    found = re.findall(r"'([^']+)': \((\d+), (?:None|\[[^]]*\]), (None|\d+)\)", line)
    return {stream: int(records if rows == "None" else rows) for stream, records, rows in found}


def stored(database: Database, stream: Stream) -> list[dict[str, object]]:
    names = list(stream.types)
    picked = ", ".join(map(quoted, names))
    return [
        dict(zip(names, row, strict=True))
        for row in ask(database, f"select {picked} from {stream.table}")
    ]


def in_order(rows: list[dict[str, object]]) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)


def has_nul(record: object) -> bool:
    """PostgreSQL's text and jsonb refuse such a record."""
    return "\\u0000" in json.dumps(record).replace("\\\\", "")


@pytest.mark.parametrize(
    "file", [*cases("meltano_sdk_target_streams"), *cases("meltanolabs_target_postgres")]
)
def test_a_stream_lands_as_its_messages_say_twice(
    database: Database, tmp_path: Path, file: str
) -> None:
    streams = read(SUITES / f"{file}.singer")
    told = expected_counts(file)
    assert told == {stream.name: len(stream.rows()) for stream in streams}
    for number, stream in enumerate(streams):
        run(database, stream.create())
        if not stream.records:
            continue
        path = stream.write(tmp_path / f"{number}.ndjson")
        refused = [one for one in stream.records if has_nul(one)]
        stream.records = [one for one in stream.records if not has_nul(one)]
        how = {"ignore_extra": True, "timezone": "UTC", "max_rejects": len(refused)}
        expected, mode = stream.rows(), "upsert" if stream.key else "append"
        first = load_table(database.engine(), path, stream.table, mode=mode, **how)
        assert first.balanced
        assert (first.inserted, first.quarantined) == (len(expected), len(refused))
        # In text it is the format's fault, in jsonb only the column's: json would keep the escape.
        code = "22P05" if "jsonb" in stream.types.values() else "nul"
        assert {reason.code: reason.rows for reason in first.reasons} == (
            {code: len(refused)} if refused else {}
        )
        assert in_order(stored(database, stream)) == in_order(expected)
        again = load_table(database.engine(), path, stream.table, mode=mode, **how)
        if mode == "append":
            assert (again.read, len(again.skipped)) == (0, 1)
        else:
            found = (again.inserted, again.updated, again.unchanged, again.ignored)
            assert found == (0, 0, len(expected), len(stream.records) - len(expected))
        assert in_order(stored(database, stream)) == in_order(expected)


@pytest.mark.parametrize("folder", ["meltano_sdk_target_streams", "meltanolabs_target_postgres"])
@pytest.mark.parametrize("name", sorted(NO_SENSE | NO_ROW))
def test_a_stream_that_must_be_refused_is_refused_twice(
    database: Database, tmp_path: Path, folder: str, name: str
) -> None:
    path = SUITES / folder / f"{name}.singer"
    if name in NO_SENSE:
        with pytest.raises(SingerError):
            read(path)
        return
    (stream,) = read(path)
    run(database, stream.create())
    for _ in range(2):
        with pytest.raises(LoadError):
            load_table(
                database.engine(), stream.write(tmp_path / "one.ndjson"), stream.table,
                mode="upsert" if stream.key else "append", max_rejects="all",
                columns=["id", "metric"],
            )  # fmt: skip
    assert stored(database, stream) == []
    assert ask(database, "select distinct status from penstock.rejects") == [("void",)]


def test_a_later_stream_updates_what_the_first_one_brought(
    database: Database, tmp_path: Path
) -> None:
    """All streams of a file become visible together."""
    folder = SUITES / "meltano_sdk_target_streams"
    before, after = (read(folder / f"user_location{part}_data.singer") for part in ("", "_upsert"))
    for stream in before:
        run(database, stream.create())
    for turn, streams in enumerate((before, after, after)):
        with unit(database.engine(), mode="upsert") as loads:
            for stream in streams:
                loads.load(stream.write(tmp_path / f"{turn}-{stream.name}.ndjson"), stream.table)
    for old, new in zip(before, after, strict=True):
        merged = {row["id"]: row for row in old.rows()} | {row["id"]: row for row in new.rows()}
        assert in_order(stored(database, old)) == in_order(list(merged.values()))
    assert [(one.inserted, one.updated) for one in loads.results] == [(0, 0)] * 3


def test_a_new_version_replaces_the_old_one(database: Database, tmp_path: Path) -> None:
    """ACTIVATE_VERSION: what the new version does not have goes, or is marked."""
    folder = SUITES / "meltanolabs_target_postgres"
    (stream,) = read(folder / "test_activate_version_hard.singer")
    (fewer,) = read(folder / "test_activate_version_soft_with_delete.singer")
    run(database, stream.create())
    run(database, f"alter table {stream.table} add active boolean not null default true")
    load_table(database.engine(), stream.write(tmp_path / "all.ndjson"), stream.table)
    path = fewer.write(tmp_path / "fewer.ndjson")
    gone = {row["code"] for row in stream.rows()} - {row["code"] for row in fewer.rows()}
    for _ in range(2):
        result = load_table(
            database.engine(), path, stream.table, mode="sync", missing={"active": False}
        )
        assert result.balanced
        assert result.unchanged == len(fewer.rows())
        marked = ask(database, f"select code from {stream.table} where not active")
        assert {code for (code,) in marked} == gone
    for turn in range(2):
        result = load_table(database.engine(), path, stream.table, mode="sync")
        assert result.deleted == (0 if turn else len(gone))
    assert in_order(stored(database, stream)) == in_order(fewer.rows())
