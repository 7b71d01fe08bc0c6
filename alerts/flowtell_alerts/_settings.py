"""What `[plugin.notifications]` may say."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey
from flowtell_alerts._channel_tables import offers_of
from flowtell_alerts._route import Offer
from flowtell_alerts.channels.settings import checked_seconds, checked_url
from flowtell_alerts.channels.terminal import Terminal
from flowtell_alerts.channels.webhook import Webhook
from flowtell_alerts.message import Pages

_PLACE: Final = "[plugin.notifications]"

_CHANNELS, _CHANNELS_PATH = "channels", "channels_path"
"""Put here by the configuration: the tables `[channel.NAME]`, and the file that they stand in."""


class Settings(Struct, frozen=True):
    """Where incidents are told. The default is the server's own terminal."""

    terminal: bool = True
    """One line for each message on the server's stderr."""
    webhook: str = ""
    """Address that each message is POSTed to as plain JSON; a secret. `[channel.NAME]` with type "webhook" can more."""
    timeout_seconds: float = 5.0
    """Seconds that one POST to `webhook` may take as a whole."""
    url: str = ""
    """Where people find the pages of this server, such as 'https://flowtell.example'; messages then link to the run."""
    trace_url: str = ""
    """Where people find a trace, such as 'https://tempo.example/trace/{trace}'."""
    heartbeat_url: str = ""
    """Address that is asked each minute while incidents are found and told; a secret. Also `[alerts] heartbeat_url`."""
    tables: Mapping[str, Mapping[str, Any]] = {}
    """The `[channel.NAME]` tables."""
    path: str = ""
    """The file that they stand in."""

    def __repr__(self) -> str:
        webhook, heartbeat = ("********" if secret else "" for secret in (self.webhook, self.heartbeat_url))
        return f"Settings({self.terminal=}, {webhook=}, {self.url=}, {heartbeat=}, channels={sorted(self.tables)})"

    @property
    def pages(self) -> Pages:
        return Pages(self.url, self.trace_url)

    @property
    def channels(self) -> list[Offer]:
        """The channels that there are.

        Raises:
            ConfigError: one that cannot be, with file and line.
        """
        found = {"terminal": Offer(Terminal)} if self.terminal else {}
        if self.webhook:
            found["webhook"] = Offer(lambda: Webhook(self.webhook, self.timeout_seconds))
        return [*found.values(), *offers_of(self.tables, self.path, taken=found)]


def settings_of(given: Mapping[str, Any]) -> Settings:
    """The settings, of a file or of environment variables, where all is text.

    Raises:
        UnknownKey: a key that does not exist.
        BadValue: a value of the wrong type or out of range; it is not repeated, as it may be a secret.
    """
    own = dict(given)
    tables, path = own.pop(_CHANNELS, {}), own.pop(_CHANNELS_PATH, "")
    names = [name for name in Settings.__struct_fields__ if name not in ("tables", "path")]
    for key in own:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            raise UnknownKey(key, _PLACE, close[0] if close else "")
    settings = Settings(**{key: _converted(key, value) for key, value in own.items()}, tables=tables, path=path)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    checked_seconds("timeout_seconds", settings.timeout_seconds, _PLACE)
    if settings.webhook:
        checked_url("webhook", settings.webhook, _PLACE)
    if settings.heartbeat_url:
        checked_url("heartbeat_url", settings.heartbeat_url, "[alerts]")
    for key in ("url", "trace_url"):
        if getattr(settings, key) and urlsplit(getattr(settings, key)).scheme not in ("http", "https"):
            raise BadValue(key, _PLACE, "it must begin with https:// or http://")
    if settings.trace_url and "{trace}" not in settings.trace_url:
        raise BadValue("trace_url", _PLACE, "it has no {trace}, in the place of which the trace's id goes")


def _converted(key: str, value: Any) -> Any:
    kind = {field.name: field.type for field in msgspec.structs.fields(Settings)}[key]
    if kind is bool and isinstance(value, str):
        value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value)
    try:
        return convert(value, kind, strict=False)
    except msgspec.ValidationError:
        word = {bool: "true or false", float: "a number", str: "text"}[kind]
        raise BadValue(key, _PLACE, f"it is not {word}") from None
