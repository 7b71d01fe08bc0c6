"""Bring in what happened elsewhere before flowtell came; what is in already is not added again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cyclopts import App

from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import load
from flowtell.source.writing import SourceJournal

app = App(
    name="import", help="Bring in what happened elsewhere before flowtell came; what is in already is not added again."
)


def _add_those_of_others() -> None:
    """Other distributions bring theirs by the entry-point group `flowtell.importers`: a name and a command's function."""
    from importlib.metadata import entry_points

    for point in entry_points(group="flowtell.importers"):
        app.command(point.load(), name=point.name)


_add_those_of_others()


@app.command
def prefect(
    *,
    source: str = "prefect",
    api_url: str = "",
    api_key: str = "",
    auth_string: str = "",
    days: float = 30.0,
    json: Json = False,
) -> None:
    """Bring in a Prefect server's runs, newest first, with their tasks and assets.

    Args:
        source: Table [source.NAME] that has the address; its name is put on what comes in.
        api_url: Address of the API, in place of the table's.
        api_key: Key, in place of the table's.
        auth_string: User and password as user:password, in place of the table's.
        days: How far back.
    """
    from flowtell_sources.prefect.past import Past
    from flowtell_sources.prefect.settings import read_settings

    config, output = load(), Output(json=json)
    table = config.source(source)
    environment = table.pop("environment", config["environment"])
    given = {"api_url": api_url, "api_key": api_key, "auth_string": auth_string}
    table = {**{key: value for key, value in table.items() if key != "kind"}, **{k: v for k, v in given.items() if v}}
    journal = SourceJournal(config.home, source, environment)
    past = Past(read_settings(table), journal, days=days)
    try:
        with _progress(past.count(), output) as advance:
            runs = past.read(advance)
    finally:
        past.close()
        journal.close()
    if json:
        output.print_json({"source": source, "flow_runs": runs, "events": past.events})
    else:
        output.print_facts([("source", source), ("flow runs", f"{runs:,}"), ("events", f"{past.events:,}")])


@contextmanager
def _progress(total: int, output: Output) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("flow runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.messages, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=min(done, total))
