"""The ASGI application: one Dash app on FastAPI, its callbacks, and the policy around it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, html, set_props
from fastapi import FastAPI

from flowtell_dashboard import overview, pieces, run_page
from flowtell_dashboard.answers import Answers
from flowtell_dashboard.filters import RunFilter
from flowtell_dashboard.policy import PAGES, Pages
from flowtell_dashboard.pulse import REST_SECONDS, Pulse
from flowtell_dashboard.shell import TITLE, index_string, shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtell.store.reading import Read

_LOGGER: Final = logging.getLogger("flowtell.plugin.dashboard")

BEAT_SECONDS: Final = 4.0
"""A page hears from the server at least this often, and calls itself stale after ten seconds of silence."""


def build(read: Read, pulse: Pulse, clock: Callable[[], int], logger: logging.Logger = _LOGGER) -> Pages:
    """The pages as an ASGI application. Dash keeps the last app made in a global: one a process.

    Args:
        read: runs one SELECT over committed rows; called from worker threads.
        pulse: says when the log has moved.
        clock: now, in µs.
        logger: hears of a page that could not be filled, which Dash itself says to nobody.
    """
    app = Dash(
        "flowtell_dashboard",
        server=FastAPI(docs_url=None, redoc_url=None, openapi_url=None),  # type: ignore[arg-type]  # its annotation is older
        title=TITLE,
        update_title="",
        index_string=index_string(),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        suppress_callback_exceptions=True,  # a page's parts are in the layout only while it is shown
        websocket_inactivity_timeout=0,
        enable_mcp=False,
        on_error=_on_error(logger),
        add_log_handler=False,
    )
    app.layout = shell()
    _route(app)
    answers = Answers(pulse)
    _fill_overview(app, answers, read, clock)
    _fill_run_page(app, answers, read)
    _follow(app, pulse, clock)
    _run_in_browser(app)
    return Pages(app.server, app.csp_hashes())


def _on_error(logger: logging.Logger) -> Callable[[Exception], None]:
    def complain(error: Exception) -> None:
        """Keep what the page shows, say on it that this is not the newest, and why in the log."""
        logger.error("a page could not be filled", exc_info=error)
        set_props("trouble", {"children": pieces.trouble(error)})

    return complain


def _route(app: Dash) -> None:
    @app.callback(Output("page", "children"), Input("place", "pathname"))
    async def show(pathname: str | None) -> Any:
        if pathname in {"/", "/runs", "/runs/", None}:
            return overview.layout()
        if PAGES.fullmatch(pathname):
            return run_page.layout()
        return pieces.notice(html.H1("Nothing is here"), pieces.link("See all runs", "/"))


def _fill_overview(app: Dash, answers: Answers, read: Read, clock: Callable[[], int]) -> None:
    @app.callback(
        Output("tiles", "children"),
        Output("runs", "rowData"),
        Output("summary", "children"),
        Output("pages", "children"),
        Output("instead", "children"),
        Output("filter-flow", "data"),
        Output("filter-environment", "data"),
        Input("seq", "data"),
        Input("place", "search"),
    )
    async def fill(_seq: int, search: str | None) -> Any:
        wanted = RunFilter.of(search)
        shown = await answers.to(wanted, lambda: overview.read_overview(read, wanted, clock()))
        set_props("trouble", {"children": None})
        return shown


def _fill_run_page(app: Dash, answers: Answers, read: Read) -> None:
    @app.callback(
        Output("run-head", "children"),
        Output("run-facts", "children"),
        Output("run-error", "children"),
        Output("task-runs", "rowData"),
        Output("task-summary", "children"),
        Output("run-logs", "children"),
        Output("run", "data-title"),
        Output("run", "data-found"),
        Input("seq", "data"),
        Input("place", "pathname"),
    )
    async def fill(_seq: int, pathname: str | None) -> Any:
        wanted = run_page.wanted_run(pathname)
        shown = await answers.to(wanted, lambda: run_page.read_run_page(read, wanted))
        set_props("trouble", {"children": None})
        return shown


def _follow(app: Dash, pulse: Pulse, clock: Callable[[], int]) -> None:
    @app.callback(websocket=True, persistent=True)
    async def follow() -> None:
        """Push the newest `seq` to one open page for as long as it is open; the page then asks for what it shows."""
        page, seen = ctx.websocket, -1
        while page is not None and not (page.is_shutdown or pulse.ended):
            seq = await pulse.beyond(seen, BEAT_SECONDS)
            set_props("pulse", {"data": clock()})
            if seq > seen:
                set_props("seq", {"data": seq})
                seen = seq
                await asyncio.sleep(REST_SECONDS)


def _run_in_browser(app: Dash) -> None:
    """What needs no server, in `assets/`: as files, so that the policy allows no inline script."""
    controls = [(f"filter-{name}", "value") for name in ("state", "flow", "environment", "text", "since")]
    app.clientside_callback(
        ClientsideFunction("flowtell", "showFilters"),
        *(Output(*control) for control in controls),
        Input("place", "search"),
    )
    app.clientside_callback(ClientsideFunction("flowtell", "applyFilters"), *(Input(*control) for control in controls))
    app.clientside_callback(ClientsideFunction("flowtell", "pulse"), Input("pulse", "data"))
    app.clientside_callback(ClientsideFunction("flowtell", "zone"), Input("zone", "value"))
    app.clientside_callback(ClientsideFunction("flowtell", "title"), Input("run", "data-title"))
    for table in ("runs", "task-runs"):
        app.clientside_callback(ClientsideFunction("flowtell", "fit"), Input(table, "rowData"), State(table, "id"))
