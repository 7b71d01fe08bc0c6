"""The one fold: the same facts in any order and any cut of batches, against an oracle that was written by itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from flowtell import events as e
from flowtell.fold import RunFacts
from flowtell.ids import derived_id
from flowtell.store import open_store
from flowtell.store.log import Line
from flowtell.store.tables import counters, runs, task_runs

RUN, TASK_RUN = "019b76a5c80070008000000000000002", "019b76a5c80070008000000000000003"
START = 1_767_225_600_000_000
SHOWN = (
    "flow",
    "environment",
    "source",
    "state",
    "native_state",
    "changed",
    "started",
    "ended",
    "duration",
    "attempts",
    "name",
    "tags",
    "error",
    "cpu_seconds",
    "peak_memory",
    "url",
)
OF_FLOW_RUNS = (
    "deployment",
    "due",
    "cause",
    "parent_run",
    "parent_task_run",
    "root_run",
    "trace",
    "parameters",
    "version",
    "signal",
    "machine",
    "pid",
    "external_id",
)
OF_TASK_RUNS = ("task", "dynamic_key", "map_index", "upstream")


# --- histories ----------------------------------------------------------------------------------------------------


@st.composite
def histories(draw: Any, ends: int, kind: str = "") -> tuple[str, list[list[e.Event]]]:
    """What three writers say of one run: whoever scheduled it, whoever ran it, and a third; each in its own order."""
    kind = kind or draw(st.sampled_from(["flow", "task"]))
    moments = iter(draw(st.permutations(range(1, 60))))
    number = iter(range(1000))

    def made(cls: type[e.Event], **fields: Any) -> e.Event:
        own = {"run": RUN, "task_run": TASK_RUN, "task": "clean"} if kind == "task" else {"run": RUN}
        known = {"flow": "nightly", "environment": "prod"} if draw(st.booleans()) else {}
        time = START + next(moments) * 1_000_000
        return cls(id=derived_id(time, str(next(number))), time=time, **own, **known, **fields)

    tag = draw(st.sampled_from([(), ("a",)]))
    if kind == "flow":
        scheduler = [
            made(e.FlowRunScheduled, name=draw(st.sampled_from(["", "due"])), tags=tag, due=START, deployment="berlin")
        ]
        scheduler += [
            made(draw(st.sampled_from([e.FlowRunPending, e.FlowRunLate])), worker="w")
            for _ in range(draw(st.integers(0, 2)))
        ]
        begins = dict(  # noqa: C408
            name=draw(st.sampled_from(["", "ran"])), parameters={"x": 1}, cause="schedule", machine="m1", pid=7, version="2"
        )
        worker = [made(e.FlowRunStarted, attempt=number + 1, **begins) for number in range(draw(st.integers(0, 3)))]
        worker += [made(e.FlowRunRetrying, attempt=draw(st.integers(1, 4))) for _ in range(draw(st.integers(0, 1)))]
        others = [e.FlowRunHeartbeat, e.FlowRunWaiting, e.FlowRunPaused, e.FlowRunResumed, e.FlowRunCancelling]
        finish: type[e.Event] = e.FlowRunFinished
    else:
        scheduler = [made(e.TaskRunPending, dynamic_key="clean-0", tags=tag) for _ in range(draw(st.integers(0, 1)))]
        begins = {
            "dynamic_key": "clean-0",
            "map_index": 3,
            "upstream": (e.UpstreamRun(task_run="u", argument="x"),),
            "name": "c",
        }
        worker = [made(e.TaskRunStarted, attempt=number + 1, **begins) for number in range(draw(st.integers(0, 3)))]
        worker += [made(e.TaskRunRetrying, attempt=draw(st.integers(1, 4))) for _ in range(draw(st.integers(0, 1)))]
        others, finish = [e.TaskRunWaiting, e.TaskRunCancelling], e.TaskRunFinished
    third = [made(draw(st.sampled_from(others))) for _ in range(draw(st.integers(0, 3)))]
    writers = [scheduler, worker, third]
    for _ in range(ends):
        writers[draw(st.integers(1, 2))].append(
            made(
                finish,
                state=draw(st.sampled_from(e.END_STATES)),
                duration=draw(st.sampled_from([None, 2.5])),
                attempts=draw(st.integers(1, 3)),
                error=draw(st.sampled_from([None, e.Failure(type="ValueError", message="no")])),
                cpu_seconds=draw(st.sampled_from([None, 0.5])),
                signal=draw(st.sampled_from(["", "SIGKILL"])),
                native_state=draw(st.sampled_from(["", "Crashed"])),
            )
        )
    return kind, writers


@st.composite
def mixed(draw: Any, writers: list[list[e.Event]], twice: bool = True) -> list[tuple[int, e.Event]]:
    """One order in which the log may get them: each writer's own kept, some events twice."""
    left = [list(enumerate([writer] * len(events))) for writer, events in enumerate(writers)]
    order: list[tuple[int, e.Event]] = []
    while any(left):
        writer = draw(st.sampled_from([number for number, rest in enumerate(left) if rest]))
        at, _ = left[writer].pop(0)
        order.append((writer, writers[writer][at]))
        if twice and draw(st.integers(0, 9)) == 0:
            order.append(draw(st.sampled_from(order)))
    return order


# --- three ways to come to the facts ------------------------------------------------------------------------------


def oracle(kind: str, order: list[tuple[int, e.Event]]) -> dict[str, Any]:
    """Straight from the words of DESIGN, over the whole history at once."""
    seen: dict[str, e.Event] = {}
    for _, event in order:
        seen.setdefault(event.id, event)
    events: list[Any] = list(seen.values())
    starts = [event for event in events if event.type.endswith("started")]
    ends = [event for event in events if event.type.endswith("finished")]
    steps = [event for event in events if event not in ends]
    end = ends[0] if ends else None
    words = {"scheduled": "scheduled", "pending": "pending", "late": "late", "waiting": "waiting", "started": "running"}
    words |= {"retrying": "retrying", "paused": "paused", "resumed": "running", "cancelling": "cancelling"}
    stated = [event for event in steps if event.type.partition(".")[2] in words]
    last = max(stated, key=lambda event: event.time, default=None)
    tellers = sorted(starts, key=lambda event: event.time) + [
        event for event in events if event not in starts and event not in ends
    ]

    def told(name: str, among: list[Any] = tellers) -> Any:
        values = [
            getattr(event, name, None)
            for event in among
            if event.type.partition(".")[2] in ("started", "scheduled", "pending", "late")
        ]
        found = next((value for value in values if value or value == 0), None)
        return json.loads(msgspec.json.encode(found)) if found is not None else None

    def first(name: str) -> str:
        return next((getattr(event, name) for event in events if getattr(event, name)), "")

    attempts = [event.attempt for event in events if hasattr(event, "attempt")] + ([end.attempts] if end else [])
    facts: dict[str, Any] = {
        "flow": first("flow"),
        "environment": first("environment"),
        "source": first("source"),
        "state": end.state if end else words[last.type.partition(".")[2]] if last else "pending",
        "changed": end.time if end else last.time if last else 0,
        "started": min((event.time for event in starts), default=None),
        "ended": end.time if end else None,
        "attempts": max([1, *attempts]),
        "corrections": len(ends[1:]),
    }
    for name in ("duration", "cpu_seconds", "peak_memory"):
        facts[name] = getattr(end, name) if end else None
    for name in ("signal", "native_state"):
        facts[name] = (getattr(end, name) or None) if end else None
    facts["error"] = json.loads(msgspec.json.encode(end.error)) if end and end.error else None
    for name in (*("name", "tags", "url"), *(OF_FLOW_RUNS if kind == "flow" else OF_TASK_RUNS)):
        facts.setdefault(name, told(name))
    if kind == "flow":
        facts["trace"] = RUN if starts else None
    else:
        facts["task"] = "clean" if events else ""
    return facts


def in_memory(kind: str, order: list[tuple[int, e.Event]]) -> dict[str, Any]:
    facts = RunFacts("", RUN) if kind == "flow" else RunFacts(RUN, TASK_RUN)
    seen: set[str] = set()
    for seq, (writer, event) in enumerate(order, 1):
        if event.id not in seen:
            seen.add(event.id)
            facts.take(msgspec.structs.replace(event, seq=seq), writer)
    return as_shown(kind, facts)


def in_tables(kind: str, order: list[tuple[int, e.Event]], cuts: list[int], store: Any) -> dict[str, Any]:
    names = ("scheduler", "worker", "third")
    at = 0
    for end in [*sorted(cuts), len(order)]:
        with store.write() as transaction:  # one transaction, in it one append for each stretch of one writer
            stretch: list[Line] = []
            for number, (writer, event) in enumerate(order[at:end], at):
                body = e.encode(event)
                stretch.append(Line(e.decode(body), body, number))
                if number + 1 == end or order[number + 1][0] != writer:
                    store.log.append(transaction, store.log.writer(transaction, names[writer], "journal"), stretch, START)
                    stretch = []
        at = end
    table = runs if kind == "flow" else task_runs
    rows = store.read(select(table))
    return as_shown(kind, rows[0]) if rows else as_shown(kind, RunFacts("", RUN))


def as_shown(kind: str, facts: Any) -> dict[str, Any]:
    shown = {
        name: getattr(facts, name, None)
        for name in (*SHOWN, "corrections", *(OF_FLOW_RUNS if kind == "flow" else OF_TASK_RUNS))
    }
    if kind == "task":  # what the table of task runs does not hold
        shown |= {"environment": None, "source": None}
    for name in ("tags", "error", "parameters", "upstream"):
        if shown.get(name):
            shown[name] = json.loads(shown[name])
    return shown


def without(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in names}


# --- the rules ----------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_order_of_one_end_gives_the_same_facts(data):
    """Three writers, duplicates; what is known at the end does not hang on who came first."""
    kind, writers = data.draw(histories(ends=1))
    first, second = data.draw(mixed(writers)), data.draw(mixed(writers))
    assert in_memory(kind, first) == in_memory(kind, second)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(0, 3))
def test_the_fold_is_what_the_words_say(data, ends):
    """Earliest start, unknown rather than zero, the first end in the log decides, later ones are counted."""
    kind, writers = data.draw(histories(ends=ends))
    order = data.draw(mixed(writers))
    ignored = ("signal", "environment", "source") if kind == "task" else ()
    assert without(in_memory(kind, order), *ignored) == without(oracle(kind, order), *ignored)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 3))
def test_tables_hold_the_same_wherever_batches_are_cut(tmp_path_factory, data, ends):
    """Merged batch by batch in SQL, or folded in one go in memory."""
    kind, writers = data.draw(histories(ends=ends))
    order = data.draw(mixed(writers))
    cuts = data.draw(st.lists(st.integers(0, len(order)), max_size=5))
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/flowtell.db")
    try:
        held = in_tables(kind, order, cuts, store)
        assert held == in_memory(kind, order)
        corrections = store.read(select(counters.c.value).where(counters.c.name == "late_corrections"))
        assert (corrections[0][0] if corrections else 0) == held["corrections"]
    finally:
        store.close()


def test_contrary_ends_are_marked_and_change_nothing(tmp_path):
    """The first in the log; the others are kept, marked, counted once each."""
    store = open_store(f"sqlite:///{tmp_path}/flowtell.db")
    ends = [
        e.FlowRunFinished(id=derived_id(START, str(n)), time=START + n, run=RUN, state=state)
        for n, state in enumerate(e.END_STATES)
    ]
    in_tables("flow", [(n % 3, event) for n, event in enumerate(ends)], [2, 4], store)
    assert [event.contrary for event in store.log.read(0)] == [False] + [True] * (len(ends) - 1)
    assert store.read(select(runs.c.state, runs.c.corrections)) == [("completed", len(ends) - 1)]
    store.close()


def test_a_run_that_is_gone_from_its_source_is_closed(tmp_path):
    """`removed` is no end that anybody counts; a run that had ended keeps its end, and nothing after it opens the run."""
    store = open_store(f"sqlite:///{tmp_path}/flowtell.db")
    gone, ended = "1" * 32, "2" * 32
    told = [
        e.FlowRunScheduled(id=derived_id(START, "a"), time=START, run=gone),
        e.FlowRunFinished(id=derived_id(START, "b"), time=START, run=ended),
        e.FlowRunRemoved(id=derived_id(START, "c"), time=START + 5, run=gone, reason="deleted"),
        e.FlowRunRemoved(id=derived_id(START, "d"), time=START + 5, run=ended),
        e.FlowRunPending(id=derived_id(START, "e"), time=START + 9, run=gone),
    ]
    in_tables("flow", [(0, event) for event in told], [2, 3], store)
    found = store.read(select(runs.c.state, runs.c.ended, runs.c.corrections).order_by(runs.c.id))
    assert found == [("removed", START + 5, 0), ("completed", START, 0)]
    store.close()
