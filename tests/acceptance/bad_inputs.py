"""The table of bad inputs: what is wrong, and what a user gets for it. Data; one test reads it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field

HEAD = b"id,name,born,amount\n"
GOOD = b"1,Ann,2001-02-03,1.50\n"
TABLE = """
create table people (
    id int primary key, name varchar(10) not null, born date, amount numeric(6,2),
    seen timestamptz, at timestamp, ratio double precision, "small" smallint);
"""


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One bad input.

    Attributes:
        what: What is wrong with it.
        content: The file's bytes.
        exit_code: The command's.
        rejects: (line, column, code) of every refused row's faults.
        said: What the error or the reason says, such as the option that would change it.
        inserted: Rows that land.
        options: Of the command, besides `--max-rejects all`.
        name: The file's name.
        table: The table.
        setup: SQL that is run before.
    """

    what: str
    content: bytes | None
    exit_code: int
    rejects: list[tuple[int, str, str]] = field(default_factory=list)
    said: str = ""
    inserted: int = 0
    options: tuple[str, ...] = ()
    name: str = "people.csv"
    table: str = "people"
    setup: str = TABLE


def cell(what: str, column: str, text: str, code: str, said: str, **more: object) -> Bad:
    """One bad value in one column, between two good rows."""
    head = f"id,name,{column}\n" if column not in ("id", "name") else "id,name\n"
    values = {"id": "2", "name": "Bob", column: text}
    row = ",".join(values[c] for c in head.strip().split(","))
    extra = "," if column not in ("id", "name") else ""
    content = f"{head}1,Ann{extra}\n{row}\n3,Cat{extra}\n".encode()
    return Bad(
        what=what,
        content=content,
        exit_code=3,
        rejects=[(3, column, code)],
        said=said,
        inserted=2,
        **more,  # type: ignore[arg-type]  # the fields of Bad
    )


FILES = [
    Bad(what="missing file", content=None, exit_code=1, said="people.csv"),
    Bad(what="empty file", content=b"", exit_code=1, said="empty"),
    Bad(what="header only", content=HEAD, exit_code=0),
    Bad(what="unknown column", content=b"id,name,bron\n1,Ann,2001-02-03\n", exit_code=1,
        said="Did you mean born"),
    Bad(what="missing column", content=b"id,born\n1,2001-02-03\n", exit_code=1, said="--columns"),
    Bad(what="duplicate column", content=b"id,name,name\n1,Ann,Ann\n", exit_code=1,
        said="--columns"),
    Bad(what="ragged rows", content=HEAD + b"1,Ann\n" + b"2,Bob,2001-01-01,1.00\n"
        + b"3,Cat,2001-01-01,1.00,more\n", exit_code=3, inserted=1,
        rejects=[(2, "", "ragged"), (4, "", "ragged")], said="4 expected"),
    Bad(what="quote not closed in the middle",
        content=HEAD + b'1,"Ann,2001-01-01,1\n2,Bob,2001-01-01,1\n3,"Cat",2001-01-01,1\n',
        exit_code=3, inserted=2, rejects=[(2, "", "quote")], said="quote"),
    Bad(what="quote never closed",
        content=HEAD + GOOD + b'2,"Bob,2001-01-01,1\n3,Cat,2001-01-01,1\n',
        exit_code=3, inserted=2, rejects=[(3, "", "quote")], said="quote"),
    Bad(what="text after a closing quote", content=HEAD + GOOD + b'2,"Bob"by,2001-01-01,1\n',
        exit_code=3, inserted=1, rejects=[(3, "", "quote")], said="quote"),
    Bad(what="byte order mark", content=b"\xef\xbb\xbf" + HEAD + GOOD, exit_code=0, inserted=1),
    Bad(what="UTF-16 with a byte order mark", content=(HEAD + GOOD).decode().encode("utf-16"),
        exit_code=0, inserted=1),
    Bad(what="UTF-16 without a byte order mark",
        content=(HEAD + GOOD).decode().encode("utf-16-le"), exit_code=1, said="--encoding utf-16"),
    Bad(what="undeclared Latin-1", content=HEAD + GOOD + "2,Zoë,2001-01-01,1\n".encode("latin-1"),
        exit_code=3, inserted=1, rejects=[(3, "", "encoding")], said="--encoding"),
    Bad(what="NUL byte", content=HEAD + GOOD + b"2,B\0b,2001-01-01,1\n", exit_code=3, inserted=1,
        rejects=[(3, "", "nul")], said="NUL"),
    Bad(what="invalid UTF-8", content=HEAD + GOOD + b"2,B\xffb,2001-01-01,1\n", exit_code=3,
        inserted=1, rejects=[(3, "", "encoding")], said="--encoding"),
    Bad(what="a field of 10 MB", content=HEAD + GOOD + b'2,"' + b"x" * 10_000_000
        + b'",2001-01-01,1\n3,Cat,,\n', exit_code=3, inserted=2, rejects=[(3, "name", "22001")],
        said="characters"),
    Bad(what="truncated gzip", content=gzip.compress((HEAD + GOOD) * 500)[:-20], exit_code=1,
        said="people.csv.gz", name="people.csv.gz"),
    Bad(what="semicolons and decimal commas",
        content=b"id;name;born;amount\n1;Ann;2001-02-03;1,50\n2;Bob;2001-02-03;2\n", exit_code=3,
        inserted=1, rejects=[(2, "amount", "22P02")], said="--numbers"),
    Bad(what="wholly blank rows", content=HEAD + GOOD + b"\n,,,\n  ,,,\n2,Bob,,\n", exit_code=0,
        inserted=2),
    Bad(what="everything bad in one column",
        content=HEAD + b"1,Ann,03.02.2001,1\n2,Bob,04.02.2001,1\n", exit_code=1,
        said="--dates DD.MM.YYYY"),
    Bad(what="a table that does not exist", content=HEAD + GOOD, exit_code=2,
        said="Did you mean people", table="peoples"),
    Bad(what="a view as target", content=HEAD + GOOD, exit_code=1, said="is a view",
        table="seen", setup=TABLE + "create view seen as select * from people;"),
    Bad(what="less than half of the table for truncate", content=HEAD + GOOD, exit_code=1,
        options=("--mode", "truncate"), said="--allow-shrink",
        setup=TABLE + "insert into people select n, 'x' from generate_series(1, 9) n;"),
    Bad(what="duplicates, exact and conflicting",
        content=HEAD + GOOD + GOOD + b"1,Eve,2001-02-03,1.50\n2,Bob,,\n", exit_code=3, inserted=2,
        rejects=[(4, "id", "23505")], said="id 1 came before"),
    Bad(what="a key that is in the table", content=HEAD + GOOD + b"2,Bob,,\n", exit_code=3,
        inserted=1, rejects=[(2, "id", "23505")], said="already",
        setup=TABLE + "insert into people values (1, 'Old');"),
    Bad(what="orphan", content=HEAD + GOOD + b"2,Bob,,\n", exit_code=3, inserted=1,
        rejects=[(3, "id", "23503")], said="is not in parents",
        setup="create table parents (id int primary key); insert into parents values (1);" + TABLE
        + "alter table people add foreign key (id) references parents;"),
    Bad(what="CHECK", content=HEAD + GOOD + b"2,Bob,,-1\n", exit_code=3, inserted=1,
        rejects=[(3, "amount", "23514")],
        said="violates positive: CHECK ((amount > (0)::numeric))",
        setup=TABLE + "alter table people add constraint positive check (amount > 0);"),
    Bad(what="the table's only column list is wrong quoted", content=b'"id,name"\n1,Ann\n',
        exit_code=1, said="no column"),
]  # fmt: skip

VALUES = [
    cell("integer overflow", "id", "3000000000", "22003", "integer"),
    cell("smallint overflow", "small", "40000", "22003", "smallint"),
    cell("numeric overflow", "amount", "10000.00", "22003", "numeric(6,2)"),
    cell("too many decimals", "amount", "1.005", "scale", "--round"),
    cell("not an integer", "id", "1e3", "22P02", "integer"),
    cell("1e400", "ratio", "1e400", "22003", "double precision"),
    cell("NaN for numeric", "amount", "NaN", "22P02", "--null NaN"),
    cell("0000-00-00", "born", "0000-00-00", "22008", "--null 0000-00-00"),
    cell("2023-02-30", "born", "2023-02-30", "22008", "no day"),
    cell("31/12/2025", "born", "31/12/2025", "22007", "--dates DD/MM/YYYY"),
    cell("24:00", "at", "2024-01-01 24:00:00", "22008", "24:00"),
    cell("leap second", "at", "2016-12-31 23:59:60", "22008", "60"),
    cell("an offset for timestamp", "at", "2024-01-01 10:00+01", "offset", "offset"),
    cell("naive text for timestamptz", "seen", "2024-01-01 10:00", "timezone", "--timezone"),
    cell("a time in a DST gap", "seen", "2024-03-31 02:30", "dst_gap", "Europe/Paris",
         options=("--timezone", "Europe/Paris")),
    cell("a time twice there", "seen", "2024-10-27 02:30", "dst_overlap", "Europe/Paris",
         options=("--timezone", "Europe/Paris")),
    cell("text too long", "name", "Bartholomew", "22001", "10"),
    cell("NULL in NOT NULL", "name", "", "23502", "NOT NULL"),
    cell("a word for a date", "born", "yesterday", "22007", "--null yesterday"),
]  # fmt: skip

#: Bad to some, and right: nothing is refused.
FINE = [
    Bad(what="17850.0 for an integer", content=b"id,name\n17850.0,Ann\n", exit_code=0, inserted=1),
    Bad(what="7.300 for numeric(6,2)", content=b"id,name,amount\n1,Ann,7.300\n", exit_code=0,
        inserted=1),
    Bad(what="blanks around values", content=b"id,name,born\n 1 ,Ann, 2001-02-03 \n", exit_code=0,
        inserted=1),
    Bad(what="headers written otherwise", content=b"ID, Name ,BORN\n1,Ann,\n", exit_code=0,
        inserted=1),
    Bad(what="tabs, proved by the header", content=b"id\tname\n1\tAnn, Lee\n", exit_code=0,
        inserted=1),
]  # fmt: skip

BAD = [*FILES, *VALUES, *FINE]
