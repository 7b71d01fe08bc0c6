"""What task runs were making whose process is gone: failed, by ids that follow from the beginning's.

An end that the process had told itself has the same id and stands: the log takes an id once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, select

from flowtell.events import AssetMaterializing, decode
from flowtell.ids import following_id, is_id
from flowtell.store.packing import unpack
from flowtell.store.tables import events

_AT_ONCE_MS: Final = 5_000
"""A run says what it makes as it starts, and ids begin with their moment: no other part of the log is looked at."""

_COMMON: Final = ("run", "root_run", "flow", "task_run", "task", "asset", "upstream", "unfollowed", "by")


def begun_assets(connection: Connection, task_run: str, started: int | None) -> Iterator[dict[str, Any]]:
    """For each asset that the task run had begun to make, what the event of its failure has in common with that."""
    if not started:
        return
    began = started // 1000
    wanted = select(events).where(
        events.c.id >= f"{began:012x}",
        events.c.id < f"{began + _AT_ONCE_MS:012x}",
        events.c.type == AssetMaterializing.type,
        events.c.task_run == task_run,
    )
    for row in connection.execute(wanted).all():
        if not is_id(row.id):  # a source's own, which tells its own ends
            continue
        event = decode(unpack(row.type, row.id, row.time, row.run, row.task_run, row.flow, row.task, row.data))
        yield {"id": following_id(event.id), **{name: getattr(event, name) for name in _COMMON}}
