"""Real data with independently counted facts, where it lies beside the repository.

What each number means and how it was counted (Python's csv, cross-checked with DuckDB) stands in
the EXPECTED.md beside the data. The traits that matter are made by generators in other tests, so
that the suite stands without these files.
"""

from __future__ import annotations

import csv
import io
import tarfile
from decimal import Decimal
from pathlib import Path

import pytest

from penstock import LoadResult, SourceError, load_star, load_table
from tests.fixtures.postgres import Database

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not on this machine")


def run(database: Database, statements: str) -> None:
    with database.connect() as connection:
        connection.execute(statements.encode())


def ask(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def balanced(results: list[LoadResult]) -> bool:
    return all(result.balanced for result in results)


NORTHWIND = """
create table categories (category_id int primary key, category_name text, description text,
    picture bytea);
create table customer_demographics (customer_type_id text primary key, customer_desc text);
create table customers (customer_id char(5) primary key, company_name text not null,
    contact_name text, contact_title text, address text, city text, region text,
    postal_code text, country text, phone text, fax text);
create table customer_customer_demo (customer_id char(5) references customers,
    customer_type_id text references customer_demographics,
    primary key (customer_id, customer_type_id));
create table region (region_id int primary key, region_description text);
create table territories (territory_id varchar(20) primary key, territory_description text,
    region_id int references region);
create table employees (employee_id int primary key, last_name text, first_name text, title text,
    title_of_courtesy text, birth_date date, hire_date date, address text, city text, region text,
    postal_code text, country text, home_phone text, extension text, photo bytea, notes text,
    reports_to int references employees, photo_path text);
create table employee_territories (employee_id int references employees,
    territory_id varchar(20) references territories, primary key (employee_id, territory_id));
create table suppliers (supplier_id int primary key, company_name text, contact_name text,
    contact_title text, address text, city text, region text, postal_code text, country text,
    phone text, fax text, homepage text);
create table shippers (shipper_id int primary key, company_name text, phone text);
create table products (product_id int primary key, product_name text,
    supplier_id int references suppliers, category_id int references categories,
    quantity_per_unit text, unit_price real, units_in_stock int, units_on_order int,
    reorder_level int, discontinued boolean);
create table orders (order_id int primary key, customer_id char(5) references customers,
    employee_id int references employees, order_date date, required_date date, shipped_date date,
    ship_via int references shippers, freight real, ship_name text, ship_address text,
    ship_city text, ship_region text, ship_postal_code text, ship_country text);
create table order_details (order_id int references orders, product_id int references products,
    unit_price real, quantity int, discount real, primary key (order_id, product_id));
create table us_states (state_id int primary key, state_name text, state_abbr text,
    state_region text);
"""
NORTHWIND_ROWS = {
    "categories": 8, "customer_customer_demo": 0, "customer_demographics": 0, "customers": 91,
    "employee_territories": 49, "employees": 9, "order_details": 2155, "orders": 830,
    "products": 77, "region": 4, "shippers": 6, "suppliers": 29, "territories": 53,
    "us_states": 51,
}  # fmt: skip


def test_northwind_is_loaded_whole_twice(database: Database) -> None:
    run(database, NORTHWIND)
    for _ in range(2):
        results = load_star(database.engine(), DATA / "retail_northwind")
        assert balanced(results)
        assert {r.table: r.inserted for r in results} == NORTHWIND_ROWS
        assert sum(r.quarantined for r in results) == 0
    assert ask(database, "select count(*) from orders where shipped_date is null") == [(21,)]
    assert ask(database, "select count(*) from orders where ship_region is null") == [(507,)]


RETAIL = """
create table sales (invoice_no text not null, stock_code text not null, description text,
    quantity int not null, invoice_date timestamp not null, unit_price numeric(10,3) not null,
    customer_id int, country text not null);
"""


def test_a_year_of_daily_retail_files_is_appended_once(database: Database, tmp_path: Path) -> None:
    with tarfile.open(DATA / "retail_uci_online_retail" / "by-day.tar.gz") as archive:
        for member in archive:  # not extractall: the first releases of Python 3.11 have no filter
            if content := archive.extractfile(member):
                (tmp_path / Path(member.name).name).write_bytes(content.read())
    per_day = DATA / "retail_uci_online_retail" / "per_day_rows.csv"
    run(database, RETAIL)
    result = load_table(database.engine(), str(tmp_path / "*.csv"), "sales")
    assert (result.read, result.inserted, result.quarantined) == (541_909, 541_909, 0)
    facts = ask(
        database,
        "select count(*), sum(quantity), sum(quantity * unit_price), count(customer_id), "
        "count(distinct invoice_no), count(distinct stock_code), count(distinct customer_id), "
        "count(*) filter (where description is null) from sales",
    )
    assert facts == [
        (541_909, 5_176_450, Decimal("9747747.934"), 406_829, 25_900, 4_070, 4_372, 1_454)
    ]
    again = load_table(database.engine(), str(tmp_path / "*.csv"), "sales")
    assert (again.read, len(again.skipped)) == (0, 305)
    with per_day.open(encoding="utf-8", newline="") as file:
        days = {row[0].removesuffix(".csv"): int(row[1]) for row in list(csv.reader(file))[1:]}
    found = ask(database, "select invoice_date::date::text, count(*) from sales group by 1")
    assert dict(found) == days  # type: ignore[arg-type]  # pairs of text and number


FLIGHTS_KEY = "year, month, day, carrier, flight, origin"
FLIGHTS = f"""
create table airlines (carrier text primary key, name text);
create table airports (faa text primary key, name text, lat double precision,
    lon double precision, alt int, tz int, dst text, tzone text);
create table planes (tailnum text primary key, year int, type text, manufacturer text, model text,
    engines int, seats int, speed int, engine text, inferred boolean not null default false);
create table flights (year int, month int, day int, dep_time int, sched_dep_time int,
    dep_delay int, arr_time int, sched_arr_time int, arr_delay int,
    carrier text references airlines, flight int, tailnum text references planes,
    origin text references airports, dest text references airports, air_time int, distance int,
    hour int, minute int, time_hour timestamptz, primary key ({FLIGHTS_KEY}));
"""


def test_flights_orphans_wait_and_planes_are_inferred(database: Database, tmp_path: Path) -> None:
    run(database, FLIGHTS)
    for name in ("airlines.csv", "airports.csv", "planes.csv", "flights.csv.gz"):
        (tmp_path / name).symlink_to(DATA / "flights_nycflights13" / name)
    for _ in range(2):
        results = load_star(
            database.engine(), tmp_path, null="NA", max_rejects="3%",
            orphans={"flights.tailnum": "placeholder"},
        )  # fmt: skip
        assert balanced(results)
        flights = next(r for r in results if r.table == "flights")
        assert (flights.read, flights.inferred, flights.quarantined) == (336_776, 721, 7_602)
    assert ask(database, "select count(*) from planes where inferred") == [(721,)]
    assert ask(database, "select count(*) from planes where not inferred") == [(3_322,)]
    assert ask(
        database, "select count(distinct raw_values ->> 'dest'), count(*) from penstock.rejects"
    ) == [(4, 7_602)]
    whole = ask(
        database,
        "select (select count(*) from flights) + (select count(*) from penstock.rejects), "
        "(select sum(distance) from flights) + "
        "(select sum((raw_values ->> 'distance')::int) from penstock.rejects)",
    )
    assert whole == [(336_776, 350_217_607)]


OPENFLIGHTS = {
    "countries": ("name,iso,dafif", "name text, iso text, dafif text", 261),
    "airlines": (
        "airline_id,name,alias,iata,icao,callsign,country,active",
        "airline_id int primary key, name text, alias text, iata text, icao text, callsign text, "
        "country text, active text",
        6_162,
    ),
    "airports": (
        "airport_id,name,city,country,iata,icao,lat,lon,alt,tz,dst,tzdb,type,source",
        "airport_id int primary key, name text, city text, country text, iata text, icao text, "
        "lat double precision, lon double precision, alt int, tz real, dst text, tzdb text, "
        "type text, source text",
        7_698,
    ),
    "planes": ("name,iata,icao", "name text, iata text, icao text", 246),
    "routes": (
        "airline,airline_id,src,src_id,dst,dst_id,codeshare,stops,equipment",
        "airline text, airline_id int references airlines, src text, "
        "src_id int references airports, dst text, dst_id int references airports, "
        "codeshare text, stops int, equipment text",
        67_663,
    ),
}


def test_openflights_without_headers_and_with_backslashes(database: Database) -> None:
    results = {}
    for table, (names, columns, rows) in OPENFLIGHTS.items():
        run(database, f"create table {table} ({columns})")
        result = load_table(
            database.engine(), DATA / "openflights" / f"{table}.dat", table,
            header=False, columns=names.split(","), null="\\N", escape="\\" , max_rejects="2%",
        )  # fmt: skip
        assert result.balanced
        assert result.read == rows
        results[table] = result
    assert [r.quarantined for t, r in results.items() if t != "routes"] == [0, 0, 0, 0]
    by_column = {r.column: r.rows for r in results["routes"].reasons}
    assert by_column == {"src_id": 263, "dst_id": 267}
    nulls = ask(
        database,
        "select count(*) filter (where src_id is null), count(*) filter (where dst_id is null) "
        "from routes",
    )
    waiting = ask(
        database,
        "select count(*) filter (where raw_values ->> 'src_id' = '\\N'), "
        "count(*) filter (where raw_values ->> 'dst_id' = '\\N') from penstock.rejects "
        "where table_name = 'routes'",
    )
    together = [int(str(a)) + int(str(b)) for a, b in zip(nulls[0], waiting[0], strict=True)]
    assert together == [220, 221]


GTFS = """
create table agency (agency_id text primary key, agency_name text, agency_url text,
    agency_timezone text, agency_lang text, agency_phone text, agency_fare_url text);
create table calendar (service_id text primary key, monday boolean, tuesday boolean,
    wednesday boolean, thursday boolean, friday boolean, saturday boolean, sunday boolean,
    start_date date, end_date date);
create table shapes (shape_id text, shape_pt_lat double precision,
    shape_pt_lon double precision, shape_pt_sequence int, shape_dist_traveled double precision,
    primary key (shape_id, shape_pt_sequence));
create table shape_ids (shape_id text primary key);
create table routes (route_id text primary key, agency_id text references agency,
    route_short_name text, route_long_name text, route_desc text, route_type int, route_url text,
    route_color text, route_text_color text);
create table stops (stop_id text primary key, stop_code text, stop_name text, stop_desc text,
    stop_lat double precision, stop_lon double precision, zone_id text, stop_url text,
    location_type int, parent_station text, stop_timezone text, wheelchair_boarding int);
create table trips (route_id text references routes, service_id text references calendar,
    trip_id text primary key, trip_headsign text, trip_short_name text, direction_id int,
    block_id text, shape_id text references shape_ids, wheelchair_accessible int,
    bikes_allowed int);
create table stop_times (trip_id text references trips, arrival_time interval,
    departure_time interval, stop_id text references stops, stop_sequence int,
    stop_headsign text, pickup_type int, drop_off_type int, shape_dist_traveled double precision,
    primary key (trip_id, stop_sequence));
"""


def test_a_gtfs_feed_with_compact_dates_and_times_past_midnight(database: Database) -> None:
    run(database, GTFS)
    feed = DATA / "gtfs_cherriots"
    engine = database.engine()
    expected = {"agency": 1, "calendar": 8, "shapes": 19_662, "routes": 26, "stops": 729}
    for table, rows in expected.items():
        result = load_table(engine, feed / f"{table}.txt", table, dates="YYYYMMDD")
        assert (result.balanced, result.inserted, result.quarantined) == (True, rows, 0)
        assert result.filtered == (1 if table == "stops" else 0)
    run(database, "insert into shape_ids select distinct shape_id from shapes")
    trips = load_table(engine, feed / "trips.txt", "trips", max_rejects="5%")
    assert (trips.read, trips.quarantined) == (1_128, 37)
    assert {(r.column, r.code) for r in trips.reasons} == {("shape_id", "23503")}
    # The stops of refused trips are refused with them; nothing else is.
    times = load_table(engine, feed / "stop_times.txt", "stop_times", max_rejects="10%")
    assert times.read == 32_093
    assert {(r.column, r.code) for r in times.reasons} == {("trip_id", "23503")}
    refused = ask(
        database,
        "select count(*), count(distinct raw_values ->> 'trip_id') from penstock.rejects "
        "where table_name = 'stop_times'",
    )
    assert refused == [(times.quarantined, 37)]
    late = ask(
        database,
        "select (select count(*) from stop_times where arrival_time >= interval '24 hours') + "
        "(select count(*) from penstock.rejects where table_name = 'stop_times' "
        "and (raw_values ->> 'arrival_time')::interval >= interval '24 hours')",
    )
    assert late == [(4,)]


FRICTIONLESS = DATA / "csv_torture" / "frictionless"
MOST_COLUMNS, LONGEST_NAME = 1_600, 63  # PostgreSQL, appendix "Limits"


def oracle(path: Path) -> tuple[list[str], list[list[str]], int, int] | str:
    """Header, good rows, ragged and blank records by Python's csv; or why it must be refused."""
    raw = path.read_bytes()
    if raw[:2] in (b"PK", b"\x1f\x8b"):
        return "packed"
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "encoding"
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return "quote"
    if not any(any(field.strip() for field in record) for record in records):
        return "empty"
    while not any(field.strip() for field in records[0]):
        del records[0]
    header = [name.strip() for name in records[0]]
    if len(set(header)) < len(header) or "" in header:
        return "header"
    if len(header) > MOST_COLUMNS or any(len(name.encode()) > LONGEST_NAME for name in header):
        return "no table can have these columns"
    body = records[1:]
    blank = [r for r in body if not any(field.strip(" \t") for field in r)]
    left = [r for r in body if r not in blank]
    ragged = [r for r in left if len(r) != len(header)]
    return header, [r for r in left if len(r) == len(header)], len(ragged), len(blank)


def test_every_frictionless_file_is_loaded_or_refused_for_the_right_reason(
    database: Database,
) -> None:
    engine = database.engine()
    wrong: dict[str, object] = {}
    outcomes: dict[str, int] = {}
    for path in sorted(FRICTIONLESS.rglob("*.csv")):
        expected = oracle(path)
        name = str(path.relative_to(FRICTIONLESS))
        if isinstance(expected, str):
            outcomes[expected] = outcomes.get(expected, 0) + 1
            if expected in ("empty", "header"):
                run(database, 'drop table if exists t; create table t ("id" text)')
                with pytest.raises(SourceError):
                    load_table(engine, path, "t", delimiter=",")
            continue
        header, good, ragged, blank = expected
        columns = ", ".join(
            '"' + n.replace('"', '""').replace("%", "%%") + '" text' for n in header
        )
        try:
            run(database, f"drop table if exists t; create table t ({columns})".replace("%%", "%"))
            result = load_table(
                engine, path, "t", delimiter=",", max_rejects="all", again=True,
                empty="text",
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001  gathered, and asserted below
            if not good and ragged:
                outcomes["all ragged"] = outcomes.get("all ragged", 0) + 1
                continue
            wrong[name] = f"{type(error).__name__}: {str(error)[:150]}"
            continue
        found = (result.inserted, result.quarantined, result.filtered)
        if found != (len(good), ragged, blank):
            wrong[name] = (found, (len(good), ragged, blank))
            continue
        stored = [list(row) for row in ask(database, "select * from t")]
        if sorted(map(str, stored)) != sorted(map(str, good)):
            wrong[name] = "other values"
        outcomes["loaded"] = outcomes.get("loaded", 0) + 1
    assert wrong == {}
    assert outcomes["loaded"] > 90, outcomes
