"""The page `/health`: how flowtell itself is doing. What is not well comes first, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dash import html

from flowtell.config import load
from flowtell.plugin import PluginStatus
from flowtell.store.reading import StoreStats, store_stats
from flowtell_dashboard import pieces
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.sources import SourceState

if TYPE_CHECKING:
    from flowtell.store.reading import Read

PARTS: Final = (
    ("health-head", "children"),
    ("health-body", "children"),
)
"""What is filled in, in the order in which it is told."""

BEHIND: Final = 60.0
"""Seconds that a plugin or a source may be behind before that is called trouble."""

_ERROR: Final = 160
"""Characters of an error that are shown; the server's log has it whole."""

_WELL: Final = frozenset({"running", "starting"})
_DO: Final = {
    "broken": "It failed too often and rests; the log keeps its place. Its last error says why.",
    "stuck": "One of its calls never came back. A restart of the server lets it go on.",
    "stopped": "It has ended and takes no events. A restart of the server starts it.",
    "retrying": "It is tried again by itself.",
}


class HealthPage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    head: Any
    body: Any


class Asked(NamedTuple):
    """Where the page's facts come from."""

    read: Read
    plugins: Callable[[], Sequence[PluginStatus]]
    sources: Callable[[], Sequence[SourceState]]
    clock: Callable[[], int]


def layout() -> Any:
    """The empty page."""
    return html.Div([html.Div(id="health-head"), html.Div(id="health-body")], id="health", className="sections")


def read_health(asked: Asked) -> HealthPage:
    """Everything that the page shows. Counts stop at a million."""
    plugins, sources, now = asked.plugins(), asked.sources(), asked.clock()
    stats = store_stats(asked.read)
    troubles = [*_plugin_troubles(plugins), *_source_troubles(sources, now), *_store_troubles(stats)]
    return HealthPage(_head(troubles), [_plugins(plugins), _sources(sources, now), _store(stats), _retention()])


def _head(troubles: Sequence[tuple[str, str]]) -> Any:
    if not troubles:
        return pieces.notice(html.H1("All is well"), html.P("Every plugin keeps up, every source is up, nothing was lost."))
    listed = [html.Li([html.B(what), " ", why]) for what, why in troubles]
    title = f"{len(troubles)} thing{'s' * (len(troubles) != 1)} to look at"
    return html.Section([html.H1(title), html.Ul(listed)], className="notice")


# --- what is not well ---------------------------------------------------------------------------------------------


def _plugin_troubles(plugins: Sequence[PluginStatus]) -> list[tuple[str, str]]:
    found = []
    for each in plugins:
        if each.state not in _WELL:
            found.append(
                (f"Plugin {each.name} is {each.state}.", f"{_DO.get(each.state, '')} {_cut(each.last_error)}".strip())
            )
        elif each.lag_seconds > BEHIND:
            found.append((f"Plugin {each.name} is behind", f"by {each.lag_events:,} events, {each.lag_seconds:,.0f} s."))
        if each.dead_events:
            found.append((f"Plugin {each.name} set {each.dead_events:,} events aside.", "The table dead_events says why."))
        if each.dropped:
            found.append((f"Plugin {each.name} dropped {each.dropped:,}.", "The server's log says what."))
    return found


def _cut(error: str) -> str:
    return error if len(error) <= _ERROR else f"{error[:_ERROR]}…"


def _source_troubles(sources: Sequence[SourceState], now: int) -> list[tuple[str, str]]:
    found = []
    for each in sources:
        lag = _lag(each, now)
        if each.up is False:
            found.append((f"Source {each.name} is down.", each.error or "It said no reason."))
        elif lag is not None and lag > BEHIND:
            found.append((f"Source {each.name} is behind", f"by {lag:,.0f} s."))
    return found


def _store_troubles(stats: StoreStats) -> list[tuple[str, str]]:
    found = []
    if stats.dropped:
        found.append((f"Writers dropped {stats.dropped:,} events.", "Their disk was full or could not be written."))
    if stats.rejected:
        found.append((f"{stats.rejected:,} lines were no events.", "They are kept in the table rejected_lines."))
    return found


def _lag(source: SourceState, now: int) -> float | None:
    return None if source.complete_until is None else max((now - source.complete_until) / 1e6, 0.0)


# --- tables -------------------------------------------------------------------------------------------------------


def _plugins(plugins: Sequence[PluginStatus]) -> Any:
    rows = [
        (
            html.Th([each.name, html.Span(f" {each.distribution} {each.version}", className="quiet")], scope="row"),
            html.Span(each.state, className="holds", **attributes(data_holds="true" if each.state in _WELL else "false")),
            f"{each.lag_events:,} events, {each.lag_seconds:,.1f} s",
            f"{each.errors:,}",
            f"{each.dead_events:,}",
            _cut(each.last_error),
        )
        for each in sorted(plugins, key=lambda each: (each.state in _WELL, each.name))
    ]
    return _table("Plugins", ("plugin", "state", "behind", "errors", "set aside", "last error"), rows)


def _sources(sources: Sequence[SourceState], now: int) -> Any:
    if not sources:
        return None
    words: dict[bool | None, str] = {True: "up", False: "down", None: "not heard yet"}
    rows = [
        (
            html.Th(each.name, scope="row"),
            html.Span(
                words[each.up],
                className="holds",
                **attributes(data_holds=str(each.up).lower()),
            ),
            "" if (lag := _lag(each, now)) is None else f"{lag:,.0f} s",
            pieces.moment(each.heard, "ago"),
            each.error,
        )
        for each in sorted(sources, key=lambda each: each.name)
    ]
    return _table("Sources", ("source", "state", "behind", "heard", "last error"), rows)


def _store(stats: StoreStats) -> Any:
    counted = [(name, f"{count.rows:,}{'+' * count.more}") for name, count in stats.tables.items()]
    facts = [
        ("Newest event", f"seq {stats.head:,}"),
        ("Oldest kept", pieces.moment(stats.oldest, "ago") if stats.oldest else "none"),
        *((name.replace("_", " ").capitalize(), amount) for name, amount in counted),
        ("Processes met", f"{stats.writers:,}, {stats.live_writers:,} alive"),
        ("Late corrections", f"{stats.counters.get('late_corrections', 0):,}"),
    ]
    shown = [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts]
    return html.Section([html.Div([html.H2("Store")], className="section-head"), html.Dl(shown, className="facts sheet")])


def _retention() -> Any:
    kept = load()
    days = [
        ("Events", "retention.events_days"),
        ("Logs", "retention.logs_days"),
        ("Runs and lineage", "retention.runs_days"),
    ]
    shown = [html.Div([html.Dt(name), html.Dd(f"{kept[key]:g} days")]) for name, key in days]
    return html.Section([html.Div([html.H2("Kept")], className="section-head"), html.Dl(shown, className="facts sheet")])


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in names]))
    body = [html.Tr([cell if isinstance(cell, html.Th) else html.Td(cell) for cell in row]) for row in rows]
    table = html.Table([head, html.Tbody(body)], className="plain-table")
    return html.Section([html.Div([html.H2(title), html.Span(str(len(rows)))], className="section-head"), table])
