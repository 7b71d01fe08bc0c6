"""`{{ payload.day }}` in a parameter becomes that field of the event. Names and numbers only: nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flowtell.errors import NoSuchField
from flowtell.events import Event, encode

_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*\}\}")
_ANY: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_MOMENTS: Final = ("time", "due", "received", "until", "since")


def fields_of(event: Event) -> dict[str, Any]:
    """The event's fields as they are written, its moments as text such as 2026-11-25T14:00:00+00:00."""
    fields: dict[str, Any] = msgspec.json.decode(encode(event))
    for name in _MOMENTS:
        if isinstance(fields.get(name), int):
            fields[name] = datetime.fromtimestamp(fields[name] / 1e6, UTC).isoformat()
    return fields


def filled(template: Any, fields: Mapping[str, Any]) -> Any:
    """The template with each place filled. A text that is one place becomes the field's value as it is, else its text.

    Raises:
        NoSuchField: a place names a field that there is not.
    """
    if isinstance(template, dict):
        return {key: filled(value, fields) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, fields) for value in template]
    if not isinstance(template, str):
        return template
    alone = _PLACE.fullmatch(template.strip())
    if alone:
        return _field(alone[1], fields)
    return _PLACE.sub(lambda place: _as_text(_field(place[1], fields)), template)


def check_template(template: Any) -> None:
    """See that each `{{ … }}` is a name.

    Raises:
        ValueError: one is something else.
    """
    if isinstance(template, dict):
        template = list(template.values())
    if isinstance(template, list):
        for value in template:
            check_template(value)
    elif isinstance(template, str):
        for found in _ANY.finditer(template):
            if not _PLACE.fullmatch(found[0]):
                raise ValueError(f"'{found[0]}' is no field such as '{{{{ payload.day }}}}'; nothing is evaluated")


def _field(path: str, fields: Mapping[str, Any]) -> Any:
    value: Any = fields
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            known = tuple(value) if isinstance(value, Mapping) else ()
            raise NoSuchField(path, tuple(str(one) for one in known))
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
