"""What pages ask, one example of everything: so that each query they make can be looked at, and none is forgotten.

Tests and the benchmark of queries go through `every`: a part of a page or a route without an example here is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowtell.store.reading import get_run
from flowtell_dashboard import app, health
from flowtell_dashboard.filling import Filling
from flowtell_dashboard.finding import find
from flowtell_dashboard.gantt.logs import read_lines
from flowtell_dashboard.gantt.reading import read_gantt
from flowtell_dashboard.timeline.index import Index
from flowtell_dashboard.timeline.page import read_choices

if TYPE_CHECKING:
    from flowtell.store.reading import Read

_LISTED: Final = (
    "",
    "?since=24h",
    "?since=any",
    "?state=failed",
    "?state=running,late",
    "?environment=prod",
    "?text=flow-1",
)

ADDRESSES: Final[dict[str, tuple[str, ...]]] = {
    "tiles": (*_LISTED, "?flow={flow}", "?flow={flow}&state=failed", "?flow=no-such-flow&since=any", "?text=no-such-flow"),
    "run-head": ("/runs/{run}", "/runs/no-such-run"),
    "task-graph": ("/runs/{run}", "/runs/no-such-run"),
    "flows": ("/flows",),
    "flow-head": ("?name={flow}", "?name={flow}&environment=prod", "?name=no-such-flow"),
    "assets": ("", "?text=clean", "?owner=ann", "?only=stale", "?only=failed", "?only=unmade", "?after=x://b"),
    "asset-head": ("?key={asset}", "?key={asset}&up={asset}&down={asset}", "?key=no-such-asset"),
    "compare-head": ("?run={run}", "?run={run}&with={run}", "?run=no-such-run", ""),
    "alerts-summary": ("/alerts",),
    "incident-head": ("/incidents/no-such-incident",),
    "health-head": ("/health",),
}
"""Of each filling, by the first of its parts: what its page's address says."""

RUNS_READ: Final = 40_000
"""Runs that the timeline's index loads here: its queries are of one shape, by pages."""

Asked = tuple[str, Callable[[], Any]]


def every(read: Read, clock: Callable[[], int], run: str, flow: str, asset: str = "") -> Iterator[Asked]:
    """A name and what asks, for every part of every page and everything that pictures ask.

    Args:
        run: the id of one that there is, with task runs and logs.
        flow: the name of one that has run.
        asset: the key of one that has been made.
    """
    index = Index(read, most=RUNS_READ)
    yield "timeline: loading", index.load
    yield "timeline: what changed", partial(_read_again, index, run)
    yield "timeline: names", partial(read_choices, read, index)
    for filling in app.fillings(read, index, clock, health.Asked(read, tuple, tuple, clock)):
        for address in ADDRESSES[filling.into[0][0]]:
            said = address.format(run=run, flow=flow, asset=asset)
            yield f"{filling.into[0][0]} {address}", partial(_fill, filling, said)
    yield "run: label", partial(get_run, read, run)
    for text in (run[:20], flow, asset or "x", "no such thing"):
        yield f"found: {text}", partial(find, read, index, text)
    yield from _pictures(read, clock, run)


def _read_again(index: Index, run: str) -> None:
    index.note([run], flows=True)
    index.load()


def _fill(filling: Filling, said: str) -> Any:
    return filling.find(filling.asked(said))


def _pictures(read: Read, clock: Callable[[], int], run: str) -> Iterator[Asked]:
    yield "run: tasks", partial(read_gantt, read, run, clock())
    yield "run: logs", partial(read_lines, read, run, None)
    yield "run: logs after", partial(read_lines, read, run, 10)
