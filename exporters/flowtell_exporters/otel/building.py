"""The spans of a run that has ended: its own, and one for each attempt where there was more than one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from flowtell.events import CodePlace, Failure, FlowRunFinished, TaskRunFinished
from flowtell.ids import span_id
from flowtell_exporters.otel.open_runs import Attempt, Start, run_of
from flowtell_exporters.otel.roots import Root
from flowtell_exporters.otel.spans import INTERNAL, MAX_LINKS, SERVER, Link, Span, SpanEvent
from flowtell_exporters.otel.words import error_type, exception, pruned, result_of, status_of


class Ended(Struct, frozen=True):
    """All that is known of a run at its end."""

    event: FlowRunFinished | TaskRunFinished
    start: Start
    attempts: Sequence[Attempt]
    root: Root
    reads: Sequence[Link] = ()
    """Spans that made what it read."""
    code: CodePlace | None = None
    url: str = ""
    """Of its page."""


def spans_of(ended: Ended, *, span_events: bool = False) -> list[Span]:
    """The run's span first. `span_events`: exceptions stand in the spans too, and not in log records alone."""
    outer = _run_span(ended)
    inner = _attempt_spans(ended, outer) if ended.event.attempts > 1 else []
    if span_events:
        _add_exceptions(ended, outer, inner)
    return [outer, *inner]


def _run_span(ended: Ended) -> Span:
    event, start = ended.event, ended.start
    run = run_of(event)
    begin, end = times(event, start.time)
    links, dropped = _links(ended)
    parent = _parent(ended)
    span = Span(
        trace=ended.root.trace,
        id=span_id(run),
        parent=parent,
        remote_parent=bool(parent) and parent == ended.root.parent_span,
        name=event.task or event.flow or "run",
        kind=INTERNAL if event.task_run else SERVER,
        start=begin,
        end=end,
        attributes=_attributes(ended),
        links=links,
        dropped_links=dropped,
        environment=event.environment,
    )
    _add_outcome(span, event.state, event.error)
    return span


def times(event: Any, started: int | None) -> tuple[int, int]:
    """From start to end in µs; by the writer's monotonic clock where it told a duration, as its wall clock may jump."""
    begin = started if started is not None else event.time - round((event.duration or 0.0) * 1e6)
    if event.duration is not None:
        return begin, begin + round(event.duration * 1e6)
    return begin, max(event.time, begin)


def _parent(ended: Ended) -> str:
    """A task's parent is its flow run; a subflow's the task that called it, else the flow run; a root's its caller."""
    event, start = ended.event, ended.start
    if event.task_run:
        return span_id(event.run) if event.run else ""
    above = start.parent_task_run or start.parent_run
    return span_id(above) if above else ended.root.parent_span


def _attributes(ended: Ended) -> dict[str, Any]:
    event, start = ended.event, ended.start
    shared = {
        "cicd.pipeline.name": event.flow,
        "flowtell.run.id": event.run or event.task_run,
        "flowtell.run.name": start.name,
        "flowtell.state": event.state,
        "flowtell.state.native": event.native_state,
        "flowtell.attempts": event.attempts if event.attempts > 1 else None,
        "flowtell.tags": list(start.tags),
        "flowtell.source": event.source,
        "flowtell.cpu_seconds": event.cpu_seconds,
        "flowtell.peak_memory": event.peak_memory,
        "flowtell.signal": event.signal,
        "host.name": start.machine,
    }
    own = _task_attributes(ended) if event.task_run else _flow_attributes(ended)
    return pruned({**shared, **own})


def _task_attributes(ended: Ended) -> dict[str, Any]:
    event = ended.event
    return {
        "cicd.pipeline.task.name": event.task,
        "cicd.pipeline.task.run.id": event.task_run,
        "cicd.pipeline.task.run.result": result_of(event.state),
        "cicd.pipeline.task.run.url.full": event.url or ended.url,
        "flowtell.map_index": ended.start.map_index,
        **_code(ended.code),
    }


def _flow_attributes(ended: Ended) -> dict[str, Any]:
    event, start = ended.event, ended.start
    return {
        "cicd.pipeline.run.id": event.run,
        "cicd.pipeline.result": result_of(event.state),
        "cicd.pipeline.run.url.full": event.url or ended.url,
        "flowtell.deployment": event.deployment,
        "flowtell.due": event.due,
        "flowtell.cause": start.cause,
        "flowtell.version": start.version,
        "process.pid": start.pid,
        **_code(ended.code),
    }


def _code(place: CodePlace | None) -> dict[str, Any]:
    if place is None:
        return {}
    return {"code.function.name": place.function, "code.file.path": place.file, "code.line.number": place.line or None}


def _add_outcome(span: Span, state: str, error: Failure | None) -> None:
    """Status and `error.type` where it ended badly. What was mended by a retry leaves no trace of it here."""
    span.status = status_of(state)
    if span.status:
        span.message = error.message if error is not None else state
        span.attributes["error.type"] = error_type(state, error)


def _links(ended: Ended) -> tuple[list[Link], int]:
    """To the runs whose results came in, and to those that made the assets it read: the latter first, as they are few."""
    upstream = ended.start.upstream
    all_links = [*ended.reads, *map(_upstream_link, _each_once(upstream), [ended.root.trace] * len(upstream))]
    return all_links[:MAX_LINKS], max(len(all_links) - MAX_LINKS, 0)


def _each_once(upstream: Iterable[Any]) -> list[Any]:
    return list({one.task_run: one for one in upstream}.values())


def _upstream_link(upstream: Any, trace: str) -> Link:
    return Link(trace, span_id(upstream.task_run), {"flowtell.argument": upstream.argument} if upstream.argument else {})


# --- attempts -----------------------------------------------------------------------------------------------------


def _attempt_spans(ended: Ended, outer: Span) -> list[Span]:
    """Those attempts of which the start is known; the last one ends as the run did."""
    made = []
    last = ended.event.attempts
    for attempt in ended.attempts:
        begin = attempt.start if attempt.start is not None else (outer.start if attempt.number == 1 else None)
        if begin is not None:
            made.append(_attempt_span(ended, outer, attempt, begin, is_last=attempt.number >= last))
    return made


def _attempt_span(ended: Ended, outer: Span, attempt: Attempt, begin: int, *, is_last: bool) -> Span:
    state = ended.event.state if is_last else "failed"
    error = ended.event.error if is_last else attempt.error
    end = outer.end if is_last or attempt.end is None else attempt.end
    kind = "task.run" if ended.event.task_run else "run"
    span = Span(
        trace=outer.trace,
        id=attempt_span_id(run_of(ended.event), attempt.number),
        parent=outer.id,
        name=outer.name,
        start=begin,
        end=max(end, begin),
        attributes={"flowtell.attempt": attempt.number, f"flowtell.{kind}.result": result_of(state)},
        environment=outer.environment,
    )
    _add_outcome(span, state, error)
    return span


def attempt_span_id(run: str, number: int) -> str:
    """The span id of one attempt: the same for ever, and no run's."""
    return blake2b(f"attempt\x1f{run}\x1f{number}".encode(), digest_size=8).hexdigest()


def _add_exceptions(ended: Ended, outer: Span, inner: Sequence[Span]) -> None:
    """Each exception as an event of the span in which it was raised (`OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`)."""
    by_attempt = {span.attributes["flowtell.attempt"]: span for span in inner}
    for attempt in ended.attempts:
        span = by_attempt.get(attempt.number)
        if span is not None and attempt.error is not None:
            span.events = [SpanEvent("exception", span.end, exception(attempt.error))]
    if ended.event.error is not None:
        span = by_attempt.get(ended.event.attempts, outer)
        span.events = [SpanEvent("exception", span.end, exception(ended.event.error))]
