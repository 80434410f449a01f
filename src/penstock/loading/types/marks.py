"""Why a text is no number, and how it would be one. Not for: how numbers are written."""

from __future__ import annotations

import re

from penstock.loading.types.check import null_hint, shown
from penstock.model.marks import USUAL_NUMBERS, marks_of

_EXPONENT = re.compile(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)[eE][+-]?[0-9]+")


def has_exponent(text: str) -> bool:
    """True for a number such as `1.5e3`, with either decimal mark."""
    return _EXPONENT.fullmatch(text) is not None


def no_number(text: str, noun: str) -> str:
    """The reason why a text is not `noun` (with its article), and what would make it one."""
    if has_exponent(text):
        return f"{shown(text)} is written with an exponent, {noun} is not"
    return f"{shown(text)} is not {noun}" + (null_hint(text) or _proposal(text))


def _proposal(text: str) -> str:
    fitting = [example for example in USUAL_NUMBERS if marks_of(example).read(text) is not None]
    if not fitting:
        return ""
    return ": " + " or ".join(f'--numbers "{example}"' for example in fitting[:2])
