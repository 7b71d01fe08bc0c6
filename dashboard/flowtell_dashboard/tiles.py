"""The numbers above the list of runs. Each is a link to what it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dash import html

from flowtell.store.reading import count_states
from flowtell_dashboard import counts, pieces
from flowtell_dashboard.filters import WINDOWS, RunFilter
from flowtell_dashboard.neighbours import Neighbours
from flowtell_dashboard.pieces import attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowtell.store.reading import Read

WELL: Final = ("completed", "cached")
BADLY: Final = ("failed", "timed_out", "crashed")
"""Ends that a success ratio is made of: one that was cancelled or skipped says nothing about its flow."""

_DAY: Final = WINDOWS["24h"][1] or 0
_HOUR: Final = WINDOWS["1h"][1] or 0


def tiles(read: Read, now: int, around: Neighbours) -> list[Any]:
    """What goes on, how the last day went, and what other distributions count, by a handful of bounded queries."""
    day, unended = count_states(read, now - _DAY), counts.count_open(read)
    return [
        *(_right_now(state, unended.get(state, 0)) for state in ("running", "late")),
        _failed(day),
        _success(day),
        _throughput(counts.count_runs(read, now - _HOUR)),
        *(
            _tile(each.key, each.words, each.shown, "now", each.address, quiet=not each.amount)
            for each in around.figures(read)
        ),
    ]


def _right_now(state: str, count: int) -> Any:
    shows = RunFilter(state=(state,), since="any").link()
    return _tile(state, pieces.state(state), counts.words(count), "right now", shows, quiet=not count, state=state)


def _failed(day: Mapping[str, int]) -> Any:
    count = _of(day, BADLY)
    shows = RunFilter(state=BADLY, since="24h").link()
    return _tile("failed", pieces.state("failed"), f"{count:,}", "last 24 hours", shows, quiet=not count, state="failed")


def _success(day: Mapping[str, int]) -> Any:
    """Of the runs that began in the last day and have ended well or badly."""
    well, ended = _of(day, WELL), _of(day, WELL + BADLY)
    shows = RunFilter(state=WELL + BADLY, since="24h").link()
    when = f"of {ended:,}, last 24 hours" if ended else "none ended in 24 hours"
    return _tile("success", "Success", percent(well, ended), when, shows, quiet=not ended)


def _throughput(count: int) -> Any:
    return _tile("throughput", "Started", counts.words(count), "last hour", RunFilter(since="1h").link(), quiet=not count)


def percent(part: int, whole: int) -> str:
    """Never rounded up to a whole that it is not: 100 % is all of them."""
    if not whole:
        return "none"
    tenths = part * 1000 // whole
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def _of(counted: Mapping[str, int], states: tuple[str, ...]) -> int:
    return sum(counted.get(state, 0) for state in states)


def _tile(key: str, words: Any, figure: str, when: str, address: str, *, quiet: bool, state: str = "") -> Any:
    said = words if state else html.Span(words, className="words")
    content = [said, html.Span(figure, className="count"), html.Span(when, className="when")]
    look = attributes(data_state=state) if state else {}
    return pieces.link(content, address, className=f"tile{' quiet' * quiet}", id=f"tile-{key}", **look)
