"""Fields that a map's dictionary names twice: Python keeps the last and says nothing.

Read from the source of the call, where there is one. Not for: what a map's values are.
"""

from __future__ import annotations

import ast
import linecache
from collections import Counter
from itertools import islice
from types import FrameType


def named_twice(caller: FrameType) -> list[str]:
    """The texts that a dictionary in the call that `caller` is at has twice as keys.

    Empty where the source cannot be read, as in a terminal.
    """
    positions = caller.f_code.co_positions()
    place = next(islice(positions, caller.f_lasti // 2, None), (None,) * 4)
    text = "".join(linecache.getlines(caller.f_code.co_filename, caller.f_globals))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _place(node) == place:
            times = Counter(
                key.value
                for one in ast.walk(node)
                if isinstance(one, ast.Dict) and one in node.args
                for key in one.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            )
            return [name for name, count in times.items() if count > 1]
    return []


def _place(node: ast.Call) -> tuple[int | None, ...]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
