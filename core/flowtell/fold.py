"""The one fold of events into runs, which the log itself and every plugin use.

Start is the earliest claim; a missing fact is unknown rather than zero; a finish before its start opens and closes the
run; the first end in the log decides, and what contradicts it later changes nothing but the count of corrections. Events
of different writers may come in any order: for one set of events with one end, every order gives the same facts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtell.events import TYPES, Event, encode_value

FLOW_RUN_TYPES: Final = frozenset(name for name in TYPES if name.startswith("flow_run."))
TASK_RUN_TYPES: Final = frozenset(name for name in TYPES if name.startswith("task_run."))

_STATE: Final = {
    "scheduled": "scheduled",
    "late": "late",
    "pending": "pending",
    "waiting": "waiting",
    "started": "running",
    "resumed": "running",
    "heartbeat": "running",
    "retrying": "retrying",
    "paused": "paused",
    "cancelling": "cancelling",
}


class RunFacts:
    """What is known of one flow run or task run. None is unknown. Names are the columns of its table."""

    __slots__ = (
        "attempts",
        "cause",
        "changed",
        "corrections",
        "cpu_seconds",
        "deployment",
        "due",
        "duration",
        "dynamic_key",
        "ended",
        "environment",
        "error",
        "external_id",
        "first_seq",
        "flow",
        "id",
        "last_seq",
        "machine",
        "map_index",
        "name",
        "native_state",
        "parameters",
        "parent_run",
        "parent_task_run",
        "peak_memory",
        "pid",
        "root_run",
        "run",
        "signal",
        "source",
        "started",
        "state",
        "tags",
        "task",
        "trace",
        "upstream",
        "url",
        "version",
        "writer",
    )

    def __init__(self, run: str, id: str, *, ended: int | None = None) -> None:
        self.run, self.id, self.ended = run, id, ended
        self.flow = self.task = self.environment = self.source = ""
        self.state = "pending"
        self.changed = self.corrections = self.writer = self.first_seq = self.last_seq = 0
        self.attempts = 1
        self.started = self.duration = self.error = self.tags = self.name = self.url = None
        self.native_state = self.cpu_seconds = self.peak_memory = None
        self.dynamic_key = self.map_index = self.upstream = None
        self.deployment = self.due = self.cause = self.parent_run = self.parent_task_run = self.root_run = None
        self.trace = self.parameters = self.version = self.signal = self.machine = self.pid = self.external_id = None

    def take(self, event: Any, writer: int = 0) -> bool:
        """Add what the event says. False when it is contrary: it came after the end and changes nothing."""
        if not self.first_seq:
            self._identify(event, writer)
        self.last_seq = event.seq
        kind = event.type.rpartition(".")[2]
        taken = _TAKE.get(kind, _take_state)(self, event, kind)
        if kind == "started":
            self.writer = writer
        elif not taken:
            self.corrections += 1
        return taken

    def _identify(self, event: Event, writer: int) -> None:
        self.first_seq, self.writer = event.seq, writer
        self.flow, self.task = event.flow, event.task
        self.environment, self.source = event.environment, event.source


def _take_state(facts: RunFacts, event: Any, kind: str) -> bool:
    state = _STATE.get(kind)
    if state and facts.ended is None and event.time >= facts.changed:
        facts.state, facts.changed = state, event.time
    if kind in ("scheduled", "pending", "late"):
        _describe(facts, event)
    if kind == "retrying" and event.attempt > facts.attempts:
        facts.attempts = event.attempt
    return True


def _take_start(facts: RunFacts, event: Any, kind: str) -> bool:
    if facts.started is None or event.time < facts.started:
        facts.started = event.time
    if event.attempt > facts.attempts:
        facts.attempts = event.attempt
    _describe(facts, event)
    if facts.ended is not None:
        return False
    if event.time >= facts.changed:
        facts.state, facts.changed = "running", event.time
    return True


def _describe(facts: RunFacts, event: Any) -> None:
    facts.name = event.name or facts.name
    if event.tags:
        facts.tags = encode_value(event.tags).decode()
    facts.url = event.url or facts.url
    if event.task_run:
        _describe_task_run(facts, event)
    else:
        _describe_flow_run(facts, event)


def _describe_task_run(facts: RunFacts, event: Any) -> None:
    facts.dynamic_key = event.dynamic_key or facts.dynamic_key
    if event.map_index is not None:
        facts.map_index = event.map_index
    if event.upstream:
        facts.upstream = encode_value(event.upstream).decode()


def _describe_flow_run(facts: RunFacts, event: Any) -> None:
    facts.parent_run = event.parent_run or facts.parent_run
    facts.deployment = event.deployment or facts.deployment
    facts.root_run = event.root_run or facts.root_run
    facts.external_id = event.external_id or facts.external_id
    if event.due is not None:
        facts.due = event.due
    if event.type == "flow_run.started":
        _describe_start(facts, event)


def _describe_start(facts: RunFacts, event: Any) -> None:
    facts.trace = event.trace or facts.trace or event.root_run or event.run  # a root's trace is its run
    for name in ("cause", "parent_task_run", "version", "machine", "pid"):
        value = getattr(event, name)
        if value:
            setattr(facts, name, value)
    if event.parameters:
        facts.parameters = encode_value(event.parameters).decode()


def _take_finish(facts: RunFacts, event: Any, kind: str) -> bool:
    if facts.ended is not None:
        return False
    facts.ended = facts.changed = event.time
    facts.state = event.state
    facts.duration = event.duration
    facts.cpu_seconds, facts.peak_memory = event.cpu_seconds, event.peak_memory
    if event.attempts > facts.attempts:
        facts.attempts = event.attempts
    if event.error is not None:
        facts.error = encode_value(event.error).decode()
    facts.native_state = event.native_state or None
    facts.signal = event.signal or None
    return True


_TAKE: Final[dict[str, Callable[[RunFacts, Any, str], bool]]] = {"started": _take_start, "finished": _take_finish}
