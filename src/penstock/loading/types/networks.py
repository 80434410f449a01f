"""inet, cidr, macaddr and macaddr8, written in full. Not for: names of hosts.

PostgreSQL fills up what is short: `10.1` becomes a network of its class, and six bytes become
eight in macaddr8. What is not written in full is refused.
"""

from __future__ import annotations

import ipaddress
import re

import polars as pl

from penstock.loading.types.check import (
    Check,
    Verdict,
    bare,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PLAIN = rf"^{_BYTE}(?:\.{_BYTE}){{3}}$"
_PREFIX = re.compile(r"[0-9]|[1-9][0-9]{1,2}")
_PAIR = "[0-9a-f]{2}"


def address_check(column: Column, grammar: Grammar) -> Check:
    """An IPv4 or IPv6 address, perhaps with `/bits`; in cidr no bit behind them may be set."""
    network = column.base == "cidr"

    def judge(text: str) -> Verdict:
        address, slash, bits = text.partition("/")
        try:
            if "%" in address:
                raise ValueError
            found = ipaddress.ip_address(address)
        except ValueError:
            reason = f"{shown(text)} is not an address in full such as 192.168.0.1 or 2001:db8::1"
            return refuse("22P02", reason + null_hint(text))
        most = found.max_prefixlen
        if slash and (_PREFIX.fullmatch(bits) is None or int(bits) > most):
            return refuse(
                "22P02", f"{shown(text)}: /{shown(bits)} is not a number of bits to {most}"
            )
        kept = int(bits) if slash else most
        if network and int(found) & ((1 << (most - kept)) - 1):
            return refuse(
                "22P02",
                f"{shown(text)} has bits set behind /{kept}, which no cidr has:"
                " make the column inet, or write the network's own address",
            )
        return Verdict(text)

    raw = pl.col(column.name)
    careful = second_look(pl.String(), bare(judge, "an address", grammar), lambda text: text)
    suspect = raw.is_not_null() & ~raw.str.contains(_PLAIN)
    return Check(column, pl.String(), raw, suspect, careful)


def hardware_check(column: Column, grammar: Grammar) -> Check:
    """Six pairs of hexadecimal digits (macaddr8: eight) with `:` or `-` between all, or plain.

    macaddr also takes `0123.4567.89ab`. The value has colons and small letters.
    """
    pairs = 8 if column.base == "macaddr8" else 6
    canonical = f"^{_PAIR}(?::{_PAIR}){{{pairs - 1}}}$"
    forms = [f"{_PAIR}(?P<mark>[:-]?){_PAIR}(?:(?P=mark){_PAIR}){{{pairs - 2}}}"]
    if pairs == 6:
        forms.append(r"[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}")
    formed = re.compile("|".join(forms))

    def judge(text: str) -> Verdict:
        low = text.lower()
        if formed.fullmatch(low) is None:
            reason = f"{shown(text)} is not {pairs} pairs of digits such as 08:00:2b:01:02:03"
            return refuse("22P02", reason + null_hint(text))
        digits = re.sub("[^0-9a-f]", "", low)
        return Verdict(":".join(digits[at : at + 2] for at in range(0, len(digits), 2)))

    raw = pl.col(column.name)
    careful = second_look(
        pl.String(), bare(judge, "a hardware address", grammar), lambda text: text
    )
    suspect = raw.is_not_null() & ~raw.str.contains(canonical)
    return Check(column, pl.String(), raw, suspect, careful)
