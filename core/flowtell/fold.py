"""The one fold of events into runs, which the log itself and every plugin use.

Start is the earliest claim; a missing fact is unknown rather than zero; a finish before its start opens and closes the
run; the first end in the log decides, and what contradicts it later changes nothing but the count of corrections. Events
of different writers may come in any order: for one set of events with one end, every order gives the same facts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtell import events as e
from flowtell.events import TYPES, Event, encode_value

FLOW_RUN_EVENTS: Final = frozenset(kind for name, kind in TYPES.items() if name.startswith("flow_run."))
TASK_RUN_EVENTS: Final = frozenset(kind for name, kind in TYPES.items() if name.startswith("task_run."))


class RunFacts:
    """What is known of one flow run or task run. None is unknown. Names are the columns of its table.

    Attributes that were never set are the class's own: most of a run's columns stay unknown, and a batch has thousands.
    """

    flow: str = ""
    task: str = ""
    environment: str = ""
    source: str = ""
    state: str = "pending"
    changed: int = 0
    corrections: int = 0
    writer: int = 0
    first_seq: int = 0
    last_seq: int = 0
    attempts: int = 1
    started: int | None = None
    duration: float | None = None
    error: str | None = None
    tags: str | None = None
    name: str | None = None
    url: str | None = None
    native_state: str | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    dynamic_key: str | None = None
    map_index: int | None = None
    upstream: str | None = None
    deployment: str | None = None
    due: int | None = None
    cause: str | None = None
    parent_run: str | None = None
    parent_task_run: str | None = None
    root_run: str | None = None
    trace: str | None = None
    parameters: str | None = None
    version: str | None = None
    signal: str | None = None
    machine: str | None = None
    pid: int | None = None
    external_id: str | None = None

    def __init__(self, run: str, id: str, ended: int | None = None) -> None:
        self.run, self.id, self.ended = run, id, ended
        self.state, self.changed, self.attempts, self.corrections = "pending", 0, 1, 0

    def row(self, columns: tuple[str, ...]) -> tuple[Any, ...]:
        """The values of these columns; None for what is unknown."""
        return tuple(map(self.__dict__.get, columns))

    def take(self, event: Any, writer: int = 0) -> bool:
        """Add what the event says. False when it is contrary: it came after the end and changes nothing."""
        if not self.first_seq:
            self.first_seq, self.writer = event.seq, writer
            self.flow, self.task = event.flow, event.task
            self.environment, self.source = event.environment, event.source
        elif not (self.flow and self.task and self.environment and self.source):
            self._learn_names(event)
        self.last_seq = event.seq
        return _TAKE.get(event.__class__, _take_other)(self, event, writer)

    def _learn_names(self, event: Any) -> None:
        """Not every writer knows them."""
        self.flow = self.flow or event.flow
        self.task = self.task or event.task
        self.environment = self.environment or event.environment
        self.source = self.source or event.source


def _take_other(facts: RunFacts, event: Any, writer: int) -> bool:
    """A state on the way, known or not."""
    state = _STATE.get(event.__class__)
    if state and facts.ended is None and event.time >= facts.changed:
        facts.state, facts.changed = state, event.time
    return True


def _take_ahead(facts: RunFacts, event: Any, writer: int) -> bool:
    _describe(facts, event, leads=False)
    return _take_other(facts, event, writer)


def _take_retrying(facts: RunFacts, event: Any, writer: int) -> bool:
    facts.attempts = max(facts.attempts, event.attempt)
    return _take_other(facts, event, writer)


def _take_start(facts: RunFacts, event: Any, writer: int) -> bool:
    facts.writer = writer
    leads = facts.started is None or event.time < facts.started
    if leads:
        facts.started = event.time
    if event.attempt > facts.attempts:  # noqa: PLR1730  # max() costs three times as much, twice a task run
        facts.attempts = event.attempt
    _describe(facts, event, leads=leads)
    if facts.ended is not None:
        return False
    if event.time >= facts.changed:
        facts.state, facts.changed = "running", event.time
    return True


def _take_finish(facts: RunFacts, event: Any, writer: int) -> bool:
    if facts.ended is not None:
        facts.corrections += 1
        return False
    facts.ended = facts.changed = event.time
    facts.state = event.state
    facts.duration = event.duration
    facts.cpu_seconds = event.cpu_seconds
    if event.attempts > facts.attempts:  # noqa: PLR1730  # as above
        facts.attempts = event.attempts
    if event.peak_memory is not None:
        facts.peak_memory = event.peak_memory
    if event.error is not None:
        facts.error = encode_value(event.error).decode()
    if event.native_state:
        facts.native_state = event.native_state
    if event.signal:
        facts.signal = event.signal
    if facts.started is None and event.__class__ is e.FlowRunFinished:
        _learn_from_end(facts, event)
    return True


def _learn_from_end(facts: RunFacts, event: Any) -> None:
    """Of some runs nothing but the end is told, as by a check-in of success alone."""
    for name in ("deployment", "root_run", "external_id", "due"):
        value = getattr(event, name)
        if value or value == 0:
            _hear(facts, name, value, leads=False)


def _take_removed(facts: RunFacts, event: Any, writer: int) -> bool:
    """Gone from its source: neither open nor ended well or badly. What had ended keeps its end."""
    if facts.ended is None:
        facts.ended = facts.changed = event.time
        facts.state = "removed"
    return True


def _describe(facts: RunFacts, event: Any, *, leads: bool) -> None:
    """Take what describes the run. The earliest start's word goes first, then what came first into the log."""
    if event.name:
        _hear(facts, "name", event.name, leads)
    if event.url:
        _hear(facts, "url", event.url, leads)
    if event.tags:
        _hear(facts, "tags", encode_value(event.tags).decode(), leads)
    if event.__class__ in FLOW_RUN_EVENTS:
        _describe_flow_run(facts, event, leads)
    else:
        _describe_task_run(facts, event, leads)


def _hear(facts: RunFacts, name: str, value: Any, leads: bool) -> None:
    if leads or getattr(facts, name) is None:
        setattr(facts, name, value)


def _describe_task_run(facts: RunFacts, event: Any, leads: bool) -> None:
    if event.dynamic_key and (leads or facts.dynamic_key is None):
        facts.dynamic_key = event.dynamic_key
    if event.map_index is not None:
        _hear(facts, "map_index", event.map_index, leads)
    if event.upstream:
        _hear(facts, "upstream", encode_value(event.upstream).decode(), leads)


def _describe_flow_run(facts: RunFacts, event: Any, leads: bool) -> None:
    for name in ("parent_run", "deployment", "root_run", "external_id", "due"):
        value = getattr(event, name)
        if value or value == 0:
            _hear(facts, name, value, leads)
    if event.__class__ is e.FlowRunStarted:
        _hear(facts, "trace", event.trace or event.root_run or event.run, leads)  # a root's trace is its run
        for name in ("cause", "parent_task_run", "version", "machine", "pid"):
            value = getattr(event, name)
            if value:
                _hear(facts, name, value, leads)
        if event.parameters:
            _hear(facts, "parameters", encode_value(event.parameters).decode(), leads)


_STATE: Final[dict[type[Event], str]] = {
    e.FlowRunScheduled: "scheduled",
    e.FlowRunLate: "late",
    e.FlowRunPending: "pending",
    e.TaskRunPending: "pending",
    e.FlowRunWaiting: "waiting",
    e.TaskRunWaiting: "waiting",
    e.FlowRunRetrying: "retrying",
    e.TaskRunRetrying: "retrying",
    e.FlowRunPaused: "paused",
    e.FlowRunResumed: "running",
    e.FlowRunCancelling: "cancelling",
    e.TaskRunCancelling: "cancelling",
}

_TAKE: Final[dict[type[Event], Callable[[RunFacts, Any, int], bool]]] = {
    e.FlowRunScheduled: _take_ahead,
    e.FlowRunLate: _take_ahead,
    e.FlowRunPending: _take_ahead,
    e.TaskRunPending: _take_ahead,
    e.FlowRunStarted: _take_start,
    e.TaskRunStarted: _take_start,
    e.FlowRunRetrying: _take_retrying,
    e.TaskRunRetrying: _take_retrying,
    e.FlowRunFinished: _take_finish,
    e.TaskRunFinished: _take_finish,
    e.FlowRunRemoved: _take_removed,
}
