"""The dashboard as a plugin: it mounts the pages at `/` and wakes those that are open when the log moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from flowtell.errors import UnknownKey
from flowtell.plugin import BasePlugin, Context
from flowtell_dashboard.deferred import Deferred
from flowtell_dashboard.pulse import Pulse

if TYPE_CHECKING:
    from flowtell.events import Event
    from flowtell_dashboard.policy import App

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
    "asset.materialized",
    "incident.opened",
    "incident.resolved",
)
"""Event types after which a page may look different; a heartbeat is none of them."""


class Dashboard(BasePlugin):
    """A projection without tables: pages read the public read models, so all that it keeps is how far the log is."""

    name = "dashboard"
    wants = SHOWN

    def __init__(self) -> None:
        self.pulse = Pulse()

    def open(self, context: Context) -> None:
        """Mount the pages, which are made when a server starts them; a command that only reads never does."""
        super().open(context)
        self.pulse.beat(context.log.head())
        context.mount("/", Deferred(self._build))

    def _build(self) -> App:
        from flowtell_dashboard.app import build

        return build(self.context.read, self.pulse, self.context.clock, self.context.logger)

    def handle(self, events: Sequence[Event]) -> None:
        """Wake the open pages; each then makes its own bounded query."""
        self.pulse.beat(events[-1].seq)

    def close(self, timeout: float) -> None:
        """Let the pages go that still follow this plugin; one made anew has its own."""
        self.pulse.end()


def create(configuration: Mapping[str, Any]) -> Dashboard:
    """The plugin's factory. It has no settings yet, and says so to whoever gives one."""
    for key in configuration:
        raise UnknownKey(f"plugin.dashboard.{key}", "the configuration")
    return Dashboard()
