"""Keys of the plugin, and whether it is on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.plugin_settings import settings
from flowtell_lineage.jobs import OWN

PLUGIN: Final = "openlineage_out"
_PLACE: Final = f"[plugin.{PLUGIN}]"
_ADDRESSES: Final = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")


class Settings(Struct, frozen=True):
    """The keys of `[plugin.openlineage_out]`."""

    enabled: bool | None = None
    """On without another key, or off in spite of one. The client then has its configuration from `openlineage.yml` or
    `OPENLINEAGE_*`."""
    url: str = ""
    """Of a catalogue that takes events by HTTP, such as http://marquez:5000."""
    endpoint: str = ""
    """Path at that address, where it is not api/v1/lineage."""
    api_key: str = ""
    """Sent as a bearer token to that address."""
    transport: dict[str, Any] = {}
    """Any other transport of the client, in its words: { type = "kafka", … }."""
    namespace: str = ""
    """Of the jobs that flows and tasks are; OPENLINEAGE_NAMESPACE, else flowtell, where it is empty."""
    received: bool = False
    """Whether runs that came in as OpenLineage events are sent on."""

    @property
    def client(self) -> dict[str, Any]:
        """The client's configuration; empty where it finds one itself."""
        if self.transport:
            return {"transport": self.transport}
        if not self.url:
            return {}
        http: dict[str, Any] = {"type": "http", "url": self.url}
        if self.endpoint:
            http["endpoint"] = self.endpoint
        if self.api_key:
            http["auth"] = {"type": "api_key", "apiKey": self.api_key}
        return {"transport": http}

    @property
    def jobs(self) -> str:
        return self.namespace or os.environ.get("OPENLINEAGE_NAMESPACE", "") or OWN


def chosen(config: Mapping[str, Any]) -> Settings | None:
    """The plugin's settings, or None where it is off: nobody named a place to send to.

    Raises:
        BadValue: a transport without its type, or both ways of naming a place.
        UnknownKey: a key that it has not.
    """
    found = settings(Settings, config, PLUGIN)
    if found.enabled is False:
        return None
    if found.url and found.transport:
        raise BadValue("transport", _PLACE, "give either url or transport")
    if found.transport and not found.transport.get("type"):
        raise BadValue("transport", _PLACE, 'needs a type, such as { type = "kafka", … }')
    told = bool(found.url or found.transport or any(map(os.environ.get, _ADDRESSES)))
    return found if found.enabled or told else None
