"""A text that came from outside of `config.py`. Not for: secrets (`secret`)."""

from __future__ import annotations


class Outside(str):
    """Such as a variable of the process: always a text, also where a number is meant."""

    __slots__ = ()
