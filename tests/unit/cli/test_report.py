"""The report of a load as it is read in a log and on a terminal of 80 columns."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from penstock.cli.report import as_object, report
from penstock.model.result import REJECTS, LoadResult, ReasonCount, Sample

_SAMPLES = (
    Sample("sales.csv", 12, "\x1b[2Jabc", 'not an integer: "abc"', 11),
    Sample("sales.csv", 1400, "y" * 99, f'not an integer: "{"y" * 99}"', 1399),
)
_RESULT = LoadResult(
    run_id="r-1",
    load_id="l-1",
    target="me@localhost:5432/shop",
    table="fact_sales",
    mode="truncate",
    read=1_000_000,
    inserted=999_980,
    ignored=8,
    quarantined=12,
    deleted=5000,
    seconds=2.0,
    strategy="direct; binary COPY",
    changes={"rounded": 1200, "orphans_nulled": 1},
    reasons=(ReasonCount(column="quantity", code="22P02", rows=12, samples=_SAMPLES),),
    skipped=("old.csv (loaded before)",),
    warnings=("left out of the input: note\x07",),
)


@pytest.fixture
def no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def test_a_log_gets_whole_lines_in_order(
    no_colour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    report([_RESULT], 9.0, kept=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "fact_sales: 1,000,000 read, 999,980 inserted, 8 ignored, 12 quarantined (5,000 deleted)",
        "  direct; binary COPY",
        "  changed because you said so: 1,200 values rounded, 1 orphan set to NULL",
        r"  note: left out of the input: note\x07",
        "  skipped: old.csv (loaded before); --again loads it",
        '  quantity 22P02, 12 rows: not an integer: "abc"',
        r'      sales.csv line 12: "\x1b[2Jabc"',
        f'      sales.csv line 1,400: "{"y" * 40}..."',
        "      and 10 more",
        "2.0 s, 500,000 rows/s, run r-1",
        "12 rows wait in quarantine. Next:",
        "  penstock rejects list fact_sales",
        "  penstock rejects export rejects.csv fact_sales",
    ]


def test_a_terminal_gets_colours_and_lines_of_its_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    report([_RESULT], 9.0, kept=True)
    said = capsys.readouterr().err
    assert "\x1b[1m" in said
    assert "\x1b[2J" not in said
    assert "\x07" not in said


def test_refused_rows_without_a_ledger_do_not_wait(
    no_colour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    report([_RESULT], 1.0, kept=False)
    said = capsys.readouterr().err
    assert "wait in quarantine" not in said
    assert "12 rows refused, and kept nowhere" in said


def test_several_tables_have_one_time(no_colour: None, capsys: pytest.CaptureFixture[str]) -> None:
    report([_RESULT, replace(_RESULT, table="dim_days")], 4.0, kept=True)
    said = capsys.readouterr().err
    assert "2 tables, 2,000,000 rows, 4.0 s, 500,000 rows/s, run r-1" in said
    assert "24 rows wait" in said


def test_several_loads_of_one_table_are_no_tables(
    no_colour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    report([_RESULT, _RESULT], 4.0, kept=True)
    assert "2 loads, 2,000,000 rows" in capsys.readouterr().err


def test_a_sample_with_another_reason_than_the_first_says_its_own(
    no_colour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = (
        Sample("a.csv", 2, "2.5", "2.5 is not whole", 1),
        Sample("a.csv", 3, "x", "x is no number", 2),
    )
    reason = replace(_RESULT.reasons[0], rows=2, samples=samples)
    report([replace(_RESULT, reasons=(reason,))], 1.0, kept=True)
    said = capsys.readouterr().err
    assert '      a.csv line 2: "2.5"\n' in said
    assert '      a.csv line 3: "x": x is no number\n' in said


def test_the_json_object_has_the_books_and_the_reasons() -> None:
    found = json.loads(json.dumps(as_object(_RESULT)))
    assert list(found) == [
        "run_id",
        "load_id",
        "target",
        "table",
        "mode",
        "read",
        "inserted",
        "updated",
        "unchanged",
        "deleted",
        "inferred",
        "ignored",
        "filtered",
        "quarantined",
        "seconds",
        "strategy",
        "changes",
        "reasons",
        "skipped",
        "warnings",
        "dry_run",
        "ddl",
        "waited",
    ]
    assert found["reasons"][0]["samples"][0] == {
        "file": "sales.csv",
        "line": 12,
        "value": "\x1b[2Jabc",
        "reason": 'not an integer: "abc"',
        "record": 11,
    }


@pytest.mark.parametrize(
    ("sample", "place"),
    [
        (Sample("a.csv", 1031, "x", "", 1030), "a.csv line 1,031"),
        (Sample("a.csv", 0, "x", "", 1030), "a.csv record 1,030"),
        (Sample("right.csv", 3, "x", "", 2), "right.csv line 3"),
        (Sample(REJECTS, 0, "x", "", 7), "reject #7"),
    ],
)
def test_a_record_is_never_called_a_line(
    sample: Sample, place: str, no_colour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = replace(_RESULT.reasons[0], rows=1, samples=(sample,))
    report([replace(_RESULT, reasons=(reason,))], 1.0, kept=True)
    assert f'      {place}: "x"\n' in capsys.readouterr().err


def test_a_pace_is_told_of_many_rows_only(
    no_colour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for rows in (9_999, 10_000):
        few = replace(_RESULT, read=rows, inserted=rows, quarantined=0, reasons=())
        report([few], 9.0, kept=True)
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if "run r-1" in line] == [
        "2.0 s, run r-1",
        "2.0 s, 5,000 rows/s, run r-1",
    ]
