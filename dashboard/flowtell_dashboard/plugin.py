"""The dashboard as a plugin: it mounts the pages at `/` and wakes those that are open when the log moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from flowtell.events import PredictionMade
from flowtell.plugin import BasePlugin, Context
from flowtell_dashboard.deferred import Deferred
from flowtell_dashboard.pulse import Pulse
from flowtell_dashboard.settings import Settings, settings_of
from flowtell_dashboard.sources import Sources

if TYPE_CHECKING:
    from flowtell.events import Event
    from flowtell_dashboard.policy import App
    from flowtell_dashboard.timeline.index import Index

SHOWN: Final = (
    "flow.declared",
    "flow_run.scheduled",
    "flow_run.pending",
    "flow_run.late",
    "flow_run.waiting",
    "flow_run.started",
    "flow_run.retrying",
    "flow_run.paused",
    "flow_run.resumed",
    "flow_run.cancelling",
    "flow_run.finished",
    "flow_run.removed",
    "task_run.pending",
    "task_run.waiting",
    "task_run.started",
    "task_run.retrying",
    "task_run.cancelling",
    "task_run.finished",
    "log.recorded",
    "asset.declared",
    "asset.removed",
    "asset.checked",
    "asset.materialized",
    "asset.failed",
    "asset.cached",
    "asset.observed",
    "measure.recorded",
    "artifact.created",
    "transaction.begun",
    "transaction.committed",
    "transaction.rolled_back",
    "transaction.in_doubt",
    *Sources.WANTS,
    "incident.opened",
    "incident.updated",
    "incident.acknowledged",
    "incident.resolved",
    "silence.created",
    "silence.expired",
    "notification.failed",
    "deployment.declared",
    "deployment.removed",
    "prediction.made",
)
"""Event types after which a page may look different; a heartbeat is none of them."""


class Dashboard(BasePlugin):
    """A projection without tables: pages read the public read models, so all that it keeps is how far the log is."""

    name = "dashboard"
    wants = SHOWN

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self.pulse = Pulse()
        self._sources = Sources()

    def open(self, context: Context) -> None:
        """Mount the pages, which are made when a server starts them; a command that only reads never does."""
        super().open(context)
        self._index: Index | None = None
        self.pulse.beat(context.log.head())
        context.mount("/", Deferred(self._build))

    def _build(self) -> App:
        from flowtell_dashboard.app import build
        from flowtell_dashboard.health import Asked
        from flowtell_dashboard.timeline.index import Index

        context = self.context
        self._index = Index(context.read)
        around = Asked(context.read, context.plugins, self._sources.all, context.clock)
        return build(
            context.read,
            self.pulse,
            context.clock,
            context.logger,
            index=self._index,
            around=around,
            settings=self._settings,
        )

    def handle(self, events: Sequence[Event]) -> None:
        """Wake the open pages; each then makes its own bounded query."""
        if self._index is not None:
            flow_runs = {event.run for event in events if event.run and event.type.startswith("flow_run.")}
            self._index.note(flow_runs, flows=any(event.type == "flow.declared" for event in events))
            self._index.predict(dict(_predicted(events)))
        self._sources.take(events)
        self.pulse.beat(events[-1].seq)

    def tick(self, now: int) -> None:
        """While nobody looks, take in what changed before it becomes much."""
        if self._index is not None:
            self._index.catch_up()

    def close(self, timeout: float) -> None:
        """Let the pages go that still follow this plugin; one made anew has its own."""
        self.pulse.end()


def _predicted(events: Sequence[Event]) -> Iterator[tuple[str, int]]:
    """Runs, and when they are predicted to end."""
    for event in events:
        if isinstance(event, PredictionMade) and event.run and event.expected is not None:
            yield event.run, event.expected


def create(configuration: Mapping[str, Any]) -> Dashboard:
    """The plugin's factory; `Settings` are what it takes."""
    return Dashboard(settings_of(configuration))
