"""What decided a run's length, against an oracle that tries everything."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowtell_dashboard.gantt.critical_path import Span, critical_path


def precedes(first: Span, then: Span, spans: list[Span]) -> bool:
    """Whether `then` waited for `first`, by the words of the module, pair by pair."""
    if first.id == then.id or first.started > then.started:
        return False
    there = {span.id: span for span in spans}
    known = [one for one in then.upstream if one in there and one != then.id and there[one].started <= then.started]
    if known:
        return first.id in known
    return first.ended <= then.started and first.started < then.started


def slack_by_trying(spans: list[Span], end: int) -> dict[str, int]:
    """Of each task, how far its end is from where the run's end, or whoever waits for it, would be moved."""
    found: dict[str, int] = {}

    def of(span: Span) -> int:
        if span.id not in found:
            waiting = [other for other in spans if precedes(span, other, spans)]
            rooms = [max(0, other.started + of(other) - span.ended) for other in waiting]
            found[span.id] = min(rooms, default=max(end, span.ended) - span.ended)
            found[span.id] = min(found[span.id], max(end, span.ended) - span.ended)
        return found[span.id]

    return {span.id: of(span) for span in spans}


@st.composite
def runs(draw: st.DrawFn) -> list[Span]:
    """Up to nine tasks whose starts differ; some were given results of earlier ones."""
    starts = draw(st.lists(st.integers(0, 60), min_size=1, max_size=9, unique=True))
    spans: list[Span] = []
    for number, start in enumerate(sorted(starts)):
        earlier = [span.id for span in spans]
        upstream = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        spans.append(Span(str(number), start, start + draw(st.integers(0, 30)), tuple(upstream)))
    return draw(st.permutations(spans))


@given(spans=runs())
def test_slack_is_what_trying_finds(spans: list[Span]) -> None:
    """For any small run, whatever it knows of its dependencies."""
    end = max(span.ended for span in spans)
    assert critical_path(spans, end).slack == slack_by_trying(spans, end)


@given(spans=runs())
def test_the_path_goes_back_from_the_last_end_by_the_last_waited_for(spans: list[Span]) -> None:
    """Each step is to the latest of what the next one waited for; the first waited for nothing."""
    path = critical_path(spans, max(span.ended for span in spans)).path
    there = {span.id: span for span in spans}
    steps = [there[one] for one in path]
    assert (steps[-1].ended, steps[-1].id) == max((span.ended, span.id) for span in spans)
    for before, then in pairwise(steps):
        waited = [span for span in spans if precedes(span, then, spans)]
        assert (before.ended, before.id) == max((span.ended, span.id) for span in waited)
    assert not [span for span in spans if precedes(span, steps[0], spans)]


def test_a_fan_out_has_slack_but_for_its_slowest() -> None:
    """The reducing task waits for all of them."""
    mapped = [Span(f"m{n}", 10, 10 + n, ("first",)) for n in range(1, 5)]
    spans = [Span("first", 0, 10), *mapped, Span("reduce", 15, 20, tuple(span.id for span in mapped))]
    found = critical_path(spans, 20)
    assert found.path == ["first", "m4", "reduce"]
    assert [found.slack[f"m{n}"] for n in range(1, 5)] == [4, 3, 2, 1]


def test_a_run_without_tasks_has_no_path() -> None:
    """And nothing is wrong with that."""
    assert critical_path([], 10) == ([], {})


def test_ten_thousand_tasks_take_a_moment(rounds) -> None:
    """A chain of chunks, each waiting for one of the chunk before: no step looks at all others."""
    spans = [
        Span(f"{layer}-{n}", layer * 100, layer * 100 + 60 + n % 40, (f"{layer - 1}-{n}",) if layer else ())
        for layer in range(100)
        for n in range(100)
    ]
    found = critical_path(spans, 10_000)
    assert len(found.path) == 100
    assert len(found.slack) == 10_000
