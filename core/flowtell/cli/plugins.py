"""Show which plugins are installed and which of them are on."""

from __future__ import annotations

from cyclopts import App

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import load

app = App(name="plugins", help="Show which plugins are installed and which of them are on.")

_ON = cells.Cell("on", "✔ on", "green")
_OFF = cells.Cell("off", "- off", "dim")
_REFUSED = cells.Cell("refused", "✘ refused", "red")


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every installed plugin: on, off or refused, and why."""
    from flowtell.server.discovery import PluginSpec, discover

    def row(spec: PluginSpec) -> tuple[cells.Value, ...]:
        state = _REFUSED if spec.problem else _ON if spec.enabled else _OFF
        return spec.name, state, spec.distribution, cells.Cell(spec.version, spec.version), spec.problem

    output = Output(json=json)
    specs = discover(load())
    if json:
        names = ("name", "distribution", "version", "built_in", "enabled", "problem")
        output.print_json([{name: getattr(spec, name) for name in names} for spec in specs])
    else:
        output.print_table(("plugin", "state", "distribution", "version", "problem"), map(row, specs))
