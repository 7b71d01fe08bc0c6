"""Flow runs: what is known of one, and the events that its states are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from flowtell import events as e
from flowtell.events import Event
from flowtell.trace_context import parsed
from flowtell_sources.prefect.documents import FlowRun, Message, State
from flowtell_sources.prefect.identity import fact_id, moment, run_id
from flowtell_sources.prefect.states import ENDED, end_state, failure

_TRACEPARENT: Final = "__OTEL_TRACEPARENT"
"""Label under which Prefect keeps a run's W3C trace context (its `telemetry/run_telemetry.py`)."""


class KnownRun(Struct, frozen=True, kw_only=True):
    """What every event of a flow run says of it."""

    external: str
    flow: str = ""
    name: str = ""
    deployment: str = ""
    tags: tuple[str, ...] = ()
    pool: str = ""
    queue: str = ""
    due: int | None = None
    started: int | None = None
    parent_run: str = ""
    parent_task_run: str = ""
    root_run: str = ""
    trace: str = ""
    version: str = ""
    parameters: tuple[str, ...] = ()
    """Their names: values stay there."""
    url: str = ""

    @property
    def id(self) -> str:
        return run_id(self.external)

    @property
    def common(self) -> dict[str, Any]:
        """The fields of any event that belongs to the run."""
        return {
            "run": self.id,
            "flow": self.flow,
            "root_run": self.root_run,
            "deployment": self.deployment,
            "due": self.due,
            "external_id": self.external,
            "url": self.url,
        }


def known_from_document(run: FlowRun, *, flow: str, deployment: str, url: str, parent: KnownRun | None) -> KnownRun:
    """What the REST API's document of a run tells, with the names of what it refers to by id."""
    parent_task = run_id(run.parent_task_run_id) if run.parent_task_run_id else ""
    return KnownRun(
        external=run.id,
        flow=flow,
        name=run.name,
        deployment=deployment,
        tags=run.tags,
        pool=run.work_pool_name or "",
        queue=run.work_queue_name or "",
        due=moment(run.expected_start_time) if run.deployment_id or run.auto_scheduled else None,
        started=moment(run.start_time) if run.run_count else None,  # Prefect gives one to runs that never began, too
        parent_run=parent.id if parent else "",
        parent_task_run=parent_task,
        root_run=(parent.root_run or parent.id) if parent else "",
        trace=_trace(run.labels),
        version=run.flow_version or "",
        parameters=tuple(run.parameters),
        url=url,
    )


def known_from_message(message: Message, external: str, url: str, parent: KnownRun | None = None) -> KnownRun:
    """What an event tells of its run: of one whose document is gone, or tells nothing more."""
    about = message.subject.endswith(external)
    return KnownRun(
        external=external,
        flow=message.related_name("flow"),
        name=str(message.resource.get("prefect.resource.name", "")) if about else message.related_name("flow-run"),
        deployment=message.related_name("deployment"),
        tags=message.tags if about else (),
        pool=message.related_name("work-pool"),
        queue=message.related_name("work-queue"),
        parent_run=parent.id if parent else "",
        parent_task_run=run_id(message.related_id("task-run")) if parent else "",
        root_run=(parent.root_run or parent.id) if parent else "",
        url=url,
    )


def _trace(labels: dict[str, Any]) -> str:
    found = parsed(str(labels.get(_TRACEPARENT, "")))
    return found.trace if found else ""


# --- states into events -------------------------------------------------------------------------------------------


def state_of_message(message: Message) -> State:
    """The state that a `prefect.flow-run.*` event tells of. Its id is the event's: Prefect gives both the same."""
    validated = message.payload.get("validated_state") or {}
    return State(
        type=str(message.resource.get("prefect.state-type") or validated.get("type", "")),
        name=str(message.resource.get("prefect.state-name") or validated.get("name", "")),
        id=message.id,
        timestamp=str(message.resource.get("prefect.state-timestamp") or message.occurred),
        message=validated.get("message"),
    )


def transition(known: KnownRun, state: State, *, before: str, count: int) -> list[Event]:
    """The events that one state of a flow run is.

    Args:
        known: the run.
        state: the state that it came into.
        before: the type of the state before; empty where that is unknown.
        count: how many attempts had been begun.
    """
    at = moment(state.timestamp)
    if at is None:
        return []
    if state.type in ENDED:
        return [_finished(known, state, at, count)]
    if state.type == "RUNNING":
        return [_resumed(known, state, at) if before == "PAUSED" else started(known, at, max(count, 1))]
    return _on_the_way(known, state, at, count)


def started(known: KnownRun, at: int, attempt: int) -> Event:
    """Derived from run and attempt, not from the state: the run's document tells of its start without the state's id."""
    return e.FlowRunStarted(
        id=fact_id(at, known.id, "started", str(attempt)),
        time=at,
        attempt=attempt,
        name=known.name,
        tags=known.tags,
        parent_run=known.parent_run,
        parent_task_run=known.parent_task_run,
        trace=known.trace,
        parameters=dict.fromkeys(known.parameters),
        version=known.version,
        pool=known.pool,
        queue=known.queue,
        **known.common,
    )


def _finished(known: KnownRun, state: State, at: int, count: int) -> Event:
    return e.FlowRunFinished(
        id=fact_id(at, known.id, "finished", state.id),
        time=at,
        state=end_state(state),
        native_state=state.title,
        error=failure(state),
        duration=max(at - known.started, 0) / 1e6 if known.started is not None else None,
        attempts=max(count, 1),
        **known.common,
    )


def _resumed(known: KnownRun, state: State, at: int) -> Event:
    return e.FlowRunResumed(id=fact_id(at, known.id, "resumed", state.id), time=at, **known.common)


def _on_the_way(known: KnownRun, state: State, at: int, count: int) -> list[Event]:
    facts: dict[str, Any] = {"id": fact_id(at, known.id, state.type, state.id), "time": at, **known.common}
    ahead: dict[str, Any] = {name: getattr(known, name) for name in ("name", "tags", "parent_run", "pool", "queue")}
    scheduled = moment(state.state_details.scheduled_time)
    match state.type, state.title:
        case "SCHEDULED", "AwaitingRetry":
            delay = max(scheduled - at, 0) / 1e6 if scheduled is not None else 0.0
            return [e.FlowRunRetrying(attempt=max(count, 1), delay=delay, error=failure(state), **facts)]
        case "SCHEDULED", "AwaitingConcurrencySlot":
            return [e.FlowRunWaiting(reason="limit", on=(e.WaitsOn(kind="limit", name=known.deployment),), **facts)]
        case "SCHEDULED", "Resuming":
            return [e.FlowRunResumed(**facts)]
        case "SCHEDULED", "Late":
            return [e.FlowRunLate(**facts, **ahead)]
        case "SCHEDULED", _:
            return [e.FlowRunScheduled(**facts, **ahead)]
        case "PENDING", _:
            return [e.FlowRunPending(**facts, **ahead)]
        case "PAUSED", _:
            until, key = moment(state.state_details.pause_timeout), state.state_details.pause_key or ""
            return [e.FlowRunPaused(key=key, until=until, **facts)]
        case "CANCELLING", _:
            return [e.FlowRunCancelling(reason=(state.message or "")[:1000], **facts)]
        case _:
            return []


def whole_run(run: FlowRun, known: KnownRun, states: Sequence[State] = ()) -> Iterator[Event]:
    """All that is known of a run from its document, and from the list of its states where that was asked for."""
    if states:
        yield from _all_states(known, states)
        return
    if known.started is not None:
        yield started(known, known.started, 1)
    elif run.state is not None and run.state.type in ENDED:
        yield from _never_began(known, run.state)
    if run.state is not None and run.state.type != "RUNNING":
        yield from transition(known, run.state, before="", count=run.run_count)


def _never_began(known: KnownRun, end: State) -> Iterator[Event]:
    """An end says nothing of name, tags and the time it was due: that it was scheduled does, no later than it ended."""
    at = moment(end.timestamp)
    if at is not None:
        at = min(at, known.due if known.due is not None else at)
        yield e.FlowRunScheduled(
            id=fact_id(at, known.id, "never began"),
            time=at,
            name=known.name,
            tags=known.tags,
            parent_run=known.parent_run,
            pool=known.pool,
            queue=known.queue,
            **known.common,
        )


def _all_states(known: KnownRun, states: Sequence[State]) -> Iterator[Event]:
    count, before = 0, ""
    for state in sorted(states, key=lambda state: (moment(state.timestamp) or 0, state.id)):
        if state.type == "RUNNING" and before != "PAUSED":
            count += 1
        yield from transition(known, state, before=before, count=count)
        before = state.type
