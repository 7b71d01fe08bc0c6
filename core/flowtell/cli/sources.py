"""Show, add and remove the feeds from elsewhere, with their lag."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cyclopts import App

from flowtell.cli import cells, source_table
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.cli.session import open_session
from flowtell.config import Config
from flowtell.errors import SourceRefused

if TYPE_CHECKING:
    from flowtell.store.store import Store

app = App(name="sources", help="Show, add and remove the feeds from elsewhere, with their lag.")

_STATES = {
    "up": cells.Cell("up", "✔ up", "green"),
    "down": cells.Cell("down", "✘ down", "red"),
    "refused": cells.Cell("refused", "✘ refused", "red"),
    "not seen yet": cells.Cell("not seen yet", "- not seen yet", "dim"),
}


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every source of the configuration: up or down, how far behind, and its last error."""
    with open_session(json=json) as session:
        found = [_facts(name, session.config, session.store) for name in session.config.source_names]
        if json:
            session.print_json(found)
            return
        rows = [
            (each["name"], each["kind"], _STATES[each["state"]], _lag(each["lag_seconds"]), each["error"]) for each in found
        ]
        session.print_table(("source", "kind", "state", "lag", "last error"), rows, wrap=True)
        if not found:
            session.say("No source is configured. 'flowtell sources add prefect --api-url URL' adds one.")


def _facts(name: str, config: Config, store: Store) -> dict[str, Any]:
    """What the log knows of a source, and whether a server would take its table."""
    from flowtell.runner import system_clock
    from flowtell.source.memory import last_cursor, last_state

    state, error, since = last_state(store, name)
    _, complete_until = last_cursor(store, name)
    problem = _problem(name, config)
    lag = None if complete_until is None else max((system_clock() - complete_until) / 1e6, 0.0)
    return {
        "name": name,
        "kind": config.source(name).get("kind", name),
        "state": "refused" if problem else state or "not seen yet",
        "since": since or None,
        "complete_until": complete_until,
        "lag_seconds": lag,
        "error": problem or error,
    }


def _problem(name: str, config: Config) -> str:
    from flowtell.source.discovery import find_kind, load_factory, make_source

    settings = config.source(name)
    kind, _ = settings.pop("kind", name), settings.pop("environment", "")
    try:
        make_source(name, load_factory(name, find_kind(name, kind)), settings)
    except SourceRefused as error:
        return error.problem
    return ""


def _lag(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s"


@app.command
def add(
    kind: str,
    *,
    name: str = "",
    api_url: str = "",
    api_key: str = "",
    auth_string: str = "",
    environment: str = "",
    json: Json = False,
) -> None:
    """Add a source to flowtell.toml, or to [tool.flowtell] of pyproject.toml where that is used.

    Secrets are better kept out of files: FLOWTELL_SOURCE__NAME__API_KEY, or …__API_KEY_FILE with a path.

    Args:
        kind: What it reads, such as prefect.
        name: What to call it; its kind where left out.
        api_url: Address of what it reads.
        api_key: Key to show there.
        auth_string: User and password to show there, as user:password.
        environment: Environment that its events carry; that of the configuration where left out.
    """
    name = name or kind
    from flowtell.source.discovery import find_kind, load_factory, make_source

    given = {"api_url": api_url, "api_key": api_key, "auth_string": auth_string}
    keys = {key: value for key, value in given.items() if value}
    make_source(name, load_factory(name, find_kind(name, kind)), keys)
    table = {"kind": kind, **({"environment": environment} if environment else {}), **keys}
    path = source_table.add(name, table, os.getcwd())
    output = Output(json=json)
    if json:
        output.print_json({"name": name, "kind": kind, "file": path})
    else:
        output.print_facts([("source", name), ("kind", kind), ("file", path)])
        output.say("'flowtell up' feeds it; a server that runs takes it up when it is started again.")


@app.command
def remove(name: str, *, json: Json = False) -> None:
    """Take a source out of the configuration. What it fed stays in the log.

    Args:
        name: What it is called there.
    """
    path = source_table.remove(name, os.getcwd())
    output = Output(json=json)
    if json:
        output.print_json({"name": name, "file": path})
    else:
        output.print_facts([("source", name), ("removed from", path)])
