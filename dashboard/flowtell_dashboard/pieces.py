"""Small parts that several pages show. The browser, which knows zone and clock, fills in moments and durations."""

from __future__ import annotations

from typing import Any

from dash import html

from flowtell_dashboard.states import look


def attributes(**named: str) -> dict[str, Any]:
    """HTML attributes whose names have a hyphen, as a component takes them: `data_page` is `data-page`."""
    return {name.replace("_", "-"): value for name, value in named.items()}


def state(name: str, **more: Any) -> Any:
    """The state as colour, icon and word."""
    return html.Span(look(name).word, className="state", **attributes(data_state=name), **more)


def moment(time: int | None, show: str = "at") -> Any:
    """A moment in µs: `at` a time of day, or how long `ago`."""
    return html.Time(className="moment", **attributes(data_moment=str(time), data_show=show)) if time else "unknown"


def duration(seconds: float | None, started: int | None, *, ended: bool) -> Any:
    """Seconds it took; while it has not ended, those since its start, growing."""
    if seconds is not None:
        return html.Span(className="duration", **attributes(data_seconds=str(seconds)))
    if started is not None and not ended:
        return html.Span(className="duration", **attributes(data_since=str(started)))
    return "unknown" if ended else "not started"


def link(content: Any, address: str, **more: Any) -> Any:
    """A link to another of these pages, which is shown without loading the document again."""
    return html.A(content, href=address, **attributes(data_page=""), **more)


def notice(title: Any, *content: Any) -> Any:
    """Says what is not there, and what to do about it. The title is a heading: H1 where nothing else is on the page."""
    return html.Section([title, *content], className="notice")


def why(subject: str) -> Any:
    """The place where `assets/why.js` says why a run, an asset or an incident stands as it does."""
    return html.Section(className="why", **attributes(data_why=subject))


def trouble(error: Exception) -> Any:
    """Says that the page could not be brought up to date; the rest is in the server's log."""
    kind = type(error).__name__
    said = f"The store did not answer ({kind}). What you see may be old; it is asked again at the next change."
    return html.P(said, className="trouble")
