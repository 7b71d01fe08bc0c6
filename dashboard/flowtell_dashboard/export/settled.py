"""What a page leaves to the browser's script, said in words: moments in UTC, durations; links to our pages are text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dash import html
from dash.development.base_component import Component


def settled(part: Any, now: int) -> Any:
    """The same part with nothing left to fill in; `now` in µs, until which what goes on has lasted."""
    if isinstance(part, list | tuple):
        return [settled(each, now) for each in part]
    if not isinstance(part, Component):
        return part
    told = part.to_plotly_json()["props"]
    if told.get("data-show") == "ago":
        return None  # beside the moment itself
    if "data-moment" in told:
        return html.Time(moment(int(told["data-moment"])))
    if "data-seconds" in told:
        return html.Span(lasted(float(told["data-seconds"])))
    if "data-since" in told:
        return html.Span(f"{lasted((now - int(told['data-since'])) / 1e6)} so far")
    if "download" in told or isinstance(part, html.Button):
        return None  # there is nothing in a file to ask for it
    children = settled(told.get("children"), now)
    if str(told.get("href", "")).startswith("/"):
        return html.Span(children)
    kind: Any = type(part)
    return kind(children, **{name: value for name, value in told.items() if name != "children"})


def moment(time: int | None) -> str:
    """A moment in µs, to the millisecond, in UTC."""
    if time is None:
        return ""
    return datetime.fromtimestamp(time / 1e6, UTC).isoformat(" ", "milliseconds").replace("+00:00", " UTC")


def lasted(seconds: float) -> str:
    """`1 h 02 min 03 s`, or with parts of a second below a minute."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"
