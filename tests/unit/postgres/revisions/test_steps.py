"""What a statement does is told from its words; strings, names and comments are none of them."""

from __future__ import annotations

from penstock.postgres.revisions.steps import Step, steps_of
from penstock.postgres.revisions.words import statements


def steps(sql: str) -> list[Step]:
    return [step for one in statements(sql) for step in steps_of(one)]


def test_strings_quotes_and_comments_are_no_statements() -> None:
    sql = '''
    insert into t values ('it''s; drop table a', E'\\'; drop table b', $x$; drop table c $x$);
    /* drop table d; */ drop /* not e */ table "odd; ""name""", shop."T" -- ; drop table f
    ;;
    '''
    assert [one.table for one in steps(sql)] == [('odd; "name"',), ("shop", "T")]


def test_actions_are_cut_at_commas_outside_of_brackets() -> None:
    sql = "alter table t add column p numeric(10, 2) default coalesce(1, random()), drop q"
    assert [(one.kind, one.column, one.functions) for one in steps(sql)] == [
        ("default", "p", ("coalesce", "random")),
        ("drop_column", "q", ()),
    ]
