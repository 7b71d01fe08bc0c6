"""JSON Schemas of the events, made from the structs that define them."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final, Union

import msgspec

from flowtell.cli.outcome import Misuse
from flowtell.events import TYPES, UserEvent

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(type: str = "") -> dict[str, Any]:
    """The schema of one event type by its wire name; of any event when it is empty.

    Raises:
        Misuse: there is no such type.
    """
    if type and type not in TYPES:
        close = difflib.get_close_matches(type, TYPES, n=1)
        hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(sorted(TYPES))}."
        raise Misuse(f"There is no event type '{type}' with a schema. {hint}")
    kind: Any = TYPES[type] if type else Union[tuple(TYPES.values())]  # noqa: UP007  # made at run time
    return {"$schema": _DIALECT, **msgspec.json.schema(kind)}


def write_schemas(folder: Path) -> None:
    """Write `TYPE.json` for every type, and `event.json` for any of them or an event under a name of one's own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TYPES:
        _write(folder / f"{name}.json", schema_of(name))
    own_name = msgspec.json.schema(UserEvent)["$defs"]["UserEvent"]
    any_of = [*({"$ref": f"{name}.json"} for name in sorted(TYPES)), own_name]
    _write(folder / "event.json", {"$schema": _DIALECT, "anyOf": any_of})


def _write(path: Path, schema: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2) + b"\n")
