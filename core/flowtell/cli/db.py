"""Look after the store: how large it is, and deleting what is old."""

from __future__ import annotations

import os

from cyclopts import App

from flowtell.cli import cells
from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.cli.session import Session, open_session
from flowtell.config import Config, load
from flowtell.store.reading import Count, StoreStats, store_stats

app = App(name="db", help="Look after the store: how large it is, and deleting what is old.")


@app.command
def stats(*, json: Json = False) -> None:
    """Show sizes, rows, journals, and how far each plugin has read."""
    with open_session(json=json) as session:
        found, sizes = store_stats(session.read), _sizes(session.config)
        if json:
            session.print_json({"sizes": sizes, "stats": found})
        else:
            _print_stats(session, found, sizes)


def _print_stats(session: Session, found: StoreStats, sizes: dict[str, int]) -> None:
    session.print_facts(
        [
            *((f"{name} size", cells.size(count)) for name, count in sizes.items()),
            ("newest event", found.head),
            ("oldest event", cells.moment(found.oldest)),
            *((name.replace("_", " "), _counted(count)) for name, count in found.tables.items()),
            ("processes", f"{found.writers} met, {found.live_writers} alive"),
            ("rejected lines", found.rejected),
            ("dropped events", found.dropped),
        ]
    )
    if found.cursors:
        session.print_heading("Plugins")
        rows = [(one.plugin, one.seq, one.lag_events, one.dead_events, cells.moment(one.moved)) for one in found.cursors]
        session.print_table(("plugin", "has read to", "behind", "set aside", "moved"), rows)


def _counted(count: Count) -> cells.Cell:
    more = "+" if count.more else ""
    return cells.Cell(f"{count.rows}{more}", f"{count.rows:,}{more}")


def _sizes(config: Config) -> dict[str, int]:
    """Bytes on disk: of the store where it is a file, and of the journals that still are."""
    from flowtell.server.catch_up import journal_ends

    journals = journal_ends(config.home)
    return {"store": _store_bytes(config.store_url), "journals": sum(journals.values())}


def _store_bytes(url: str) -> int:
    from sqlalchemy import make_url

    path = make_url(url).database or ""
    files = (path, f"{path}-wal")  # what was committed last stands in the second until a checkpoint
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


@app.command
def prune(*, dry_run: bool = False, json: Json = False) -> None:
    """Delete what is older than its keeping time; a running server does so by itself every hour.

    Args:
        dry_run: Only count what would be deleted.
    """
    log_to_stderr()
    config, output = load(), Output(json=json)
    counted = _prune(config, dry_run=dry_run)
    if json:
        output.print_json({"dry_run": dry_run, "rows": counted})
        return
    output.print_table(("what", "would go" if dry_run else "gone"), list(counted.items()))


def _prune(config: Config, *, dry_run: bool) -> dict[str, int]:
    from flowtell.server.role import server_role

    if dry_run:
        return _delete_old(config, dry_run=True)
    with server_role(config.home):  # whoever holds it is the one that writes
        return _delete_old(config, dry_run=False)


def _delete_old(config: Config, *, dry_run: bool) -> dict[str, int]:
    from flowtell.runner import system_clock
    from flowtell.server.retention import prune as delete_old
    from flowtell.store import open_store

    store = open_store(config.store_url, read_only=dry_run)
    try:
        counted = delete_old(store, config, now=system_clock(), dry_run=dry_run)
        if not dry_run:
            store.checkpoint()
    finally:
        store.close()
    return counted
