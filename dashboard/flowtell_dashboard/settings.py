"""What `[plugin.dashboard]` may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey

_PLACE: Final = "[plugin.dashboard]"


class Settings(Struct, frozen=True):
    """How the pages reach beyond themselves; nothing of it is asked for unless somebody follows a link."""

    trace_url: str = ""
    """Where people find a trace, such as 'https://tempo.example/trace/{trace}': a run's page then links to its own."""

    def trace_link(self, trace: str) -> str:
        """The address of a trace; empty without one, or where no template is set."""
        return self.trace_url.replace("{trace}", quote(trace, safe="")) if trace else ""


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Checked at start, so that no page shows a link that leads nowhere.

    Raises:
        UnknownKey, BadValue: what is given is no setting, or cannot be one.
    """
    for key in configuration:
        if key not in Settings.__struct_fields__:
            raise UnknownKey(f"plugin.dashboard.{key}", "the configuration")
    try:
        settings = convert(dict(configuration), Settings)
    except msgspec.ValidationError as error:
        raise BadValue("plugin.dashboard", "the configuration", str(error)) from None
    _check_template(settings.trace_url)
    return settings


def _check_template(template: str) -> None:
    if not template:
        return
    parts = urlsplit(template)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadValue("trace_url", _PLACE, "it must begin with http:// or https:// and a host")
    if "{trace}" not in template or "{trace}" in parts.netloc:
        raise BadValue("trace_url", _PLACE, "after the host it needs {trace}, where the trace's id goes")
