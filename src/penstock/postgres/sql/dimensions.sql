-- name: date_columns
-- Of a date dimension; the key is readable in the fact table: 20240131.
date_key       integer primary key,
day            date unique,
year           smallint,
quarter        smallint,
month          smallint,
month_name     text not null,
iso_year       smallint,
iso_week       smallint,
day_of_month   smallint,
day_of_year    smallint,
weekday        smallint,
weekday_name   text not null,
is_weekend     boolean,
first_of_month date,
last_of_month  date
