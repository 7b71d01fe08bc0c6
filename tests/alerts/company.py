"""A month of a company, as its writers would have told it: flows in layers, assets between them, one failure a day upstream.

Every flow is due once a day, runs its tasks, reads what flows of the layer before made and makes an asset of its own. Each
day one flow of the first layers fails; what waits for its asset does not start, until somebody has run the failed one again
and the others follow, one after the other. Pure and seeded: the same company tells the same story.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.schedules import cron

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LAYERS = 4
TASKS = 12
ENVIRONMENT = "prod"


class Flow(NamedTuple):
    name: str
    layer: int
    at: int
    """Minute of the day that it is due, UTC."""
    takes: int
    """µs."""
    reads: tuple[str, ...]
    """Flows whose assets it reads."""

    @property
    def asset(self) -> str:
        return f"s3://lake/{self.name}"


class Company:
    """Its flows, and what they do day by day.

    Args:
        flows: how many; the same number in each layer.
        rules: what each flow states.
    """

    def __init__(self, flows: int, start: int, rules: tuple[e.RuleData, ...], seed: int = 1, tasks: int = TASKS) -> None:
        self._draw = random.Random(seed)
        self._start, self._rules, self._tasks = start, rules, tasks
        self._numbers = itertools.count()
        self._events: list[tuple[int, int, e.Event]] = []
        self.flows: dict[str, Flow] = {}
        for number in range(flows):
            layer = number * LAYERS // flows
            self._found(f"flow_{number:03d}", layer)
        self.readers = {name: [each for each in self.flows.values() if name in each.reads] for name in self.flows}

    def _found(self, name: str, layer: int) -> None:
        before = [each.name for each in self.flows.values() if each.layer == layer - 1]
        reads = tuple(sorted(self._draw.sample(before, min(len(before), self._draw.randint(1, 3))))) if before else ()
        at = 60 + 90 * layer + self._draw.randrange(40)
        self.flows[name] = Flow(name, layer, at, self._draw.randint(2, 25) * MINUTE, reads)

    # --- the story ------------------------------------------------------------------------------------------------

    def days(self, days: int) -> Iterator[tuple[str, list[tuple[int, e.Event]]]]:
        """Day by day who failed, and all that happened, by the moment at which it reaches the log.

        Before the first of these days is one on which nothing fails, and nobody is named: who waits for whom is known by
        what runs have made and read.
        """
        for flow in self.flows.values():
            self._declare(flow)
        self._live(self._start, None)
        yield "", self._told_until(self._start + DAY)
        for day in range(1, days + 1):
            failing = self._draw.choice([each for each in self.flows.values() if self.readers[each.name]])
            self._live(self._start + day * DAY, failing)
            yield failing.name, self._told_until(self._start + (day + 1) * DAY)

    def _told_until(self, end: int) -> list[tuple[int, e.Event]]:
        told = []
        while self._events and self._events[0][0] < end:
            at, _, event = heapq.heappop(self._events)
            told.append((at, event))
        return told

    def _live(self, midnight: int, failing: Flow | None) -> None:
        """One day: in order of layers, each starts when it is due and what it reads is there."""
        ready: dict[str, int] = {}
        for flow in self.flows.values():
            due = midnight + flow.at * MINUTE
            start = due + self._draw.randint(1, 30) * 1_000_000
            waited = max((ready[name] for name in flow.reads), default=0)
            if waited > start:
                start = waited + self._draw.randint(1, 5) * MINUTE
            if flow == failing:
                self._run(flow, due, start, state="failed")
                again = start + self._draw.randint(150, 300) * MINUTE
                ready[flow.name] = self._run(flow, due, again)
            else:
                ready[flow.name] = self._run(flow, due, start)

    # --- what is told ---------------------------------------------------------------------------------------------

    def _tell(self, at: int, kind: type[e.Event], flow: Flow, **fields: Any) -> str:
        number = next(self._numbers)
        identifier = derived_id(at, "company", str(number))
        common = {"flow": flow.name, "deployment": "daily", "environment": ENVIRONMENT}
        delay = self._draw.randint(1, 400) * 1000  # on its way into the log
        heapq.heappush(self._events, (at + delay, number, kind(id=identifier, time=at, **{**common, **fields})))
        return identifier

    def _declare(self, flow: Flow) -> None:
        self._tell(self._start, e.FlowDeclared, flow, deployment="", rules=self._rules, owners=("data",))
        line = cron(f"{flow.at % 60} {flow.at // 60} * * *", "UTC")
        self._tell(self._start, e.DeploymentDeclared, flow, schedules=(line,))

    def _run(self, flow: Flow, due: int, start: int, state: str = "completed") -> int:
        """One run; when it ended."""
        run = derived_id(start, flow.name, "run")
        ends = start + (flow.takes if state == "completed" else flow.takes // 2)
        self._tell(start, e.FlowRunStarted, flow, run=run, trace=run, due=due)
        for task in range(self._tasks):
            at = start + (ends - start) * task // self._tasks
            self._task(flow, run, f"task_{task}", at, at + (ends - start) // self._tasks)
        if state == "completed":
            sources = tuple(e.UpstreamAsset(asset=self.flows[name].asset) for name in flow.reads)
            self._tell(ends - 1000, e.AssetMaterialized, flow, run=run, asset=flow.asset, upstream=sources)
        error = e.Failure(type="IOError") if state == "failed" else None
        self._tell(ends, e.FlowRunFinished, flow, run=run, state=state, error=error, duration=(ends - start) / 1e6, due=due)
        return ends

    def _task(self, flow: Flow, run: str, task: str, start: int, end: int) -> None:
        where = {"run": run, "task": task, "task_run": derived_id(start, run, task)}
        self._tell(start, e.TaskRunStarted, flow, **where)
        self._tell(end - 1, e.TaskRunFinished, flow, **where, state="completed", duration=(end - start) / 1e6)
