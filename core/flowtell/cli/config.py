"""Show the configuration, and where each value comes from."""

from __future__ import annotations

from typing import Any

import msgspec
from cyclopts import App

from flowtell.automations.statement import MOST_HOPS, SPAN_KEYS, TRIGGER_KEYS
from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import SETTINGS, Config, Setting, load
from flowtell.named_settings import all_settings
from flowtell.rule_file import SELECTORS, argument_types
from flowtell.rules import KINDS, SEVERITIES
from flowtell.secrets import MASK
from flowtell.server.isolating import keys_schema

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
    named = _named(config)
    if json:
        output.print_json({**_as_json(config, sources=sources), **_named_as_json(named, sources=sources)})
    else:
        columns = ("setting", "value", "from" if sources else "what it is")
        rows = [_row(config, setting, sources=sources) for setting in SETTINGS]
        output.print_table(columns, rows + [_named_row(key, source, sources=sources) for key, source in named], wrap=True)


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


def _named(config: Config) -> list[tuple[str, str]]:
    """Key and source of every value of named settings. Only a class of the user's knows which are secret: all are hidden."""
    return [
        (".".join(("settings", kind, name, *one.path)), one.source)
        for (kind, name), given in sorted(all_settings(config).items())
        for one in given
    ]


def _named_as_json(named: list[tuple[str, str]], *, sources: bool) -> dict[str, Any]:
    return {key: {"value": MASK, "source": source} if sources else MASK for key, source in named}


def _named_row(key: str, source: str, *, sources: bool) -> tuple[cells.Value, ...]:
    right = cells.Cell(source, source, "dim", whole=False) if sources else "Of the class that loads it."
    return cells.Cell(key, key), MASK, right


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
    for free, known in (("plugin", keys_schema()), ("source", {}), ("channel", {})):
        schema["properties"][free] = {"type": "object", "additionalProperties": {"type": "object", "properties": known}}
    limit = {"type": "object", "additionalProperties": {"type": "integer"}}
    of_names = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "object"}}}
    schema["properties"]["settings"] = of_names
    environment = {**_table(), "properties": {"settings": of_names}}
    schema["properties"]["environments"] = {"type": "object", "additionalProperties": environment}
    schema["properties"]["limits"] = {**_table(), "properties": dict.fromkeys(("flow", "tag", "name"), limit)}
    schema["properties"]["automations"] = {"type": "array", "items": _automation_table()}
    schema["properties"]["rules"] = {"type": "array", "items": _rule_table()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "flowtell.toml", **schema}


def _rule_table() -> dict[str, Any]:
    """A table `[[rules]]`: what every rule has, and the arguments of all kinds."""
    arguments = {
        name: {"description": f"Of {', '.join(kinds)}.", **msgspec.json.schema(kind)}
        for name, (kind, kinds) in argument_types().items()
    }
    patterns = {"type": ["string", "array"], "items": {"type": "string"}, "description": "Patterns; '!' takes out."}
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": {"enum": list(KINDS)},
            "off": {"type": "boolean"},
            **dict.fromkeys(SELECTORS, patterns),
            "severity": {"enum": list(SEVERITIES)},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "runbook": {"type": "string"},
            **arguments,
        },
    }


def _automation_table() -> dict[str, Any]:
    """A table `[[automations]]`."""
    patterns = {"type": ["string", "array"], "items": {"type": "string"}, "description": "Patterns; '!' takes out."}
    span = {"type": ["string", "number"], "description": "A span such as '2h', or seconds."}
    when = {**_table(), "properties": {**dict.fromkeys(TRIGGER_KEYS, patterns), "within": span}}
    return {
        **_table(),
        "required": ["name", "when", "run"],
        "properties": {
            **{key: {"type": "string"} for key in ("name", "run", "environment")},
            "when": {"anyOf": [{"type": "string"}, when]},
            "parameters": {"type": "object"},
            **dict.fromkeys(SPAN_KEYS, span),
            "max_hops": {"type": "integer", "minimum": 1, "maximum": MOST_HOPS},
            "active": {"type": "boolean"},
        },
    }


def _table() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}
