"""Answers as people type them: `field=value`, read as the question's schema has the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flowtell.answers.fitting import Schema, resolved


def fields_of(schema: Schema) -> Mapping[str, Schema]:
    """The fields that are asked for, by name; none where a plain value is."""
    properties = schema.get("properties")
    return {name: resolved(field, schema) for name, field in properties.items()} if isinstance(properties, Mapping) else {}


def read_value(text: str, schema: Schema, root: Schema) -> Any:
    """`text` as what the schema wants; where that may be text, it is text unless only something else can be meant.

    What fits nothing stays text, for the check to say what is wrong with it.
    """
    kinds = _kinds(schema, root)
    if "boolean" in kinds and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if "string" in kinds or _has_text(schema, root):
        return None if "null" in kinds and text == "null" else text
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text


_WORDS = {"true": True, "yes": True, "y": True, "on": True, "false": False, "no": False, "n": False, "off": False}


def _kinds(schema: Schema, root: Schema) -> set[str]:
    """The kinds of JSON that may stand there, as far as the schema says."""
    schema = resolved(schema, root)
    kind = schema.get("type")
    found = {kind} if isinstance(kind, str) else set()
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        found |= _kinds(choice, root)
    return found


def _has_text(schema: Schema, root: Schema) -> bool:
    schema = resolved(schema, root)
    return any(isinstance(value, str) for value in (*schema.get("enum", ()), schema.get("const")))
