"""Task runs: their names, what they depend on, and the events that their states are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from flowtell import events as e
from flowtell.events import Event, UpstreamRun
from flowtell_sources.prefect.documents import Message, State, TaskRun, read_document
from flowtell_sources.prefect.flow_runs import KnownRun
from flowtell_sources.prefect.identity import fact_id, moment, run_id
from flowtell_sources.prefect.states import ENDED, end_state, failure

_KEY_HASH: Final = re.compile(r"-[0-9a-f]{8}$")
_NAME_END: Final = re.compile(r"-[0-9a-f]{3}$")
_PARENTS: Final = "__parents__"
"""Under this name Prefect notes the task run in which a task was called: no dependency."""

_NOT_READY: Final = "NotReady"
"""A PENDING state that is for ever: what the task waits for has failed."""


def task_name(run: TaskRun) -> str:
    """The task's name. Prefect calls its runs by it and the first of the dynamic key, unless `task_run_name` is set."""
    for end in (f"-{run.dynamic_key[:3]}", f"-{run.dynamic_key}"):
        if len(end) > 1 and run.name.endswith(end):
            return run.name.removesuffix(end)
    return _KEY_HASH.sub("", run.task_key).rpartition(".")[2] or run.name


def name_of_run(name: str) -> str:
    """The task's name from nothing but its run's name."""
    return _NAME_END.sub("", name)


def upstream(run: TaskRun) -> tuple[UpstreamRun, ...]:
    """The task runs whose results came in, each with the argument."""
    return tuple(
        UpstreamRun(task_run=run_id(each["id"]), argument=argument)
        for argument, inputs in run.task_inputs.items()
        if argument != _PARENTS and isinstance(inputs, list)
        for each in inputs
        if isinstance(each, dict) and each.get("input_type") == "task_run" and isinstance(each.get("id"), str)
    )


def run_of_message(message: Message) -> TaskRun | None:
    """The task run that a `prefect.task-run.*` event tells of, in the state that it tells of."""
    document = message.payload.get("task_run")
    state = message.payload.get("validated_state")
    if not isinstance(document, dict) or not isinstance(state, dict):
        return None
    timestamp = message.resource.get("prefect.state-timestamp") or message.occurred
    return read_document(
        {
            **document,
            "id": message.subject.removeprefix("prefect.task-run."),
            "flow_run_id": message.related_id("flow-run") or None,
            "state": {**state, "id": message.id, "timestamp": timestamp},
        },
        TaskRun,
    )


def before_of_message(message: Message) -> str:
    """Type of the state before the one that a state-change event tells of."""
    before = message.payload.get("initial_state")
    return str(before.get("type", "")) if isinstance(before, dict) else ""


def common(run: TaskRun, known: KnownRun | None, url: str) -> dict[str, Any]:
    """The fields of any event that belongs to a task run. `known` is the flow run around it, where there is one."""
    around = known.common if known else {}
    return {**around, "due": None, "task_run": run_id(run.id), "task": task_name(run), "external_id": run.id, "url": url}


def transition(run: TaskRun, state: State, facts: dict[str, Any], *, before: str, count: int) -> list[Event]:
    """The events that one state of a task run is.

    Args:
        run: the task run.
        state: the state that it came into.
        facts: see `common`.
        before: the type of the state before; empty where that is unknown.
        count: how many attempts had been begun.
    """
    at = moment(state.timestamp)
    if at is None:
        return []
    if state.type in ENDED or state.title == _NOT_READY:
        return [_finished(run, state, facts, at, count)]
    if state.type == "RUNNING":
        return _running(run, state, facts, at, before=before, count=count)
    return _on_the_way(run, state, facts, at, count)


def _running(run: TaskRun, state: State, facts: dict[str, Any], at: int, *, before: str, count: int) -> list[Event]:
    """A retry without delay goes from RUNNING to RUNNING, without a state between that tells of the retry."""
    attempt = max(count, 1)
    beginning = started(run, facts, at, attempt)
    if before != "RUNNING" or attempt == 1:
        return [beginning]
    retried = fact_id(at, run_id(run.id), "retrying", state.id)
    return [e.TaskRunRetrying(id=retried, time=at, attempt=attempt - 1, **facts), beginning]


def started(run: TaskRun, facts: dict[str, Any], at: int, attempt: int) -> Event:
    return e.TaskRunStarted(
        id=fact_id(at, run_id(run.id), "started", str(attempt)), time=at, attempt=attempt, **_described(run), **facts
    )


def _described(run: TaskRun) -> dict[str, Any]:
    return {"dynamic_key": run.dynamic_key, "upstream": upstream(run), "name": run.name, "tags": run.tags}


def _finished(run: TaskRun, state: State, facts: dict[str, Any], at: int, count: int) -> Event:
    begun = moment(run.start_time) if count else None
    return e.TaskRunFinished(
        id=fact_id(at, run_id(run.id), "finished", state.id),
        time=at,
        state=end_state(state) or "skipped",
        native_state=state.title,
        error=failure(state),
        duration=max(at - begun, 0) / 1e6 if begun is not None else None,
        attempts=max(count, 1),
        cache_key=run.cache_key or "",
        **facts,
    )


def _on_the_way(run: TaskRun, state: State, facts: dict[str, Any], at: int, count: int) -> list[Event]:
    one: dict[str, Any] = {"id": fact_id(at, run_id(run.id), state.type, state.id), "time": at, **facts}
    if state.type == "SCHEDULED" and state.title == "AwaitingRetry":
        due = moment(state.state_details.scheduled_time)
        delay = max(due - at, 0) / 1e6 if due is not None else 0.0
        return [e.TaskRunRetrying(attempt=max(count, 1), delay=delay, error=failure(state), **one)]
    if state.type in ("SCHEDULED", "PENDING"):
        return [e.TaskRunPending(**_described(run), **one)]
    if state.type == "CANCELLING":
        return [e.TaskRunCancelling(**one)]
    return []


def whole_run(run: TaskRun, facts: dict[str, Any], states: Sequence[State] = ()) -> Iterator[Event]:
    """All that is known of a task run from its document, and from the list of its states where that was asked for."""
    if states:
        yield from _all_states(run, facts, states)
        return
    begun = moment(run.start_time) if run.run_count else None  # a cached one ends without having begun
    if begun is not None:
        yield started(run, facts, begun, 1)
    if run.state is not None and run.state.type != "RUNNING":
        yield from transition(run, run.state, facts, before="", count=run.run_count)


def _all_states(run: TaskRun, facts: dict[str, Any], states: Sequence[State]) -> Iterator[Event]:
    count, before = 0, ""
    for state in sorted(states, key=lambda state: (moment(state.timestamp) or 0, state.id)):
        if state.type == "RUNNING":
            count += 1
        yield from transition(run, state, facts, before=before, count=count)
        before = state.type


def left_open(run: TaskRun, facts: dict[str, Any], at: int, end: str) -> Event:
    """The end of a task run that is open there for ever, as the flow run around it has ended.

    Args:
        run: the task run.
        facts: see `common`.
        at: when the flow run ended.
        end: Prefect's id of the flow run's end state.
    """
    return e.TaskRunFinished(
        id=fact_id(at, run_id(run.id), "left open", end),
        time=at,
        state="crashed",
        native_state=run.state.title if run.state else "",
        error=e.Failure(type="Crashed", message="its flow run ended without it"),
        attempts=max(run.run_count, 1),
        **facts,
    )
