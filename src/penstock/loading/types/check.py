"""What a type family answers for one column. Not for: choosing the family (`registry`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from penstock.model.options import Grammar
from penstock.model.table import Column

#: What means nothing around a number, a date or a boolean. A no-break space is not a blank.
BLANKS = " \t\r\n"
#: Texts that many programs write for "no value"; a refusal of one of them proposes `--null`.
USUAL_NULLS = frozenset(
    {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "\\n", "-", "--", "?", ".", "(null)"}
)
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the careful look says of one text: a value, or a refusal.

    Attributes:
        text: The value in canonical writing; None for NULL and for a refusal.
        code: An SQLSTATE or a rule name; None where the value is accepted.
        reason: Value, rule and the option that would change it; None where accepted.
        change: `rounded` or `trimmed` where the user allowed a change; else None.
    """

    text: str | None = None
    code: str | None = None
    reason: str | None = None
    change: str | None = None


Judge = Callable[[str], Verdict]
Careful = Callable[[pl.Series], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Check:
    """How the texts of one column are checked and typed.

    Attributes:
        column: The target column.
        dtype: Of the typed value.
        typed: Over the String column of the target's name: the value, NULL where it does not
            cast. To be trusted only where `suspect` is false.
        suspect: Boolean, never NULL: a superset of the rows whose typed value is wrong or missing.
        careful: The exact look. Takes the suspects' texts (String, no NULLs) and gives one row
            for each: `value` (dtype), `code`, `reason`, `change` (String; see `Verdict`).
    """

    column: Column
    dtype: pl.DataType
    typed: pl.Expr
    suspect: pl.Expr
    careful: Careful


def refuse(code: str, reason: str) -> Verdict:
    """A refusal."""
    return Verdict(code=code, reason=reason)


def shown(text: str) -> str:
    """A value as a message shows it: short, on one line, quoted where its ends would not show."""
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 1] + "…"
    if text and text.isprintable() and text == text.strip():
        return text
    return json.dumps(text, ensure_ascii=False)


def null_hint(text: str) -> str:
    """`: --null TEXT` for a text that usually stands for no value, else empty."""
    return f": --null {text}" if text.lower() in USUAL_NULLS else ""


def bare(judge: Judge, noun: str, grammar: Grammar) -> Judge:
    """Let `judge` see the text without the blanks around it, and never an empty one.

    Args:
        judge: For a text that is not empty and has no blanks at its ends.
        noun: With its article, for the message about an empty text: `an integer`.
        grammar: Its `empty` says whether an empty text is NULL here.
    """

    def look(text: str) -> Verdict:
        stripped = text.strip(BLANKS)
        if stripped:
            return judge(stripped)
        if grammar.empty == "null":
            return Verdict()
        what = "the empty text" if not text else f"the blank text {shown(text)}"
        return refuse("22P02", f"{what} is not {noun}: --empty null")

    return look


def second_look(
    dtype: pl.DataType,
    judge: Judge,
    parse: Callable[[pl.Expr], pl.Expr],
    regular: Callable[[pl.Expr], pl.Expr] | None = None,
) -> Careful:
    """Make a careful look of a vectorised one and of a judge who sees each other text once.

    Args:
        dtype: Of the typed value.
        judge: Decides over one text.
        parse: From the canonical text of a verdict to the value; must not fail there.
        regular: From a text without blanks around it to the value, for the spellings that whole
            files may have; NULL for every text whose value it is not certain of.
    """

    def careful(texts: pl.Series) -> pl.DataFrame:
        frame = texts.alias("text").to_frame()
        if regular is None:
            frame = frame.with_columns(value=pl.lit(None, dtype))
        else:
            value = regular(pl.col("text").str.strip_chars(BLANKS))
            # Lazily, for what an expression says twice is then computed once.
            frame = frame.lazy().with_columns(value=value).collect()
        others = frame.filter(pl.col("value").is_null()).get_column("text").unique()
        verdicts = [judge(text) for text in others]
        judged = pl.DataFrame(
            {
                "text": others,
                "canonical": _strings([verdict.text for verdict in verdicts]),
                "code": _strings([verdict.code for verdict in verdicts]),
                "reason": _strings([verdict.reason for verdict in verdicts]),
                "change": _strings([verdict.change for verdict in verdicts]),
            }
        ).with_columns(judged=parse(pl.col("canonical")))
        lost = judged.filter(pl.col("canonical").is_not_null() & pl.col("judged").is_null())
        if lost.height:
            raise AssertionError(f"no {dtype} from the canonical texts {lost['canonical'][:5]}")
        return frame.join(judged, on="text", how="left", maintain_order="left").select(
            pl.coalesce("value", "judged").alias("value"), "code", "reason", "change"
        )

    return careful


def _strings(values: list[str | None]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)
