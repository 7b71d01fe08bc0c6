"""Events to an address of one's own, as CloudEvents 1.0 in batches of JSON (its HTTP binding and JSON format)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowtell.errors import BadValue, ExtraMissing
from flowtell.events import OWN_NAMES, TYPES, Event
from flowtell.plugin import BasePlugin, Context
from flowtell.plugin_settings import settings
from flowtell_exporters.cloud_events import cloud_event
from flowtell_exporters.sending.sending import Sending
from flowtell_exporters.sending.wire import Wire

_PLACE: Final = "[plugin.webhook]"
_CONTENT: Final = "application/cloudevents-batch+json; charset=UTF-8"


class Settings(Struct, frozen=True):
    """The keys of `[plugin.webhook]`."""

    url: str = ""
    """Where events are posted to; without it the plugin is off."""
    types: tuple[str, ...] = ()
    """Which; all where none is named, and '*' for those under names of one's own."""
    headers: dict[str, str] = {}
    """Sent with each request, such as { authorization = "Bearer …" }."""
    batch: int = 200
    """Events of one request at most."""
    timeout_seconds: float = 10.0
    """For one request."""


def create(config: Mapping[str, Any]) -> Webhook | None:
    """The factory that the entry point `webhook` names; None, which is off, while no `url` is configured.

    Raises:
        BadValue: an address that is none, a type that nobody knows.
        ExtraMissing: it is on, and urllib3 is not installed.
    """
    found = settings(Settings, config, "webhook")
    if not found.url:
        return None
    parts = urlsplit(found.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadValue("url", _PLACE, f"{found.url!r} is no http:// or https:// address")
    for name in found.types:
        if name not in TYPES and name != OWN_NAMES:
            raise BadValue("types", _PLACE, f"no event is named {name!r}; see docs/reference/events.md")
    if found.batch < 1:
        raise BadValue("batch", _PLACE, "at least one event goes at a time")
    try:
        import urllib3  # noqa: F401  # found out now, not at the first batch
    except ImportError as error:
        raise ExtraMissing("webhook", str(error.name), "flowtell-exporters[webhook]") from error
    return Webhook(found)


class Webhook(BasePlugin):
    """Posts each event at least once, in the log's order. `id` is the idempotency key: what comes twice is the same."""

    effects = True

    def __init__(self, found: Settings) -> None:
        self._settings = found
        self.wants = found.types

    def open(self, context: Context) -> None:
        from flowtell_exporters.sending.http_receiver import HttpReceiver

        super().open(context)
        found = self._settings
        how = Wire(endpoint=found.url, content_type=_CONTENT, headers=found.headers, timeout=found.timeout_seconds)
        self._sending = Sending[Event](HttpReceiver(how), _body, lambda event: event.id, most=found.batch)

    def handle(self, events: Sequence[Event]) -> None:
        self._sending.send(events, self.context)

    def close(self, timeout: float) -> None:
        self._sending.close()


def _body(events: Sequence[Event]) -> bytes:
    return msgspec.json.encode([cloud_event(event) for event in events])


__all__ = ["Webhook", "create"]
