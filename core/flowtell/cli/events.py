"""Print the event log, or the JSON Schemas of its events."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from flowtell.cli.event_lines import print_event
from flowtell.cli.event_schemas import schema_of, write_schemas
from flowtell.cli.options import Follow, JsonLines
from flowtell.cli.outcome import Misuse
from flowtell.cli.session import Session, open_session

app = App(name="events")

_PAGE = 1000
_POLL_SECONDS = 0.5


@app.default
def events(
    *,
    follow: Follow = False,
    type: tuple[str, ...] = (),
    after: int | None = None,
    limit: int = 50,
    json: JsonLines = False,
) -> None:
    """Print the newest events of the log, or those behind a place in it, in log order.

    Args:
        type: Only events of this type, such as flow_run.finished; give it again for more than one.
        after: Begin behind this place in the log (`seq`) instead of near its end.
        limit: How many events to print; with --follow, how many of those that are there already.
    """
    if limit < 1:
        raise Misuse("--limit counts events: at least 1")
    with open_session(json=json) as session:
        begin = _place_before_the_last(session, limit, type) if after is None else after
        seen = _print_after(session, begin, type, limit)
        while follow:
            time.sleep(_POLL_SECONDS)
            session.catch_up()
            seen = _print_after(session, seen, type)


def _place_before_the_last(session: Session, limit: int, types: tuple[str, ...]) -> int:
    from sqlalchemy import select

    from flowtell.store.tables import events as log

    newest = select(log.c.seq).order_by(log.c.seq.desc()).limit(limit)
    rows = session.read(newest.where(log.c.type.in_(types)) if types else newest)
    return rows[-1].seq - 1 if rows else session.store.log.head()


def _print_after(session: Session, after: int, types: tuple[str, ...], limit: int | None = None) -> int:
    """Print at most `limit` events; returns the place of the last one."""
    left = limit
    while left is None or left > 0:
        page = session.store.log.read_lines(after, _PAGE if left is None else min(left, _PAGE), types)
        if not page:
            break
        for _, line in page:
            print_event(session, line)
        session.flush()
        after = page[-1][0]
        left = None if left is None else left - len(page)
    return after


@app.command
def schema(
    type: str = "",
    /,
    *,
    output: Annotated[Path | None, Parameter(help="A folder to write one file for each type into.")] = None,
) -> None:
    """Print the JSON Schema of an event type, or of them all."""
    if output is not None:
        write_schemas(output)
    else:
        print(msgspec.json.format(msgspec.json.encode(schema_of(type)), indent=2).decode())
