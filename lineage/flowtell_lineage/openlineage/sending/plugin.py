"""The plugin `openlineage_out`: every run and asset as OpenLineage events, to wherever its client can send.

Its cursor is the outbox: it moves when the transport has taken an event, so what happens while a catalogue is down goes out
when it is back. A run's START goes at once, its data with its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, insert, literal, select

from flowtell.decoders import decoder
from flowtell.errors import ExtraMissing
from flowtell.events import CodePlace, Event, FlowDeclared, decode, encode
from flowtell.plugin import BasePlugin, Context
from flowtell.store.tables import flows, runs, task_runs
from flowtell_lineage.openlineage.sending.settings import PLUGIN, Settings, chosen
from flowtell_lineage.openlineage.sending.tables import kept, metadata

_KEEP: Final = 90 * 86_400_000_000
"""µs for which a run's events wait for its end."""
_WANTED: Final = (
    "flow.declared", "flow_run.started", "flow_run.finished", "task_run.started", "task_run.finished",
    "asset.declared", "asset.removed", "asset.materializing", "asset.materialized", "asset.failed", "asset.cached",
    "asset.observed", "asset.checked",
)  # fmt: skip


def create(config: Mapping[str, Any]) -> OpenLineageOut | None:
    """The factory that the entry point names. Off unless a place to send to is known, or `enabled` says so.

    Raises:
        ExtraMissing: it is on, and openlineage-python is not installed.
    """
    found = chosen(config)
    if found is None:
        return None
    try:
        import openlineage.client  # noqa: F401  # found out now, not at the first batch
    except ImportError as error:
        raise ExtraMissing(PLUGIN, str(error.name), "flowtell-lineage[openlineage]") from error
    return OpenLineageOut(found)


class OpenLineageOut(BasePlugin):
    """Each event at least once, in the log's order; its ids and times are the same each time."""

    wants = _WANTED
    effects = True
    tables = metadata
    tick_seconds = 3600.0

    def __init__(self, found: Settings) -> None:
        self._settings = found

    def open(self, context: Context) -> None:
        from flowtell_lineage.openlineage.sending.client import Client
        from flowtell_lineage.openlineage.sending.emitter import Emitter, Step

        super().open(context)
        found = self._settings
        self._client = Client(found.client)
        self._emitter = Emitter(namespace=found.jobs, received=found.received, look_up=self._names)
        self._steps: dict[str, Step] = {}
        """Of the batch under way, by event: what was taken once is not taken again when it comes again."""
        self._gone: dict[str, int] = {}
        for row in context.read(select(flows)):
            self._emitter.remember(_declared(row))
        for row in context.read(select(kept.c.event).order_by(kept.c.seq)):
            self._emitter.remember(decode(row.event))

    def handle(self, events: Sequence[Event]) -> None:
        """Raises `RetryLater` while the catalogue is away; what went out before is not sent again then."""
        for event in events:
            if event.id not in self._steps:
                self._steps[event.id] = self._emitter.take(event)
            self._send(event)
        self._write(events)
        for event in events:
            self._steps.pop(event.id, None)
            self._gone.pop(event.id, None)

    def _send(self, event: Event) -> None:
        for place, one in enumerate(self._steps[event.id].sent):
            if place >= self._gone.get(event.id, 0):
                self._client.send(one)
                self._gone[event.id] = place + 1

    def _write(self, events: Sequence[Event]) -> None:
        over = {step.forget for event in events if (step := self._steps[event.id]).forget}
        rows = [_row(event) for event in events if self._steps[event.id].keep]
        rows = [row for row in rows if row["run"] not in over]
        if over:
            self.context.write(_forget, [{"key_run": run} for run in sorted(over)])
        if rows:
            self.context.write(_forget_one, [{"key_id": row["id"]} for row in rows])
            self.context.write(insert(kept), rows)

    def _names(self, run: str, task_run: str) -> tuple[str, str] | None:
        """Of a run that began before what this process has seen."""
        here = task_runs.c.run == run, task_runs.c.id == task_run
        wanted: Select[Any] = (
            select(task_runs.c.flow, task_runs.c.task).where(*here)
            if task_run
            else select(runs.c.flow, literal("").label("task")).where(runs.c.id == run)
        )
        return next(((row.flow or "", row.task or "") for row in self.context.read(wanted)), None)

    def tick(self, now: int) -> None:
        """Forget what is kept of runs that never ended."""
        self.context.write(_forget_old, [{"before": now - _KEEP}])

    def close(self, timeout: float) -> None:
        self._client.close(timeout)


def _declared(row: Any) -> FlowDeclared:
    """What a flow said of itself, of which the log keeps the latest."""
    return FlowDeclared(
        flow=row.flow,
        source=row.source or "",
        version=row.version or "",
        description=row.description or "",
        tags=decoder(tuple[str, ...])(row.tags) if row.tags else (),
        owners=decoder(tuple[str, ...])(row.owners) if row.owners else (),
        code=decoder(CodePlace)(row.code) if row.code else None,
    )


def _row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "run": event.task_run or event.run,
        "time": event.time,
        "seq": event.seq,
        "event": encode(event).decode(),
    }


_forget: Final = delete(kept).where(kept.c.run == bindparam("key_run"))
_forget_one: Final = delete(kept).where(kept.c.id == bindparam("key_id"))
_forget_old: Final = delete(kept).where(kept.c.time < bindparam("before"))

__all__ = ["OpenLineageOut", "create"]
