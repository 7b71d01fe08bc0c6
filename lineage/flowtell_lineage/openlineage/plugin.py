"""The plugin `openlineage`: takes OpenLineage events at the paths where Marquez and DataHub do, and answers Marquez's reads.

Apart from the plugin that keeps the graph, which may so run in a process of its own. It keeps nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowtell.errors import UnknownKey
from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell_lineage.marquez.routes import PREFIX, marquez_routes
from flowtell_lineage.openlineage.receiving.receiver import Receiver
from flowtell_lineage.openlineage.receiving.routes import PREFIXES, Routes


def create(settings: Mapping[str, Any]) -> OpenLineage:
    """The factory that the entry point names.

    Raises:
        UnknownKey: any key: it has no settings.
    """
    for key in settings:
        raise UnknownKey(key, "[plugin.openlineage]")
    return OpenLineage()


class OpenLineage(BasePlugin):
    """Opened for its routes alone."""

    wants = ("asset.removed",)  # a plugin that names no type gets all of them
    tick_seconds = 60.0

    def open(self, context: Context) -> None:
        super().open(context)
        self._receiver = Receiver(context.home, context.environment, context.log, context.read)
        reads = marquez_routes(context.read, context.clock)
        routes = Routes(self._receiver, reads)
        for path in PREFIXES:
            context.mount(path, routes)
        context.mount(PREFIX, reads)

    def handle(self, events: Sequence[Event]) -> None:
        """Nothing is kept."""

    def close(self, timeout: float) -> None:
        self._receiver.close()
