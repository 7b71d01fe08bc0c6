"""Which plugins are installed and on, what they failed on, a new one of your own, and the kit that checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts import App

from flowtell.cli import cells
from flowtell.cli.dead_events import dead, retry
from flowtell.cli.new_plugin import new
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.cli.plugin_check import check
from flowtell.config import Config, load
from flowtell.errors import PluginRefused

if TYPE_CHECKING:
    from flowtell.server.discovery import PluginSpec

app = App(name="plugins", help="Which plugins are installed and on, what they failed on, and one of your own.")
app.command(new)
app.command(check)
app.command(dead)
app.command(retry)

_STATES = {
    "on": cells.Cell("on", "✔ on", "green"),
    "off": cells.Cell("off", "- off", "dim"),
    "not configured": cells.Cell("not configured", "- not configured", "dim"),
    "refused": cells.Cell("refused", "✘ refused", "red"),
}


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every installed plugin: on, off, not configured or refused, and why; and whether it has a process of its own."""
    from flowtell.server.discovery import discover

    config = load()
    found = [(spec, *_state(spec, config)) for spec in discover(config)]
    output = Output(json=json)
    if json:
        output.print_json([_told(spec, state, problem, config) for spec, state, problem in found])
        return
    rows = [
        (spec.name, _STATES[state], _place(spec, config), spec.distribution, cells.Cell(spec.version, spec.version), problem)
        for spec, state, problem in found
    ]
    output.print_table(("plugin", "state", "runs in", "distribution", "version", "problem"), rows)


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


def _isolated(spec: PluginSpec, config: Config) -> bool:
    from flowtell.server.isolating import isolation_of

    try:
        return isolation_of(spec.name, spec.distribution, config) is not None
    except PluginRefused:  # its keys are wrong, which its state tells
        return True


def _place(spec: PluginSpec, config: Config) -> str:
    return "a process" if _isolated(spec, config) else "the server"


def _told(spec: PluginSpec, state: str, problem: str, config: Config) -> dict[str, Any]:
    names = ("name", "distribution", "version", "built_in", "enabled")
    told = {name: getattr(spec, name) for name in names}
    return {**told, "state": state, "isolated": _isolated(spec, config), "problem": problem}
