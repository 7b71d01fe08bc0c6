"""A run's picture in time as SVG: the bars of the page, mapped ones in one row, drawn without a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from flowtell_dashboard.states import look

ROWS: Final = 1_000
BARS: Final = 10_000
"""Rows and bars that are drawn; the table has what comes after."""

_ROW, _LABELS, _WIDE, _MANY, _LONGEST = 22, 240, 1200, 4, 34


def bars(data: Mapping[str, Any]) -> str:
    """`data` is what `read_gantt` returns."""
    rows = list(_rows(data))
    drawn = [bar for place, row in enumerate(rows[:ROWS]) for bar in _row(data, row, place)][: BARS + ROWS]
    left = f"<p>The first {ROWS:,} of {len(rows):,} rows are drawn.</p>" if len(rows) > ROWS else ""
    high = max(min(len(rows), ROWS), 1) * _ROW
    label = "Task runs in time; the table below says the same"
    return f'{left}<svg class="bars" role="img" aria-label="{label}" viewBox="0 0 {_WIDE} {high}">{"".join(drawn)}</svg>'


def _rows(data: Mapping[str, Any]) -> Iterator[list[int]]:
    """Places of pieces: one row each, but all of a mapped task in one."""
    mapped: dict[str, list[int]] = {}
    for i, index in enumerate(data["index"]):
        if index is not None:
            mapped.setdefault(data["name"][i], []).append(i)
    done: set[str] = set()
    for i, index in enumerate(data["index"]):
        name = data["name"][i]
        if index is None or len(mapped[name]) < _MANY:
            yield [i]
        elif name not in done:
            done.add(name)
            yield mapped[name]


def _row(data: Mapping[str, Any], row: list[int], place: int) -> Iterator[str]:
    many = f" \N{MULTIPLICATION SIGN}{len(row):,}" if len(row) > 1 else ""
    name = str(data["name"][row[0]])
    words = escape((name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…") + many)
    yield f'<text x="4" y="{place * _ROW + 15}">{words}</text>'
    for i in row:
        yield _bar(data, i, place)
        if len(row) == 1:
            yield from _attempts(data, i, place)


def _bar(data: Mapping[str, Any], i: int, place: int) -> str:
    start, end = data["started"][i], _end(data, i)
    said = f"{data['name'][i]}: {look(data['state'][i]).word}, {(end - start) / 1e6:.3g} s"
    return _box(data, start, end, place, state=str(data["state"][i]), said=said)


def _attempts(data: Mapping[str, Any], i: int, place: int) -> Iterator[str]:
    """Over the bar: the attempts that failed, and the waits after them."""
    begun = data["started"][i]
    for failed, again in data["waits"].get(data["id"][i], ()):
        yield _box(data, begun, failed, place, state="failed", said="an attempt that failed")
        yield _box(data, failed, min(again, _end(data, i)), place, state="wait", said="waited for the next attempt")
        begun = again


def _end(data: Mapping[str, Any], i: int) -> int:
    ended = data["ended"][i]
    return int(data["now"] if ended is None else ended)


def _box(data: Mapping[str, Any], start: int, end: int, place: int, *, state: str, said: str) -> str:
    span = max(data["to"] - data["from"], 1)
    left = _LABELS + (start - data["from"]) / span * (_WIDE - _LABELS)
    wide = max((end - start) / span * (_WIDE - _LABELS), 1.5)
    look_of = 'class="wait"' if state == "wait" else f'data-state="{escape(state)}"'
    where = f'x="{left:.1f}" y="{place * _ROW + 4}" width="{wide:.1f}" height="{_ROW - 8}"'
    return f"<rect {look_of} {where}><title>{escape(said)}</title></rect>"
