"""Random histories, with restarts, redelivery and late arrivals: the incidents are those that an oracle expects.

The oracle is written apart from the product: it keeps every end and every start that the log holds, and at each tick
works out from scratch what is wrong at that moment.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowtell import events as e
from flowtell.rules import failed, too_long

from .conftest import World

S = 1_000_000
BOUND = 10
RULES = {"failed 1": failed(), "failed 2": failed(consecutive=2), "too long": too_long(BOUND)}

step = st.one_of(
    st.tuples(st.just("start"), st.integers(0, 1)),
    st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from(["completed", "cached", "failed", "crashed", "cancelled"])),
    st.tuples(st.just("late end"), st.integers(0, 1), st.integers(1, 30), st.sampled_from(["completed", "failed"])),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("rules"), st.integers(0, 1), st.sets(st.sampled_from(sorted(RULES)))),
    st.tuples(st.just("tick"), st.sampled_from([0.5, 1, 5, 13, 100, 4000])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("deliver")),
)


class Oracle:
    """All that the log holds of each flow, and which incidents should be open."""

    def __init__(self):
        self.ends = defaultdict(dict)  # flow -> run -> (time, good)
        self.running = defaultdict(dict)  # flow -> run -> start
        self.rules = defaultdict(set)
        self.judged_good = defaultdict(int)

    def wrong(self, now):
        """The rules that do not hold at `now`."""
        return {(flow, name) for flow, names in self.rules.items() for name in names if self._broken(flow, name, now)}

    def _broken(self, flow, name, now):
        if name == "too long":
            return any(now - start > (BOUND + 2) * S for start in self.running[flow].values())
        return self._bad_in_a_row(flow) >= int(name[-1])

    def _bad_in_a_row(self, flow):
        ends = self.ends[flow].values()
        last_good = max((time for time, good in ends if good), default=-1)
        return sum(1 for time, good in ends if not good and time > last_good)


class History:
    """Applies steps to the world and to the oracle alike."""

    def __init__(self, world):
        self.world, self.oracle = world, Oracle()
        self.runs = []
        self.sent = []
        self.count = 0

    def apply(self, what, *arguments):
        getattr(self, what.replace(" ", "_"))(*arguments)

    def start(self, flow):
        self.world.clock.advance(0.01)
        self.count += 1
        run, name = f"run{self.count}", f"flow{flow}"
        self.world.starts(run, name)
        self.runs.append((run, name))
        self.oracle.running[name][run] = self.world.clock()

    def end(self, which, state):
        if len(self.runs) <= which:
            return
        self.world.clock.advance(0.01)
        run, flow = self.runs.pop(which)
        self.world.ends(run, state, flow)
        del self.oracle.running[flow][run]
        self._ended(flow, run, self.world.clock(), state)

    def late_end(self, flow, seconds, state):
        """A run of another machine, of which only the end is known, and that late."""
        self.count += 1
        at, name, run = self.world.clock() - seconds * S - self.count, f"flow{flow}", f"run{self.count}"
        self.world.appends(e.FlowRunFinished, at=at, run=run, flow=name, state=state)
        self._ended(name, run, at, state)

    def _ended(self, flow, run, at, state):
        if state != "cancelled":
            self.oracle.ends[flow][run] = (at, state in ("completed", "cached"))

    def again(self, which):
        """A writer sends an event twice."""
        events = self.world.events()
        if events:
            self.world.harness.append([events[which % len(events)]], writer="w2")

    def rules(self, flow, names):
        self.world.clock.advance(0.01)
        self.world.declares(*(RULES[name] for name in sorted(names)), flow=f"flow{flow}")
        self.oracle.rules[f"flow{flow}"] = names

    def restart(self):
        self.world.restarts()

    def deliver(self):
        self.world.harness.deliver()

    def tick(self, seconds):
        self.world.passes(seconds)
        self.world.passes(2)  # a flow of which late news came is judged two seconds later
        self.check()

    def check(self):
        found = [(incident.flow, _name(incident.rule)) for incident in self.world.open]
        assert len(found) == len(set(found)), "two open incidents of one rule"
        assert set(found) == self.oracle.wrong(self.world.clock())
        self._check_events()

    def _check_events(self):
        """Each incident is opened once, resolved once or not yet, and the log and the table say the same."""
        open_now = {}
        for event in self.world.events("incident.opened", "incident.resolved"):
            if event.type == "incident.opened":
                assert event.key not in open_now
                open_now[event.key] = event.incident
            else:
                assert open_now.pop(event.key) == event.incident
        assert set(open_now.values()) == {incident.incident for incident in self.world.open}
        assert len({incident.incident for incident in self.world.incidents}) == self.world.told().count("opened")


def _name(rule):
    return "too long" if rule.kind == "too_long" else f"failed {rule.arguments['consecutive']}"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(step, min_size=5, max_size=40))
def test_incidents_are_what_an_oracle_expects(steps):
    """At most one open per rule, open exactly while the rule does not hold, whatever happens between."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        history = History(world)
        try:
            history.rules(0, set(RULES))
            history.rules(1, {"failed 2"})
            for each in steps:
                history.apply(*each)
            history.tick(1)
            history.restart()
            history.tick(1)
        finally:
            world.harness.close()
