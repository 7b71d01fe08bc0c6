"""What earlier runs that ended well say of this one: how long it usually takes, when it will end, what is otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from flowtell.store.reading import Run, list_told
from flowtell.why.answer import Change, Expected
from flowtell.why.facts import Facts, RunFacts

FEWEST: Final = 5
"""Runs below which nothing is said to be usual."""
_LOOKED_AT: Final = 10
"""Earlier runs whose task runs are read."""
_SECOND: Final = 1_000_000
_TELLING: Final = 1.5
"""A task's duration has changed from so many times on, up or down, and by a second."""
_MEASURES: Final = 500


class Usual(NamedTuple):
    median: float
    """Seconds."""
    runs: int


def usual_seconds(facts: Facts, run: Run, task: str) -> Usual | None:
    """How long the task takes in runs that ended well; None with fewer than `FEWEST` of them."""
    found = facts.task_seconds([each.id for each in facts.before(run)[:_LOOKED_AT]], task)
    return Usual(median(found), len(found)) if len(found) >= FEWEST else None


def expected(facts: Facts, run: Run) -> Expected | None:
    """When an open run will end; None where too few earlier ones lasted as long as it has by now."""
    if run.started is None or run.ended is not None:
        return None
    passed = (facts.at - run.started) / _SECOND
    longer = sorted(each.duration for each in facts.before(run) if each.duration is not None and each.duration > passed)
    if len(longer) < FEWEST:
        return None

    def end(part: float) -> int:
        return run.started + round(longer[round(part * (len(longer) - 1))] * _SECOND)  # type: ignore[operator]

    return Expected(end=end(0.5), earliest=end(0.1), latest=end(0.9), runs=len(longer))


def changes(facts: Facts, here: RunFacts, good: Run) -> Iterator[Change]:
    """What is otherwise than in that run."""
    run = here.run
    if run.version and good.version and run.version != good.version:
        yield Change(what="version", was=good.version, now=run.version)
    for name in sorted(run.parameters.keys() | good.parameters.keys()):
        was, now = good.parameters.get(name), run.parameters.get(name)
        if was != now:
            yield Change(what="parameter", name=name, was=was, now=now)
    yield from _slower(facts.durations(good.id), facts.durations(run.id))
    yield from _other_measures(_measured(facts, good.id), _measured(facts, run.id))


def _slower(was: dict[str, float], now: dict[str, float]) -> Iterator[Change]:
    for task in sorted(was.keys() & now.keys()):
        before, after = was[task], now[task]
        if abs(after - before) > 1 and max(after, before) > _TELLING * min(after, before):
            yield Change(what="task", name=task, was=round(before, 3), now=round(after, 3))


def _other_measures(was: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    for name in sorted(was.keys() & now.keys()):
        low, high = sorted((abs(was[name]), abs(now[name])))
        if was[name] != now[name] and (low == 0 or high > _TELLING * low):
            yield Change(what="measure", name=name, was=was[name], now=now[name])


def _measured(facts: Facts, run: str) -> dict[str, Any]:
    told: Sequence[Any] = list_told(facts.read, run, limit=_MEASURES, types=["measure.recorded"])
    return {f"{one.event.task} {one.event.name}".strip(): one.event.value for one in told if one.event.time <= facts.at}


def made_by(facts: Facts, run: str) -> set[str]:
    """Assets that a run made by then."""
    told: Sequence[Any] = list_told(facts.read, run, limit=_MEASURES, types=["asset.materialized", "asset.cached"])
    return {one.event.asset for one in told if one.event.time <= facts.at}
