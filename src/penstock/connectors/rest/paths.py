"""Places in JSON, and templates of JSON and paths. Not for: what they mean (`modules`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

#: Stands for nothing at a place.
MISSING = object()
#: A whole text that is replaced by the record, or by the list of them.
RECORD, RECORDS = "{record}", "{records}"
_FIELD = re.compile(r"\{([^{}]+)\}")


def at(value: Any, path: str) -> Any:
    """What is at `data.items.0` of a value; itself for an empty path; `MISSING`: nothing.

    `-1` is the last element of a list.
    """
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, list) and part == "-1" and value:
            value = value[-1]
        else:
            return MISSING
    return value


def text_of(value: Any) -> str:
    """A value of JSON as the text by which records are compared; nothing, NULL and "" are one."""
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def fields_of(template: Any) -> Iterator[str]:
    """The record's fields that a template names."""
    if isinstance(template, str):
        if template not in (RECORD, RECORDS):
            yield from _FIELD.findall(template)
    elif isinstance(template, Mapping):
        for one in template.values():
            yield from fields_of(one)
    elif isinstance(template, (list, tuple)):
        for one in template:
            yield from fields_of(one)


def filled(template: Any, fields: Mapping[str, Any], record: Any = MISSING) -> Any:
    """A template with its places filled; what is put in is not looked at again.

    Args:
        template: JSON: a text that is `{record}` or `{records}` becomes `record`; with the key
            `"*"` a record's fields become members beside the others; a text that is `{field}`
            becomes the field's value, and a longer one has it as text.
        fields: The record's fields.
        record: What `{record}` or `{records}` stands for.
    """
    if isinstance(template, str):
        if template in (RECORD, RECORDS):
            return record
        whole = _FIELD.fullmatch(template)
        if whole:
            return fields[whole[1]]
        return _FIELD.sub(lambda found: text_of(fields[found[1]]), template)
    if isinstance(template, Mapping):
        made = {key: filled(one, fields, record) for key, one in template.items() if key != "*"}
        return {**made, **filled(template["*"], fields, record)} if "*" in template else made
    if isinstance(template, (list, tuple)):
        return [filled(one, fields, record) for one in template]
    return template


def path_of(template: str, fields: Mapping[str, Any]) -> str:
    """A path with fields in it; a slash in a value is no other folder."""
    return _FIELD.sub(lambda found: quote(text_of(fields[found[1]]), safe=""), template)
