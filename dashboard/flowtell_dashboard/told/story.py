"""The events of one run put in order: what became of it and why, and what it left behind. Data, no looks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowtell.store.reading import list_told

if TYPE_CHECKING:
    from flowtell.store.reading import Read, ToldEvent

MOST: Final = 5_000
"""Events of one run that are told; what comes after is said to be left out."""

_STATES: Final = {
    "flow_run.scheduled": "scheduled",
    "flow_run.pending": "pending",
    "flow_run.late": "late",
    "flow_run.waiting": "waiting",
    "flow_run.started": "running",
    "flow_run.retrying": "retrying",
    "flow_run.paused": "paused",
    "flow_run.resumed": "running",
    "flow_run.cancelling": "cancelling",
}
_LONGEST: Final = 300


class Change(NamedTuple):
    """The run came into a state. `contrary` ones came after its end and changed nothing."""

    time: int
    state: str
    cause: str
    contrary: bool


class Measure(NamedTuple):
    """What was measured under one name by one task, or by the flow itself: the last value, and between which all were."""

    task: str
    name: str
    unit: str
    value: float
    least: float
    most: float
    times: int


class Artifact(NamedTuple):
    id: str
    """Of the first, where it was moved on."""
    time: int
    task: str
    key: str
    kind: str
    data: Any
    description: str


class Touched(NamedTuple):
    """An asset that the run made, read, found up to date or failed to make."""

    asset: str
    how: str
    task: str
    rows: int | None
    bytes: int | None
    evidence: tuple[str, ...]
    """`kind: upstream asset`, as the event has it."""
    times: int


class Step(NamedTuple):
    """A transaction was begun, or how it ended."""

    time: int
    how: str
    key: str
    tasks: tuple[str, ...]
    error: str


class Wait(NamedTuple):
    """An attempt of a task run that failed, and when the next was to begin; both in µs."""

    failed: int
    again: int


class Story(NamedTuple):
    changes: list[Change]
    measures: list[Measure]
    artifacts: list[Artifact]
    assets: list[Touched]
    transactions: list[Step]
    waits: dict[str, list[Wait]]
    """By task run."""
    more: bool
    """There are more than `MOST` events."""


def read_story(read: Read, run: str) -> Story:
    """Bounded, by an index."""
    found = list_told(read, run, limit=MOST + 1)
    return story_of(found[:MOST], more=len(found) > MOST)


def story_of(told: list[ToldEvent], *, more: bool = False) -> Story:
    events = [one.event for one in told]
    return Story(
        changes=[change for one in told if (change := _change(one))],
        measures=_measures(event for event in events if event.type == "measure.recorded"),
        artifacts=[
            Artifact(
                event.artifact or event.id, event.time, event.task, event.key, event.kind, event.data, event.description
            )
            for event in _of(events, "artifact.created")
        ],
        assets=_assets(events),
        transactions=[_step(event) for event in events if event.type.startswith("transaction.")],
        waits=_waits(_of(events, "task_run.retrying")),
        more=more,
    )


def _of(events: Iterable[Any], kind: str) -> Iterator[Any]:
    return (event for event in events if event.type == kind)


def _step(event: Any) -> Step:
    how = event.type.partition(".")[2].replace("_", " ")
    error = f"{event.error.type}: {event.error.message}"[:_LONGEST] if event.error is not None else ""
    return Step(event.time, how, event.key, event.tasks, error)


# --- states -------------------------------------------------------------------------------------------------------


def _change(one: ToldEvent) -> Change | None:
    event: Any = one.event
    if event.type in ("flow_run.finished", "flow_run.removed"):
        state = event.state if event.type == "flow_run.finished" else "removed"
    elif (state := _STATES.get(event.type, "")) == "":
        return None
    return Change(event.time, state, _cause(event)[:_LONGEST], one.contrary)


def _cause(event: Any) -> str:
    parts = _CAUSES.get(event.type, lambda _: [])(event)
    return ", ".join(part for part in parts if part)


def _failure(event: Any) -> str:
    return f"{event.error.type}: {event.error.message}" if event.error else ""


_CAUSES: Final[dict[str, Any]] = {
    "flow_run.waiting": lambda event: [event.reason, *(f"{on.kind} {on.name}" for on in event.on)],
    "flow_run.started": lambda event: [
        event.cause and f"cause {event.cause}",
        f"attempt {event.attempt}" if event.attempt > 1 else "",
        event.machine and f"on {event.machine}",
    ],
    "flow_run.retrying": lambda event: [
        f"attempt {event.attempt} failed",
        _failure(event),
        f"again after {event.delay:g} s",
    ],
    "flow_run.paused": lambda event: [event.key and f"asks {event.key}"],
    "flow_run.resumed": lambda event: [event.actor and f"by {event.actor}"],
    "flow_run.cancelling": lambda event: [event.actor and f"by {event.actor}", event.reason],
    "flow_run.finished": lambda event: [event.native_state, event.signal, _failure(event)],
    "flow_run.removed": lambda event: [event.reason],
}


# --- what it left behind ------------------------------------------------------------------------------------------


def _measures(events: Iterable[Any]) -> list[Measure]:
    values: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for event in events:
        values[event.task, event.name, event.unit].append(event.value)
    return [Measure(*key, each[-1], min(each), max(each), len(each)) for key, each in sorted(values.items())]


_HOW: Final = {
    "asset.materialized": "made",
    "asset.failed": "failed to make",
    "asset.cached": "up to date",
    "asset.observed": "read",
}


def _assets(events: Iterable[Any]) -> list[Touched]:
    found: dict[tuple[str, str, str], list[Any]] = {}
    for event in events:
        if event.type in _HOW:
            how = "seen" if event.type == "asset.observed" and event.role == "output" else _HOW[event.type]
            found.setdefault((event.asset, how, event.task), []).append(event)
    return [_touched(*key, events) for key, events in found.items()]


def _touched(asset: str, how: str, task: str, events: list[Any]) -> Touched:
    last = events[-1]
    evidence = [*([last.by] if last.by else []), *(f"{one.evidence or 'said'}: {one.asset}" for one in last.upstream)]
    return Touched(asset, how, task, last.rows, last.bytes, tuple(evidence), len(events))


def _waits(events: Iterable[Any]) -> dict[str, list[Wait]]:
    waits: defaultdict[str, list[Wait]] = defaultdict(list)
    for event in events:
        waits[event.task_run].append(Wait(event.time, event.time + round(event.delay * 1e6)))
    return dict(waits)
