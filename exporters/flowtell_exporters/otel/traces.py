"""Traces: the spans of runs, made of their events and sent over OTLP. A killed run has one too: the server ended it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select

from flowtell.decoders import decoder
from flowtell.events import (
    AssetMaterialized,
    AssetMaterializing,
    AssetObserved,
    CodePlace,
    Event,
    FlowDeclared,
    FlowRunFinished,
    FlowRunRetrying,
    FlowRunStarted,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
)
from flowtell.ids import span_id
from flowtell.plugin import BasePlugin, Context
from flowtell.store.tables import flows
from flowtell_exporters.otel.building import Ended, spans_of
from flowtell_exporters.otel.makers import Makers
from flowtell_exporters.otel.open_runs import OpenRuns, run_of
from flowtell_exporters.otel.roots import Roots, root_run
from flowtell_exporters.otel.settings import Settings, chosen, collector_for, exceptions_in_spans, resource
from flowtell_exporters.otel.spans import Span
from flowtell_exporters.otel.tables import attempts, makers, metadata, roots, sent
from flowtell_exporters.sending.sending import Sending

_DAY: Final = 86_400_000_000
_KEEP: Final = 90 * _DAY
"""What is kept of a run that has not ended, at most."""


def create(config: Mapping[str, Any]) -> Traces | None:
    """The factory that the entry point `otlp_traces` names. Off unless an endpoint or `enabled` is given.

    Raises:
        ExtraMissing: it is on, and what it sends with is not installed.
    """
    found = chosen(config, "otlp_traces", "traces")
    return Traces(found) if found is not None else None


class Traces(BasePlugin):
    """One span a run, sent when the run has ended."""

    wants = tuple(
        kind.type
        for kind in (
            FlowDeclared, FlowRunStarted, FlowRunRetrying, FlowRunFinished, TaskRunStarted, TaskRunRetrying,
            TaskRunFinished, AssetMaterializing, AssetMaterialized, AssetObserved,
        )
    )  # fmt: skip
    effects = True
    tables = metadata
    tick_seconds = 3600.0

    def __init__(self, found: Settings) -> None:
        self._settings = found

    def open(self, context: Context) -> None:
        from flowtell_exporters.otel.encoding import request

        super().open(context)
        self._open, self._roots, self._makers = OpenRuns(context.read), Roots(context.read, roots), Makers(context.read)
        who = resource()
        self._sending = Sending[Span](
            collector_for(self._settings, "traces"),
            lambda spans: request(spans, who),
            lambda span: span.id,
            waits=self._settings.when_down == "wait",
        )
        self._code = {row.flow: _code(row.code) for row in context.read(select(flows.c.flow, flows.c.code)) if row.code}
        self._span_events = exceptions_in_spans()
        self._total = next((row.spans for row in context.read(select(sent))), None)

    def handle(self, events: Sequence[Event]) -> None:
        """Nothing in memory is lost or doubled when `send` puts the batch off, and it comes again."""
        batch = _Batch()
        for event in events:
            self._take(event, batch)
        spans = self._spans(batch.ends)
        self._sending.send(spans, self.context)
        for event in batch.ends:
            self._open.ended(run_of(event))
            self._makers.ended(run_of(event))
        self._write(batch, len(spans))

    def _take(self, event: Any, batch: _Batch) -> None:
        match event:
            case TaskRunStarted():
                self._take_start(event, batch)
            case TaskRunFinished() | FlowRunFinished():
                if not event.contrary:
                    batch.ends.append(event)
            case FlowRunStarted():
                if row := self._roots.take(event):
                    batch.roots.append({**row, "seen": event.time})
                self._take_start(event, batch)
            case TaskRunRetrying() | FlowRunRetrying():
                self._open.failed(event)
                batch.retried[run_of(event)] = event.time
            case FlowDeclared():
                if event.code is not None:
                    self._code[event.flow] = event.code
            case AssetMaterializing() | AssetMaterialized() | AssetObserved():
                self._take_asset(event, batch)
            case _:  # of a type that nobody asked for
                pass

    def _take_start(self, event: Any, batch: _Batch) -> None:
        if not event.contrary and self._open.started(event):
            batch.retried[run_of(event)] = event.time

    def _take_asset(self, event: Any, batch: _Batch) -> None:
        self._roots.look_up([root_run(event)])
        trace, run = self._roots.of(root_run(event)).trace, run_of(event)
        if not run:
            return
        self._makers.read(run, (one.asset for one in event.upstream if one.asset), trace)
        if isinstance(event, AssetMaterialized):
            row = self._makers.made(event.asset, event.time, trace, span_id(run))
            if row:
                batch.makers[event.asset] = row
        elif isinstance(event, AssetObserved) and event.role == "read":
            self._makers.read(run, [event.asset], trace)

    def _spans(self, ends: Sequence[Any]) -> list[Span]:
        self._roots.look_up(map(root_run, ends))
        kept = [event for event in ends if self._roots.of(root_run(event)).sampled]
        self._open.look_up(kept)
        return [span for event in kept for span in spans_of(self._ended(event), span_events=self._span_events)]

    def _ended(self, event: Any) -> Ended:
        run = run_of(event)
        page = f"{self._settings.url.rstrip('/')}/runs/{event.run or run}" if self._settings.url else ""
        return Ended(
            event,
            self._open.start(run),
            self._open.attempts(run) if event.attempts > 1 else (),
            self._roots.of(root_run(event)),
            self._makers.links(run),
            None if event.task_run else self._code.get(event.flow),
            page,
        )

    def _write(self, batch: _Batch, spans: int) -> None:
        """Keep what a restart needs. The row of `sent` has the cursor saved with each batch: less is sent twice."""
        write = self.context.write
        if batch.roots:
            write(_forget_root, [{"key_run": row["run"]} for row in batch.roots])
            write(insert(roots), batch.roots)
        self._write_attempts(batch)
        if batch.makers:
            write(_forget_maker, [{"key_asset": asset} for asset in batch.makers])
            write(insert(makers), list(batch.makers.values()))
        if spans:
            if self._total is not None:
                write(delete(sent))
            self._total = (self._total or 0) + spans
            write(insert(sent), [{"id": 1, "spans": self._total}])

    def _write_attempts(self, batch: _Batch) -> None:
        over = {run_of(event) for event in batch.ends if event.attempts > 1}
        if touched := {*over, *batch.retried}:
            self.context.write(_forget_attempts, [{"key_run": run} for run in sorted(touched)])
        rows = [
            attempt.row(run, seen)
            for run, seen in batch.retried.items()
            if run not in over
            for attempt in self._open.attempts(run)
        ]
        if rows:
            self.context.write(insert(attempts), rows)

    def tick(self, now: int) -> None:
        """Forget what is kept of runs that never ended."""
        for statement in (_forget_old_roots, _forget_old_attempts):
            self.context.write(statement, [{"before": now - _KEEP}])

    def close(self, timeout: float) -> None:
        self._sending.close()


class _Batch:
    """What one batch brings to the tables and to the collector."""

    def __init__(self) -> None:
        self.ends: list[Any] = []
        self.roots: list[dict[str, Any]] = []
        self.retried: dict[str, int] = {}
        """Runs with more than one attempt, and when they were seen."""
        self.makers: dict[str, dict[str, Any]] = {}


def _code(text: str) -> CodePlace:
    return decoder(CodePlace)(text)


_forget_root: Final = delete(roots).where(roots.c.run == bindparam("key_run"))
_forget_attempts: Final = delete(attempts).where(attempts.c.run == bindparam("key_run"))
_forget_maker: Final = delete(makers).where(makers.c.asset == bindparam("key_asset"))
_forget_old_roots: Final = delete(roots).where(roots.c.seen < bindparam("before"))
_forget_old_attempts: Final = delete(attempts).where(attempts.c.seen < bindparam("before"))

__all__ = ["Traces", "create"]
