"""The ASGI application: one Dash app on FastAPI, its callbacks, and the policy around it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, html, set_props
from dash.exceptions import PreventUpdate
from fastapi import FastAPI

from flowtell_dashboard import health, overview, pieces, run_page
from flowtell_dashboard.acting import add_may
from flowtell_dashboard.alerts import incident_page
from flowtell_dashboard.alerts import page as alerts
from flowtell_dashboard.answers import Answers
from flowtell_dashboard.comparing import page as comparing
from flowtell_dashboard.export.routes import add_export
from flowtell_dashboard.filling import HREF, PATH, PULSE, SEARCH, Filling, fill
from flowtell_dashboard.filters import RunFilter
from flowtell_dashboard.finding import add_find
from flowtell_dashboard.flows import flow_page
from flowtell_dashboard.flows import page as flows
from flowtell_dashboard.flows.summary import summaries
from flowtell_dashboard.gantt import graph
from flowtell_dashboard.lineage import asset_page
from flowtell_dashboard.lineage import page as assets
from flowtell_dashboard.lineage.question import AssetFilter, AssetView
from flowtell_dashboard.neighbours import Neighbours
from flowtell_dashboard.policy import PAGES, Pages
from flowtell_dashboard.pulse import REST_SECONDS, Pulse
from flowtell_dashboard.settings import Settings
from flowtell_dashboard.shell import TITLE, index_string, shell
from flowtell_dashboard.stage import StagedDash, as_html
from flowtell_dashboard.timeline import page as timeline
from flowtell_dashboard.timeline.index import Index
from flowtell_dashboard.timeline.routes import add_routes

if TYPE_CHECKING:
    from flowtell.store.reading import Read

_LOGGER: Final = logging.getLogger("flowtell.plugin.dashboard")

_PLAIN: Final = Settings()

BEAT_SECONDS: Final = 4.0
"""A page hears from the server at least this often, and calls itself stale after ten seconds of silence."""


TIMELINE_SECONDS: Final = 2.0
"""How often Dash tells a page that is told of news by its own line."""

_LAYOUTS: Final[dict[str, Callable[[], Any]]] = {
    "/timeline": timeline.layout,
    "/flows": flows.layout,
    "/flow": flow_page.layout,
    "/assets": assets.layout,
    "/asset": asset_page.layout,
    "/compare": comparing.layout,
    "/alerts": alerts.layout,
    "/health": health.layout,
}
"""Pages with an address of their own and nothing in it."""


def build(
    read: Read,
    pulse: Pulse,
    clock: Callable[[], int],
    logger: logging.Logger = _LOGGER,
    *,
    index: Index | None = None,
    around: health.Asked | None = None,
    settings: Settings = _PLAIN,
) -> Pages:
    """The pages as an ASGI application. Dash keeps the last app made in a global: one a process.

    Args:
        read: runs one SELECT over committed rows; called from worker threads.
        pulse: says when the log has moved.
        clock: now, in µs.
        logger: hears of a page that could not be filled, which Dash itself says to nobody.
        index: of the runs, which whoever has it tells of changes; by default one that nobody does.
        around: tells how plugins and sources are; by default that there are none.
        settings: how the pages reach beyond themselves.
    """
    answers, index = Answers(pulse), index or Index(read)
    threading.Thread(target=_load, args=(index, logger), name="flowtell-timeline", daemon=True).start()
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(server, answers, index, read, clock)
    add_export(server, read, clock, settings)
    add_may(server)
    add_find(server, read, index)
    app = StagedDash(
        "flowtell_dashboard",
        server=server,  # type: ignore[arg-type]  # its annotation is older
        title=TITLE,
        update_title="",
        index_string=index_string(as_html(shell(timeline.layout()))),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        suppress_callback_exceptions=True,  # a page's parts are in the layout only while it is shown
        websocket_inactivity_timeout=0,
        enable_mcp=False,
        on_error=_on_error(logger),
        add_log_handler=False,
    )
    app.layout = shell()
    _route(app)
    for filling in fillings(read, index, clock, around or health.Asked(read, tuple, tuple, clock), settings):
        fill(app, answers, filling)
    _offer_names(app, answers, read, index)
    _follow(app, pulse, clock)
    _run_in_browser(app)
    return Pages(app.server)


def _load(index: Index, logger: logging.Logger) -> None:
    try:
        index.load()
    except Exception:  # the first view that is asked for tries again, and says what is wrong
        logger.warning("the runs could not be read for the timeline", exc_info=True)


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
        place = pathname.rstrip("/")
        if place in _LAYOUTS:
            return _LAYOUTS[place]()
        if PAGES.fullmatch(pathname):
            return incident_page.layout() if place.startswith("/incidents/") else run_page.layout()
        return pieces.notice(html.H1("Nothing is here"), pieces.link("See all runs", "/"))


def fillings(
    read: Read, index: Index, clock: Callable[[], int], around: health.Asked, settings: Settings = _PLAIN
) -> Iterator[Filling]:
    """Of all pages. A new page adds its own here."""
    neighbours = Neighbours()
    yield Filling(
        overview.PARTS, lambda wanted: overview.read_overview(read, wanted, clock(), neighbours), SEARCH, RunFilter.of
    )
    yield Filling(
        run_page.PARTS,
        lambda wanted: run_page.read_run_page(read, wanted[0], wanted[1], settings),
        HREF,
        run_page.wanted_page,
    )
    yield Filling(
        comparing.PARTS, lambda wanted: comparing.read_compare_page(read, wanted, clock()), SEARCH, comparing.Wanted.of
    )
    yield Filling(graph.PARTS, lambda run: graph.read_task_graph(read, run), PATH, run_page.wanted_run)
    yield Filling(flows.PARTS, lambda _: flows.shown(summaries(index, clock())))
    yield Filling(
        flow_page.PARTS, lambda flow: flow_page.read_flow_page(read, index, flow, clock()), SEARCH, flow_page.wanted
    )
    yield Filling(assets.PARTS, lambda wanted: assets.read_catalogue(read, wanted), SEARCH, AssetFilter.of)
    yield Filling(asset_page.PARTS, lambda view: asset_page.read_asset_page(read, view), SEARCH, AssetView.of)
    yield Filling(alerts.PARTS, lambda _: alerts.read_alerts(read, clock()))
    yield Filling(
        incident_page.PARTS, lambda one: incident_page.read_incident_page(read, one), PATH, incident_page.wanted_incident
    )
    yield Filling(health.PARTS, lambda _: health.read_health(around), PULSE)


def _offer_names(app: Dash, answers: Answers, read: Read, index: Index) -> None:
    @app.callback(
        *(Output(f"tl-{name}", "data") for name in timeline.NAMED),
        Input("page", "children"),
        State("place", "pathname"),
    )
    async def offer(_page: Any, pathname: str | None) -> Any:
        if (pathname or "").rstrip("/") != "/timeline":
            raise PreventUpdate
        return await answers.to("timeline names", lambda: timeline.read_choices(read, index))


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
                await asyncio.sleep(await _rest(page))


async def _rest(page: Any) -> float:
    """How long a page is left alone. The timeline has a line of its own and needs Dash's only where that is barred."""
    try:
        place = await page.get_prop("place", "pathname", timeout=1.0)
    except Exception:  # noqa: BLE001  # Dash's own, of a page that goes or does not answer: it is treated like any
        place = ""
    return TIMELINE_SECONDS if str(place).startswith("/timeline") else REST_SECONDS


def _run_in_browser(app: Dash) -> None:
    """What needs no server, in `assets/`: as files, so that the policy allows no inline script."""
    controls = [(f"filter-{name}", "value") for name in ("state", "flow", "environment", "text", "since")]
    app.clientside_callback(
        ClientsideFunction("flowtell", "showFilters"),
        *(Output(*control) for control in controls),
        Input("place", "search"),
    )
    app.clientside_callback(ClientsideFunction("flowtell", "applyFilters"), *(Input(*control) for control in controls))
    app.clientside_callback(ClientsideFunction("flowtell", "place"), Input("place", "pathname"))
    _run_timeline(app)
    _run_run_page(app)
    _run_assets(app)
    app.clientside_callback(ClientsideFunction("flowtell", "pulse"), Input("pulse", "data"))
    app.clientside_callback(ClientsideFunction("flowtell", "zone"), Input("zone", "value"))
    app.clientside_callback(ClientsideFunction("flowtell", "title"), Input("run", "data-title"))
    for page in ("flow", "incident", "asset", "compare"):
        app.clientside_callback(ClientsideFunction("flowtell", "title"), Input(page, "data-title"))
    app.clientside_callback(ClientsideFunction("flowtell", "charts"), Input("flow-points", "data"))
    for table in ("runs", "task-runs", "flows", "flow-tasks", "incidents", "rules", "assets"):
        app.clientside_callback(ClientsideFunction("flowtell", "fit"), Input(table, "rowData"), State(table, "id"))


def _run_assets(app: Dash) -> None:
    controls = [(f"assets-{name}", "value") for name in ("text", "owner", "only")]
    app.clientside_callback(
        ClientsideFunction("flowtell", "assetsShow"),
        *(Output(*control) for control in controls),
        Input("place", "search"),
        Input("page", "children"),
    )
    app.clientside_callback(ClientsideFunction("flowtell", "assetsApply"), *(Input(*control) for control in controls))
    app.clientside_callback(ClientsideFunction("flowtell", "assetPicture"), Input("asset-picture", "data"))


def _run_run_page(app: Dash) -> None:
    # One function for picture and logs: Dash names a callback without outputs by its inputs, and two would be one.
    app.clientside_callback(
        ClientsideFunction("flowtell", "runPage"),
        Input("page", "children"),
        Input("seq", "data"),
        Input("place", "pathname"),
    )
    app.clientside_callback(ClientsideFunction("flowtell", "taskPicture"), Input("task-graph", "data"))
    app.clientside_callback(ClientsideFunction("flowtell", "runActs"), Input("run-acts", "data"))
    app.clientside_callback(ClientsideFunction("flowtell", "ganttPath"), Input("gantt-path", "checked"))
    app.clientside_callback(
        ClientsideFunction("flowtell", "logsFilter"), Input("logs-text", "value"), Input("logs-level", "value")
    )


def _run_timeline(app: Dash) -> None:
    controls = [(f"tl-{name}", "checked" if name == "fold" else "value") for name in timeline.CONTROLS]
    app.clientside_callback(
        ClientsideFunction("flowtell", "timelineShow"),
        *(Output(*control) for control in controls),
        Input("place", "search"),
        Input("page", "children"),
    )
    app.clientside_callback(ClientsideFunction("flowtell", "timelineApply"), *(Input(*control) for control in controls))
    app.clientside_callback(ClientsideFunction("flowtell", "timelineSeq"), Input("seq", "data"))
