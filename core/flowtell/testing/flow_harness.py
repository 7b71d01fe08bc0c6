"""`harness`: flows run in a home of their own, on a clock that the test moves, and what they told is there to be asserted.

    with harness() as h:
        nightly()
        h.assert_completed("nightly")

Nothing leaves the home, no server is needed, and the home goes with the block. See docs/testing.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from flowtell import bus
from flowtell.answers.box import Box, Line
from flowtell.engine.assignments import Assignment, run_of
from flowtell.engine.context import current
from flowtell.engine.deployments import Deployment
from flowtell.engine.drivers import run_to_end
from flowtell.engine.flow_runs import FlowRun
from flowtell.engine.flows import Flow
from flowtell.engine.scope import OUTSIDE
from flowtell.errors import NobodyAnswers
from flowtell.events import AssetMaterialized, Event, LogRecorded
from flowtell.ids import new_id
from flowtell.schedules import next_due
from flowtell.testing.clock import FakeClock
from flowtell.testing.home import temporary_home
from flowtell.testing.judged import SeenIncident, incidents
from flowtell.testing.seen_runs import SeenRun, flow_runs, task_runs
from flowtell.testing.simulated_time import Moment, SimulatedTime, as_microseconds, in_place
from flowtell.testing.written_events import WrittenEvents

S = TypeVar("S", bound=Struct)

ENVIRONMENT: Final = "test"
_LOOK_SECONDS: Final = 0.005
_open = threading.Lock()


class Edge(NamedTuple):
    """An asset was made of another."""

    upstream: str
    downstream: str


class _Answer(NamedTuple):
    value: Any
    key: str | None
    flow: str | None
    actor: str

    def is_for(self, flow: str, key: str) -> bool:
        return self.key in (None, key) and self.flow in (None, flow)


class FlowHarness:
    """What `harness()` gives: the clock, what was told, and assertions whose failures say what there was instead.

    Filters are attributes of what is looked for: `h.runs(flow="nightly", state="failed")`. Where a filter is a function it
    is asked: `h.runs(duration=lambda seconds: seconds > 60)`.
    """

    def __init__(self, home: str, clock: FakeClock) -> None:
        self.home = home
        self.time = SimulatedTime(clock, self._run_due)
        self._clock, self._start = clock, clock.now
        self._written = WrittenEvents(home)
        self._served: dict[tuple[str, str], tuple[Deployment, int]] = {}
        """Each schedule with the last due time that was answered."""
        self._answers: list[_Answer] = []
        self._apart: set[int] = set()
        """Threads on which `start` runs flows: others can answer them."""

    # --- what was told

    def events(self, type: str | None = None, **filters: Any) -> list[Event]:
        """Events in the order in which they were written, of one type by its wire name, such as `measure.recorded`."""
        if type is not None:
            return [event for event in self._written.all() if event.type == type and _matches(event, filters)]
        having = [event for event in self._written.all() if all(hasattr(event, name) for name in filters)]
        return [event for event in having if _matches(event, filters)]

    def runs(self, flow: str | None = None, **filters: Any) -> list[SeenRun]:
        """Flow runs in the order in which they began, subflows among them."""
        wanted = filters if flow is None else {"flow": flow, **filters}
        return _matching(flow_runs(self._written.all()), SeenRun, wanted)

    def run(self, flow: str | None = None, **filters: Any) -> SeenRun:
        """The one flow run.

        Raises:
            AssertionError: there is none, or more than one.
        """
        return _only(self.runs(flow, **filters), "flow run", {"flow": flow, **filters}, self.runs())

    def task_runs(self, task: str | None = None, **filters: Any) -> list[SeenRun]:
        """Task runs in the order in which they began."""
        wanted = filters if task is None else {"task": task, **filters}
        return _matching(task_runs(self._written.all()), SeenRun, wanted)

    def task_run(self, task: str | None = None, **filters: Any) -> SeenRun:
        """The one task run. As `run`."""
        return _only(self.task_runs(task, **filters), "task run", {"task": task, **filters}, self.task_runs())

    def logs(self, containing: str = "", **filters: Any) -> list[LogRecorded]:
        """Log lines of runs, prints of `log_prints` among them, that have this text in them."""
        return [
            one
            for one in self.events("log.recorded", **filters)
            if isinstance(one, LogRecorded) and containing in one.message
        ]

    def edges(self) -> list[Edge]:
        """Which asset was made of which, as the runs told it; each once."""
        made = [event for event in self.events() if isinstance(event, AssetMaterialized)]
        return list(dict.fromkeys(Edge(source.asset, event.asset) for event in made for source in event.upstream))

    def incidents(self, rule: str | None = None, flow: str | None = None, **filters: Any) -> list[SeenIncident]:
        """What the flows' rules, and those of `flowtell.toml`, make of it up to now. Needs flowtell-alerts."""
        wanted = {**filters, **({} if rule is None else {"rule": rule}), **({} if flow is None else {"flow": flow})}
        found = incidents(self._written.all(), self._start, self._clock.now)
        return _matching(found, SeenIncident, wanted)

    # --- assertions

    def assert_completed(self, flow: str, **filters: Any) -> SeenRun:
        """The flow's latest run has completed; that run."""
        return self.assert_state(flow, "completed", **filters)

    def assert_failed(self, flow: str, error: str | None = None, **filters: Any) -> SeenRun:
        """The flow's latest run has failed, by an error of this type, or with this text in its message."""
        run = self.assert_state(flow, "failed", **filters)
        failure = run.error
        if error is not None and (failure is None or (error != failure.type and error not in failure.message)):
            raise AssertionError(f"{run} does not have {error!r} for its error")
        return run

    def assert_state(self, flow: str, state: str, **filters: Any) -> SeenRun:
        """The flow's latest run is in this state, such as `timed_out` or `paused`."""
        found = self.runs(flow, **filters)
        if not found:
            raise AssertionError(_nothing("flow run", {"flow": flow, **filters}, self.runs()))
        if found[-1].state != state:
            raise AssertionError(f"not {state}: {found[-1]}{_its_end(found[-1])}")
        return found[-1]

    def assert_event(self, type: str, **filters: Any) -> Event:
        """At least one such event was written; the last one."""
        found = self.events(type, **filters)
        if not found:
            raise AssertionError(_nothing("event", {"type": type, **filters}, self.events(type) or _types(self.events())))
        return found[-1]

    def assert_logged(self, containing: str, **filters: Any) -> LogRecorded:
        """At least one log line has this text in it; the last one."""
        found = self.logs(containing, **filters)
        if not found:
            lines = [f"{line.level} {line.message}" for line in self.logs()]
            raise AssertionError(_nothing("log line", {"containing": containing, **filters}, lines))
        return found[-1]

    def assert_edge(self, upstream: Any, downstream: Any) -> Edge:
        """The asset `downstream` was made of `upstream`: keys, or `Asset`s."""
        edge = Edge(_key(upstream), _key(downstream))
        if edge not in (edges := self.edges()):
            raise AssertionError(_nothing("edge", edge._asdict(), [f"{one.upstream} -> {one.downstream}" for one in edges]))
        return edge

    def assert_incident(self, rule: str, flow: str | None = None, **filters: Any) -> SeenIncident:
        """A rule of this kind did not hold, and does not hold now; the last such incident."""
        wanted = {"resolved": False, **filters}
        found = self.incidents(rule, flow, **wanted)
        if not found:
            raise AssertionError(_nothing("incident", {"rule": rule, "flow": flow, **wanted}, self.incidents()))
        return found[-1]

    def assert_no_incident(self, rule: str | None = None, flow: str | None = None) -> None:
        """No rule, or none of this kind, did ever not hold."""
        found = self.incidents(rule, flow)
        if found:
            raise AssertionError(f"there {'is one' if len(found) == 1 else f'are {len(found)}'}:{_listed(found)}")

    # --- schedules

    def declare(self, *deployments: Deployment) -> None:
        """Say that they exist, and let nobody serve them: what is due does not start."""
        for deployment in deployments:
            deployment.declare()

    def serve(self, *deployments: Deployment) -> None:
        """As `declare`; from now on a run that falls due is run here, when the clock is moved past it."""
        self.declare(*deployments)
        for deployment in deployments:
            for schedule in deployment.schedules:
                self._served[deployment.full_name, schedule.id] = deployment, self._clock.now

    def _run_due(self, until: int) -> None:
        while (found := self._first_due(until)) is not None:
            due, served = found
            deployment, _ = self._served[served]
            self._served[served] = deployment, due
            self.time.pass_until(due)
            _run(deployment, due)

    def _first_due(self, until: int) -> tuple[int, tuple[str, str]] | None:
        found: list[tuple[int, tuple[str, str]]] = []
        for served, (deployment, after) in self._served.items():
            schedule = next(one for one in deployment.schedules if one.id == served[1])
            due = next_due(schedule, after) if schedule.active and not deployment.paused else None
            if due is not None and due <= until:
                found.append((due, served))
        return min(found, default=None)

    # --- pauses

    def answer(self, value: Any = None, *, key: str | None = None, flow: str | None = None, actor: str = "test") -> None:
        """The next pause, or the next of this key or flow, is answered so; one that waits now, or one that is to come."""
        self._answers.append(_Answer(value, key, flow, actor))

    def start(self, flow: Flow[..., Any], *args: Any, **kwargs: Any) -> Started:
        """Run a flow on another thread: the test goes on, moves the clock, and answers."""
        return Started(self, FlowRun(flow, args, kwargs), self._apart)

    def between_looks(self, seconds: float) -> None:
        """A run waits for an answer: give it one, or let time pass."""
        if not self._give_answer() and self._is_apart():
            time.sleep(_LOOK_SECONDS)

    async def between_looks_async(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(0 if self._give_answer() or not self._is_apart() else _LOOK_SECONDS)

    def _is_apart(self) -> bool:
        """Whether somebody else can answer; else the time of the pause is up at once."""
        if threading.get_ident() in self._apart:
            return True
        open_ones = _questions()
        ends = [pause.until for pause in open_ones if pause.until is not None]
        if not ends:
            raise NobodyAnswers(open_ones[-1].run.work.name, open_ones[-1].key)
        self.time.pass_until(min(ends))
        return False

    def _give_answer(self) -> bool:
        for pause in _questions():
            for answer in self._answers:
                if answer.is_for(pause.run.work.name, pause.key):
                    self._answers.remove(answer)
                    line = Line(kind="given", key=pause.key, id=new_id(), answer=answer.value, actor=answer.actor)
                    Box(self.home, pause.run.id).add(line)
                    return True
        return False


class Started:
    """A flow run on a thread of its own."""

    def __init__(self, harness: FlowHarness, run: FlowRun, apart: set[int]) -> None:
        self._harness, self._run = harness, run
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(apart,), name=f"harness-{run.name}", daemon=True)
        self._thread.start()

    def _work(self, apart: set[int]) -> None:
        apart.add(threading.get_ident())
        try:
            self._value = run_to_end(self._run, self._run.work.colour)
        except BaseException as error:  # noqa: BLE001  # raised again where the result is asked for
            self._error = error
        finally:
            apart.discard(threading.get_ident())

    @property
    def id(self) -> str:
        """Of the flow run."""
        return self._run.id

    def wait_until(self, state: str, timeout: float = 10.0) -> Started:
        """Wait, in real time, until the run is in this state, such as `paused`.

        Raises:
            AssertionError: it was not within `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while not (found := self._harness.runs(id=self.id)) or found[0].state != state:
            if time.monotonic() > until:
                raise AssertionError(f"not {state} within {timeout:g} s: {found[0] if found else 'it has not begun'}")
            time.sleep(_LOOK_SECONDS)
        return self

    def result(self, timeout: float = 10.0) -> Any:
        """What the flow returned, or raised.

        Raises:
            TimeoutError: it had not ended within `timeout` seconds of real time.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._run.name} has not ended within {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self._value


@contextmanager
def harness(start: Moment = "2026-01-01T00:00Z", **settings: str) -> Iterator[FlowHarness]:
    """A home and a clock for flows of this process, while the block lasts. Nothing is shipped from it.

    The clock stands at `start` until it is moved: by `h.time`, and by retries, whose delays pass at once. Further keywords
    set FLOWTELL_… variables, as in `temporary_home`.

    Raises:
        RuntimeError: one is open in this process.
    """
    if not _open.acquire(blocking=False):
        raise RuntimeError("a harness is open already, and a process has one clock")
    try:
        wanted = {"environment": ENVIRONMENT, "store": "", "quiet": "true", **settings}
        with temporary_home(**wanted) as home:
            made = FlowHarness(home, FakeClock(as_microseconds(start)))
            OUTSIDE.count_anew()
            with in_place(made.time, _names(made)):
                yield made
    finally:
        _open.release()


def _names(made: FlowHarness) -> Mapping[str, Mapping[str, Callable[..., Any]]]:
    return {
        "flowtell.engine.drivers": {"rest": made.time.rest, "rest_async": made.time.rest_async},
        "flowtell.engine.pausing": {
            "between_looks": made.between_looks,
            "between_looks_async": made.between_looks_async,
        },
    }


def _run(deployment: Deployment, due: int) -> None:
    """On a thread of its own, as in a process of its own: what it raises is in its run."""
    flow = deployment.flow
    assignment = Assignment(
        run=run_of(bus.settings()["environment"], flow.name, deployment.name, due),
        flow=flow.name,
        deployment=deployment.name,
        due=due,
        tags=deployment.tags,
    )

    def work() -> None:
        try:
            run_to_end(FlowRun(flow, (), dict(deployment.parameters), assignment), flow.colour)
        except BaseException:  # noqa: BLE001, S110  # told by the run
            pass

    thread = threading.Thread(target=work, name=f"harness-{flow.name}", daemon=True)
    thread.start()
    thread.join()


def _questions() -> list[Any]:
    """Pauses of the run around the caller that wait, the latest last."""
    run = current.get()
    return list(run.letters.open) if isinstance(run, FlowRun) and run.letters is not None else []


def _matching(found: Sequence[S], kind: type[S], wanted: Mapping[str, Any]) -> list[S]:
    """Those that have these attributes; a name that is none is told, also where there is nothing to look at."""
    known = kind.__struct_fields__
    for name in wanted:
        if name not in known:
            raise TypeError(f"{name!r} filters nothing here; there is {', '.join(known)}")
    return [one for one in found if _matches(one, wanted)]


def _matches(one: Any, wanted: Mapping[str, Any]) -> bool:
    return all(_fits(getattr(one, name), value) for name, value in wanted.items())


def _fits(found: Any, wanted: Any) -> bool:
    return bool(wanted(found)) if callable(wanted) else found == wanted


def _only(found: Sequence[SeenRun], what: str, wanted: Mapping[str, Any], all_of_them: Sequence[Any]) -> SeenRun:
    if not found:
        raise AssertionError(_nothing(what, wanted, all_of_them))
    if len(found) > 1:
        raise AssertionError(f"{len(found)} {what}s {_asked(wanted)}, not one:{_listed(found)}")
    return found[0]


def _nothing(what: str, wanted: Mapping[str, Any], instead: Sequence[Any]) -> str:
    return f"no {what} {_asked(wanted)}; there is{_listed(instead) or ' none'}"


def _asked(wanted: Mapping[str, Any]) -> str:
    return "with " + ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)


def _listed(found: Sequence[Any]) -> str:
    return "".join(f"\n  {one}" for one in found[:20]) + (f"\n  and {len(found) - 20} more" if len(found) > 20 else "")


def _types(events: Sequence[Event]) -> list[str]:
    return sorted({event.type for event in events})


def _its_end(run: SeenRun) -> str:
    return f"\n{run.error.traceback}" if run.error is not None and run.error.traceback else ""


def _key(asset: Any) -> str:
    return asset if isinstance(asset, str) else str(asset.key)


__all__ = ["Edge", "FlowHarness", "Started", "harness"]
