"""Draws the time lines of the rules' pages: each `docs/rules/*.toml` becomes the SVG beside it. Run by `make docs`.

A file has the range of its axis (`from`, `to`, in whatever unit it likes), its `ticks` as `[at, text]`, and its rows. A row
has a `label`, `bars` as `[from, to, look]` and `marks` as `[at, text, look]`. What the looks mean is said once, in `LOOKS`.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec
from msgspec import Meta, Struct

FOLDER: Final = Path(__file__).parent / "rules"

LOOKS: Final = {
    "run": ("#5b7fa6", "#7ea3cc"),
    "good": ("#3f8f5f", "#62b586"),
    "bad": ("#b3412f", "#e0705d"),
    "aside": ("#b6b9bd", "#565b62"),
    "unknown": ("#9a7b1f", "#c9a94a"),
    "incident": ("#b3412f", "#e0705d"),
}
"""Colour on a light page and on a dark one. `aside` is what the rule does not look at, `unknown` what nobody can tell."""

Look = Literal["run", "good", "bad", "aside", "unknown", "incident"]

WIDTH, LEFT, RIGHT = 760, 120, 30
TOP, ROW, BAR = 16, 44, 14
_CLOSE: Final = 75
_SVG: Final = "http://www.w3.org/2000/svg"
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #30343a } .dim { fill: #6a7078 }
.axis { stroke: #c9ccd1 } .line { stroke: #30343a; stroke-dasharray: 3 3; opacity: .45 }
@media (prefers-color-scheme: dark) {
text { fill: #d8dbe0 } .dim { fill: #989ea7 } .axis { stroke: #454a51 } .line { stroke: #d8dbe0 }
"""


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    label: str
    bars: list[tuple[float, float, Look]] = []
    marks: list[tuple[float, str, Look]] = []


class Timeline(Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    title: Annotated[str, Meta(min_length=1)]
    """What a reader who sees no pictures is told."""
    start: float
    end: float
    ticks: list[tuple[float, str]]
    row: Annotated[list[Row], Meta(min_length=1)]

    def x(self, at: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (at - self.start) / (self.end - self.start), 1)


def drawn(timeline: Timeline) -> str:
    """The picture, readable on light and on dark pages."""
    height = TOP + ROW * len(timeline.row) + 26
    lines = [
        f'<svg xmlns="{_SVG}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(timeline.title)}</title>",
        f"<style>{_style()}</style>",
        *_axis(timeline, height - 22),
        *(line for place, row in enumerate(timeline.row) for line in _row(timeline, row, TOP + ROW * place)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _style() -> str:
    light = "".join(f".{look} {{ fill: {colours[0]} }} " for look, colours in LOOKS.items())
    dark = "".join(f".{look} {{ fill: {colours[1]} }} " for look, colours in LOOKS.items())
    return f"{_STYLE.replace('@media', light + chr(10) + '@media', 1)}{dark}}}\n"


def _axis(timeline: Timeline, bottom: int) -> Iterator[str]:
    yield f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>'
    for at, text in timeline.ticks:
        x = timeline.x(at)
        yield f'<path class="line" d="M{x:g} {TOP - 8}V{bottom}"/>'
        yield f'<text class="dim" x="{x:g}" y="{bottom + 15}" text-anchor="middle">{escape(text)}</text>'


def _row(timeline: Timeline, row: Row, top: int) -> Iterator[str]:
    middle = top + 22
    yield f'<text x="{LEFT - 12}" y="{middle + 4}" text-anchor="end">{escape(row.label)}</text>'
    for start, end, look in row.bars:
        x, width = timeline.x(start), timeline.x(end) - timeline.x(start)
        yield f'<rect class={quoteattr(look)} x="{x:g}" y="{middle - BAR // 2}" width="{width:.4g}" height="{BAR}" rx="3"/>'
    places = [timeline.x(at) for at, _, _ in row.marks]
    for place, (_, text, look) in enumerate(row.marks):
        yield from _mark(places[place], middle, text, look, _anchor(places, place))


def _mark(x: float, middle: int, text: str, look: Look, anchor: str) -> Iterator[str]:
    """A point with its text above."""
    yield f'<circle class={quoteattr(look)} cx="{x:g}" cy="{middle}" r="5"/>'
    yield f'<text x="{x:g}" y="{middle - 12}" text-anchor="{anchor}">{escape(text)}</text>'


def _anchor(places: Sequence[float], place: int) -> str:
    """Which way a text goes from its point: off the edges, and off its neighbours."""
    x = places[place]
    if x > WIDTH - 60 or (place + 1 < len(places) and places[place + 1] - x < _CLOSE):
        return "end"
    return "start" if x < LEFT + 30 or (place and x - places[place - 1] < _CLOSE) else "middle"


def read(path: Path) -> Timeline:
    """Raises msgspec.ValidationError where the file says something else than this module's docstring."""
    return msgspec.convert(tomllib.loads(path.read_text()), Timeline)


def pictures(folder: Path = FOLDER) -> Iterable[tuple[Path, str]]:
    """Every picture with its place."""
    for path in sorted(folder.glob("*.toml")):
        yield path.with_suffix(".svg"), drawn(read(path))


if __name__ == "__main__":
    for place, picture in pictures():
        place.write_text(picture)
        print(place, file=sys.stderr)
