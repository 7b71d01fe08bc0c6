"""A world of flows that start and end as a test says, on a clock that stands still, watched by the real plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.runner import Runner
from flowtell.testing import FakeClock, PluginHarness
from flowtell_alerts import reading
from flowtell_alerts.evaluator import create
from flowtell_alerts.sender import Sender

FLOW = "nightly"


class World:
    """The evaluator over a real log. Every method says what happens at this moment of the clock."""

    def __init__(self, folder: Path, rules_file: Path | None = None, store_url: str = "") -> None:
        self.clock = FakeClock()
        settings = {"rules_path": str(rules_file)} if rules_file else {}
        self.harness = PluginHarness(create, folder, name="alerts", clock=self.clock, settings=settings, store_url=store_url)
        self.others: list[Runner] = []
        self._made = 0

    # --- what happens ---------------------------------------------------------------------------------------------

    def declares(self, *rules: e.RuleData, flow: str = FLOW, owners: tuple[str, ...] = ()) -> None:
        self.appends(e.FlowDeclared, flow=flow, rules=rules, owners=owners)

    def starts(self, run: str, flow: str = FLOW) -> None:
        self.appends(e.FlowRunStarted, run=run, flow=flow)

    def ends(self, run: str, state: str = "completed", flow: str = FLOW, **facts: Any) -> None:
        self.appends(e.FlowRunFinished, run=run, flow=flow, state=state, **facts)

    def appends(self, kind: type[e.Event], *, at: int | None = None, **fields: Any) -> None:
        """An event of this moment, or of the moment `at`, reaches the log now."""
        self._made += 1
        at = self.clock() if at is None else at
        identifier = derived_id(at, str(self._made))
        self.harness.append([kind(id=identifier, time=at, environment="test", **fields)])

    def passes(self, seconds: float = 1.0) -> None:
        """Time passes, and all plugins do what they have to do."""
        self.harness.deliver()
        self.harness.tick(seconds)
        for runner in self.others:
            self.turn(runner)

    def turn(self, runner: Runner) -> None:
        """Until nothing more happens at this moment of the clock: what a channel's thread is about is waited for."""
        while runner.step():
            pass
        runner.live = True
        runner.tick()
        while isinstance(runner.plugin, Sender) and runner.plugin.busy:
            runner.plugin.wait(10.0)
            runner.tick()
        while runner.step():
            pass

    def restarts(self) -> None:
        """The plugin made anew, and the moment over in which it waits for what came meanwhile."""
        self.harness.restart()
        self.clock.advance(2)

    def adds(
        self, name: str, factory: Callable[[Any], Any], *, mounted: Callable[[str, str, Any], None] | None = None
    ) -> Runner:
        """One more plugin over the same log. `mounted` gets what it serves."""
        runner = Runner(name, factory, self.harness.store, clock=self.clock)
        runner.on_mount = mounted
        runner.open()
        self.others.append(runner)
        return runner

    # --- what is seen ---------------------------------------------------------------------------------------------

    @property
    def incidents(self) -> list[reading.Incident]:
        """Oldest first."""
        return reading.incidents(self.harness.read, limit=10_000)[::-1]

    @property
    def open(self) -> list[reading.Incident]:
        return [incident for incident in self.incidents if incident.resolved is None]

    @property
    def rules(self) -> list[reading.RuleStatus]:
        return reading.rules(self.harness.read)

    def told(self) -> list[str]:
        """What the log says of incidents, such as `opened`."""
        types = ("incident.opened", "incident.updated", "incident.resolved")
        return [event.type.removeprefix("incident.") for event in self.harness.log(*types)]

    def events(self, *types: str) -> list[Any]:
        return self.harness.log(*types)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for runner in made.others:
        runner.close()
    made.harness.close()


@pytest.fixture
def make_world() -> Iterator[Callable[[Path], World]]:
    """For tests that need several."""
    made: list[World] = []

    def make(folder: Path) -> World:
        folder.mkdir(parents=True, exist_ok=True)
        made.append(World(folder))
        return made[-1]

    yield make
    for each in made:
        each.harness.close()
