"""Logs over OTLP, each with its run's trace and span: what runs log and raise, and, within two seconds, that they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from flowtell.events import (
    Event,
    FlowRunFinished,
    FlowRunRetrying,
    FlowRunStarted,
    LogRecorded,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
)
from flowtell.plugin import BasePlugin, Context
from flowtell_exporters.otel.open_runs import run_of
from flowtell_exporters.otel.records import Record, logged, raised, running
from flowtell_exporters.otel.roots import Root, Roots, root_run
from flowtell_exporters.otel.settings import Settings, chosen, collector_for, resource
from flowtell_exporters.sending.sending import Sending

_AFTER: Final = 1_000_000
"""µs for which a run is under way before it is said so: most tasks are over by then, and have their span."""
_MOST_OPEN: Final = 100_000


def create(config: Mapping[str, Any]) -> Logs | None:
    """The factory that the entry point `otlp_logs` names. Off unless an endpoint or `enabled` is given.

    Raises:
        ExtraMissing: it is on, and what it sends with is not installed.
    """
    found = chosen(config, "otlp_logs", "logs")
    return Logs(found) if found is not None else None


class Logs(BasePlugin):
    """Sends what it is handed, and at each tick who is under way and has not been told of."""

    wants = tuple(
        kind.type
        for kind in (
            LogRecorded, FlowRunStarted, FlowRunRetrying, FlowRunFinished, TaskRunStarted, TaskRunRetrying, TaskRunFinished
        )
    )  # fmt: skip
    effects = True
    tick_seconds = 0.5

    def __init__(self, found: Settings) -> None:
        self._settings = found

    def open(self, context: Context) -> None:
        from flowtell_exporters.otel.record_encoding import request

        super().open(context)
        who = resource()
        self._roots = Roots(context.read)
        self._untold: dict[str, Any] = {}
        """Starts of runs under way that nobody has been told of."""
        self._sending = Sending[Record](
            collector_for(self._settings, "logs"),
            lambda records: request(records, who),
            lambda record: record.key,
            waits=self._settings.when_down == "wait",
        )

    def handle(self, events: Sequence[Event]) -> None:
        self._learn(events)
        self._roots.look_up(map(root_run, events))
        self._sending.send(list(self._records(events)), self.context)

    def _learn(self, events: Iterable[Any]) -> None:
        """Who is under way. Taking an event twice changes nothing."""
        for event in events:
            if isinstance(event, FlowRunStarted):
                self._roots.take(event)
            if isinstance(event, FlowRunStarted | TaskRunStarted):
                if not event.contrary and len(self._untold) < _MOST_OPEN:
                    self._untold[run_of(event)] = event
            elif not isinstance(event, LogRecorded):
                self._untold.pop(run_of(event), None)

    def _records(self, events: Iterable[Any]) -> Iterable[Record]:
        for event in events:
            root = self._root(event)
            if isinstance(event, LogRecorded):
                yield logged(event, root)
            elif isinstance(event, FlowRunRetrying | TaskRunRetrying):
                if event.error is not None:
                    yield raised(event, event.error, root, is_last=False)
            elif isinstance(event, FlowRunFinished | TaskRunFinished) and event.error is not None and not event.contrary:
                yield raised(event, event.error, root, is_last=True)

    def _root(self, event: Any) -> Root:
        """Of a trace that is not kept nothing is named: there is nothing to look up there."""
        root = self._roots.of(root_run(event))
        return root if root.sampled else Root("")

    def tick(self, now: int) -> None:
        """Tell of those that have been under way for a second; the collector is not waited for, they come again."""
        ready = [run for run, event in self._untold.items() if now - event.time >= _AFTER]
        if not ready:
            return
        starts = [self._untold[run] for run in ready]
        self._roots.look_up(map(root_run, starts))
        told = [running(event, self._roots.of(root_run(event))) for event in starts if self._root(event).trace]
        self._sending.send(told, self.context)
        for run in ready:
            del self._untold[run]

    def close(self, timeout: float) -> None:
        self._sending.close()


__all__ = ["Logs", "create"]
