"""Plain data as YAML, for people to read: text of several lines as a block, the rest quoted as JSON, which YAML includes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z/][\w./-]*")
_NOT_TEXT: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def yaml_text(value: Mapping[str, Any], heading: str = "") -> str:
    """A document, with `heading` as a comment above it."""
    lead = [f"# {line}" for line in heading.splitlines()]
    return "\n".join([*lead, *_mapping(value)]) + "\n"


def _mapping(value: Mapping[str, Any]) -> Iterator[str]:
    for key, inner in value.items():
        first, *rest = _value(inner)
        yield f"{_scalar(key)}:{first}"
        yield from rest


def _sequence(value: Sequence[Any]) -> Iterator[str]:
    for inner in value:
        lines = list(_mapping(inner)) if isinstance(inner, Mapping) and inner else [_value(inner)[0].lstrip()]
        yield f"- {lines[0]}"
        yield from [f"  {line}" for line in lines[1:]]


def _value(value: Any) -> list[str]:
    """What follows a key on its line, and the lines below it."""
    if isinstance(value, Mapping):
        return ["", *[f"  {line}" for line in _mapping(value)]] if value else [" {}"]
    if isinstance(value, list | tuple):
        return ["", *[f"  {line}" for line in _sequence(value)]] if value else [" []"]
    if isinstance(value, str) and "\n" in value:
        return [" |-" if not value.endswith("\n") else " |", *[f"  {line}".rstrip() for line in value.splitlines()]]
    return [f" {_scalar(value)}"]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)
