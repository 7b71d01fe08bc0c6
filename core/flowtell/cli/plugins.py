"""Show which plugins are installed and which of them are on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts import App

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import Config, load
from flowtell.errors import PluginRefused

if TYPE_CHECKING:
    from flowtell.server.discovery import PluginSpec

app = App(name="plugins", help="Show which plugins are installed and which of them are on.")

_STATES = {
    "on": cells.Cell("on", "✔ on", "green"),
    "off": cells.Cell("off", "- off", "dim"),
    "not configured": cells.Cell("not configured", "- not configured", "dim"),
    "refused": cells.Cell("refused", "✘ refused", "red"),
}


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every installed plugin: on, off, not configured or refused, and why."""
    from flowtell.server.discovery import discover

    config = load()
    found = [(spec, *_state(spec, config)) for spec in discover(config)]
    output = Output(json=json)
    if json:
        output.print_json([_told(spec, state, problem) for spec, state, problem in found])
        return
    rows = [
        (spec.name, _STATES[state], spec.distribution, cells.Cell(spec.version, spec.version), problem)
        for spec, state, problem in found
    ]
    output.print_table(("plugin", "state", "distribution", "version", "problem"), rows)


def _state(spec: PluginSpec, config: Config) -> tuple[str, str]:
    """What becomes of the plugin in a server with this configuration, and why."""
    from flowtell.server.discovery import make_plugin

    if spec.problem:
        return "refused", spec.problem
    if not spec.enabled:
        return "off", ""
    try:
        return ("not configured" if make_plugin(spec, config) is None else "on"), ""
    except PluginRefused as error:
        return "refused", error.problem


def _told(spec: PluginSpec, state: str, problem: str) -> dict[str, Any]:
    names = ("name", "distribution", "version", "built_in", "enabled")
    return {**{name: getattr(spec, name) for name in names}, "state": state, "problem": problem}
