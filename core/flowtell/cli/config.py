"""Show the configuration, and where each value comes from."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import SETTINGS, Config, Setting, load

app = App(name="config", help="Show the configuration, and where each value comes from.")

_JSON_TYPES: dict[type, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    tuple: {"type": "array", "items": {"type": "string"}},
}


@app.command
def show(*, sources: bool = False, schema: bool = False, json: Json = False) -> None:
    """Show every setting as it holds here. Secrets are hidden.

    Args:
        sources: Also show which file or variable each value comes from.
        schema: Print the JSON Schema of flowtell.toml instead, for editors.
    """
    output = Output(json=json)
    if schema:
        output.print_json(file_schema())
        return
    config = load()
    if json:
        output.print_json(_as_json(config, sources=sources))
    else:
        columns = ("setting", "value", "from" if sources else "what it is")
        output.print_table(columns, [_row(config, setting, sources=sources) for setting in SETTINGS], wrap=True)


def _as_json(config: Config, *, sources: bool) -> dict[str, Any]:
    if not sources:
        return {key: config.shown(key) for key in config}
    return {key: {"value": config.shown(key), "source": config.sources[key]} for key in config}


def _row(config: Config, setting: Setting, *, sources: bool) -> tuple[cells.Value, ...]:
    value = config.shown(setting.key)
    text = ", ".join(value) if isinstance(value, tuple) else _spelled(value)
    source = config.sources[setting.key]
    right = cells.Cell(source, source, "dim", whole=False) if sources else setting.help
    return cells.Cell(setting.key, setting.key), text, right


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def file_schema() -> dict[str, Any]:
    """JSON Schema of `flowtell.toml`, and of `[tool.flowtell]` in `pyproject.toml`."""
    schema = _table()
    for setting in SETTINGS:
        *tables, name = setting.key.split(".")
        place = schema
        for table in tables:
            place = place["properties"].setdefault(table, _table())
        default = {} if setting.secret else {"default": setting.default}
        place["properties"][name] = {**_JSON_TYPES[setting.kind], "description": setting.help, **default}
    schema["properties"]["plugin"] = {"type": "object", "additionalProperties": {"type": "object"}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "flowtell.toml", **schema}


def _table() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}
