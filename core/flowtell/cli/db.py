"""Look after the store: sizes, deleting what is old, upgrades, backups, and moving it elsewhere."""

from __future__ import annotations

from cyclopts import App

from flowtell.cli import cells
from flowtell.cli.backups import backup, restore
from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.moving import export, import_
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.cli.session import Session, open_session
from flowtell.config import Config, load
from flowtell.store.reading import Count, StoreStats, store_stats
from flowtell.store.upgrading import Step

app = App(name="db", help="Look after the store: sizes, deleting what is old, upgrades, backups, and moving it elsewhere.")
app.command(backup)
app.command(restore)
app.command(export)
app.command(import_, name="import")


@app.command
def stats(*, json: Json = False) -> None:
    """Show sizes, rows, journals, and how far each plugin has read."""
    with open_session(json=json) as session:
        found, sizes = store_stats(session.read), _sizes(session)
        more = session.store.database.particulars()
        if json:
            session.print_json({"sizes": sizes, "stats": found, "database": more})
        else:
            _print_stats(session, found, sizes, more)


def _print_stats(session: Session, found: StoreStats, sizes: dict[str, int], more: dict[str, str | int]) -> None:
    session.print_facts(
        [
            ("store", session.store.url.render_as_string()),
            *((f"{name} size", cells.size(count)) for name, count in sizes.items()),
            ("newest event", found.head),
            ("oldest event", cells.moment(found.oldest)),
            *((name.replace("_", " "), _counted(count)) for name, count in found.tables.items()),
            ("processes", f"{found.writers} met, {found.live_writers} alive"),
            ("rejected lines", found.rejected),
            ("dropped events", found.dropped),
            *more.items(),
        ]
    )
    if found.cursors:
        session.print_heading("Plugins")
        rows = [(one.plugin, one.seq, one.lag_events, one.dead_events, cells.moment(one.moved)) for one in found.cursors]
        session.print_table(("plugin", "has read to", "behind", "set aside", "moved"), rows)


def _counted(count: Count) -> cells.Cell:
    more = "+" if count.more else ""
    return cells.Cell(f"{count.rows}{more}", f"{count.rows:,}{more}")


def _sizes(session: Session) -> dict[str, int]:
    """Bytes on disk: of the store, and of the journals that still are."""
    from flowtell.server.catch_up import journal_ends

    journals = journal_ends(session.config.home)
    return {"store": session.store.database.size(), "journals": sum(journals.values())}


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
    from flowtell.runner import system_clock
    from flowtell.server.retention import prune as delete_old
    from flowtell.server.writing import writing_store
    from flowtell.store import open_store

    if dry_run:
        store = open_store(config.store_url, read_only=True)
        try:
            return delete_old(store, config, now=system_clock(), dry_run=True)
        finally:
            store.close()
    with writing_store(config) as store:
        counted = delete_old(store, config, now=system_clock())
        store.checkpoint()
    return counted


@app.command
def upgrade(*, dry_run: bool = False, json: Json = False) -> None:
    """Bring the store of an earlier release up to date; on SQLite, opening it does so by itself.

    Args:
        dry_run: Only say what would be done.
    """
    log_to_stderr()
    config, output = load(), Output(json=json)
    steps = _due(config) if dry_run else _upgrade(config)
    if json:
        output.print_json({"dry_run": dry_run, "steps": [{"version": step.version, "title": step.title} for step in steps]})
        return
    output.print_table(("version", "would be done" if dry_run else "done"), [(step.version, step.title) for step in steps])
    if not steps:
        output.say("The store is up to date.")


def _due(config: Config) -> list[Step]:
    from flowtell.store.opening import open_database
    from flowtell.store.upgrading import steps_due

    database = open_database(config.store_url, read_only=True, session="")
    try:
        return steps_due(database)
    finally:
        database.close()


def _upgrade(config: Config) -> list[Step]:
    from flowtell.server.writing import upgrade_store

    return upgrade_store(config)
