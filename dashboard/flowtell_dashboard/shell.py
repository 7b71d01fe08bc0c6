"""The frame around every page: name, time zone, light and dark, whether the page is live."""

from __future__ import annotations

from typing import Any, Final

import dash_mantine_components as dmc
from dash import dcc, html

from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.states import LOOKS, stylesheet

TITLE: Final = "flowtell"

PLACES: Final = (
    ("/", "Runs"),
    ("/timeline", "Timeline"),
    ("/flows", "Flows"),
    ("/assets", "Assets"),
    ("/alerts", "Alerts"),
    ("/health", "Health"),
)
"""Pages that are always one step away."""

INDEX: Final = """<!DOCTYPE html>
<html lang="en">
    <head>
        {%metas%}
        <title>{%title%}</title>
        <link rel="icon" type="image/svg+xml" href="/assets/mark.svg">
        {%css%}
        <style>%STATES%</style>
    </head>
    <body>
        <noscript>These pages need JavaScript. The same facts: flowtell runs, or /api/runs.</noscript>
        <template id="staged">%STAGED%</template>
        {%app_entry%}
        <footer>{%config%}{%scripts%}{%renderer%}</footer>
    </body>
</html>"""


def index_string(staged: str) -> str:
    """Dash's document with a language, the states' looks, and the HTML of the page that is painted before Dash is there."""
    return INDEX.replace("%STATES%", stylesheet()).replace("%STAGED%", staged)


def shell(page: Any = None) -> Any:
    """The whole layout; pages come into `page`, and `place` is the address."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="place", refresh="callback-nav"),
            dcc.Store(id="seq", data=0),
            dcc.Store(id="pulse"),
            html.A("Skip to content", href="#page", className="skip"),
            html.Header([_name(), _settings()], className="top"),
            html.Div(id="trouble", role="alert"),
            html.Main(page, id="page", tabIndex="-1"),
            html.Div(id="colours", hidden=True, **attributes(data_states=",".join(LOOKS))),
        ],
        defaultColorScheme="auto",
        theme={"primaryColor": "indigo", "defaultRadius": "md", "cursorType": "pointer"},
    )


def _name() -> Any:
    mark = html.Span(className="mark", **attributes(aria_hidden="true"))
    name = html.A(
        [mark, html.Span(TITLE)],
        href="/",
        className="name",
        **attributes(data_page="", aria_label="flowtell, all runs"),
    )
    links = [html.A(word, href=address, **attributes(data_page="", data_place=address)) for address, word in PLACES]
    return html.Nav([name, html.Span(links, className="places")], **attributes(aria_label="Pages"))


def _settings() -> Any:
    live = html.Span("Connecting", id="live", className="live", role="status", **attributes(data_live="connecting"))
    zone = dmc.SegmentedControl(
        id="zone",
        data=[{"value": "local", "label": "Local"}, {"value": "utc", "label": "UTC"}],
        value="local",
        size="xs",
        persistence=True,
        persistence_type="local",
        **attributes(aria_label="Time zone"),
    )
    scheme = dmc.ColorSchemeToggle(
        lightIcon=html.Span(className="icon sun"),
        darkIcon=html.Span(className="icon moon"),
        variant="default",
        size="md",
        **attributes(aria_label="Switch between light and dark"),
    )
    find = html.Button(
        ["Go to", html.Kbd("Ctrl K", **attributes(aria_hidden="true"))],
        className="find",
        **attributes(data_palette="", aria_keyshortcuts="Control+K Meta+K"),
    )
    return html.Div([find, live, zone, scheme], className="settings")
