"""The statements of the log's own transaction that all stores share."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, Connection, Dialect, Table, and_, case, func, literal_column, or_
from sqlalchemy.dialects import postgresql, sqlite

from flowtell.store.tables import counters, events, flows, runs, task_runs

LAST_SEQ: Final = "last_seq"
"""The counter that knows the highest place ever given in the log."""

_LAST_WORD: Final = ("ended", "duration", "cpu_seconds", "peak_memory", "error", "signal")
_BY_TIME: Final = ("state", "native_state", "changed")
_ALWAYS_NEW: Final = ("last_seq",)
_ALWAYS_OLD: Final = ("first_seq",)

RUN_COLUMNS: Final = tuple(column.name for column in runs.columns)
TASK_RUN_COLUMNS: Final = tuple(column.name for column in task_runs.columns)
EVENT_COLUMNS: Final = tuple(column.name for column in events.columns)
FLOW_COLUMNS: Final = tuple(column.name for column in flows.columns)


def insert_for(dialect: Dialect, table: Table) -> Any:
    """An INSERT of this store's kind, which can say ON CONFLICT."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def merge(insert: Any, table: Table) -> Any:
    """Insert facts of a run, or add them to those the table has, by the rules of the fold (`flowtell.fold`)."""
    keys = [column.name for column in table.primary_key]
    changes = {
        column.name: _merged(column, insert.excluded[column.name], table, insert.excluded)
        for column in table.columns
        if column.name not in keys
    }
    return insert.on_conflict_do_update(index_elements=keys, set_=changes)


def _merged(old: Column[Any], new: Any, table: Table, excluded: Any) -> Any:
    name = old.name
    if name == "started":
        return _earlier(old, new)
    if name in _BY_TIME:
        wins = or_(excluded.ended.is_not(None), excluded.changed >= table.c.changed)
        return case((table.c.ended.is_not(None), old), (wins, new), else_=old)
    if name in _LAST_WORD:
        return case((table.c.ended.is_not(None), old), else_=func.coalesce(new, old))
    if name == "attempts":
        return case((new > old, new), else_=old)
    if name == "corrections":
        return old + new
    if name == "writer":
        return case((excluded.started.is_not(None), new), else_=old)
    if name in _ALWAYS_NEW:
        return new
    if name in _ALWAYS_OLD:
        return old
    if not old.nullable:  # text that is empty while unknown
        return case((old == literal_column("''"), new), else_=old)
    leads = and_(excluded.started.is_not(None), or_(table.c.started.is_(None), excluded.started < table.c.started))
    return case((leads, func.coalesce(new, old)), else_=func.coalesce(old, new))


def _earlier(old: Column[Any], new: Any) -> Any:
    return case((old.is_(None), new), (new.is_(None), old), (new < old, new), else_=old)


def replace_flow(dialect: Dialect) -> Any:
    """Keep the latest declaration of a flow."""
    statement = insert_for(dialect, flows)
    keys = ["flow", "environment"]
    changes = {name: statement.excluded[name] for name in FLOW_COLUMNS if name not in keys}
    return statement.on_conflict_do_update(
        index_elements=keys, set_=changes, where=statement.excluded.declared >= func.coalesce(flows.c.declared, 0)
    )


def add_to_counter(connection: Connection, name: str, amount: int) -> int:
    """What one of the log's own counters is now."""
    statement = insert_for(connection.dialect, counters).values(name=name, value=amount)
    changed = statement.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + amount})
    return int(connection.execute(changed.returning(counters.c.value)).scalar_one())


def set_counter(connection: Connection, name: str, value: int) -> None:
    statement = insert_for(connection.dialect, counters).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
