"""What `[plugin.notifications]` may say."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowtell.errors import BadValue, UnknownKey

_PLACE: Final = "[plugin.notifications]"


class Settings(Struct, frozen=True):
    """Where incidents are told. The default is the server's own terminal."""

    terminal: bool = True
    """One line for each message on the server's stderr."""
    webhook: str = ""
    """Address that each message is POSTed to as JSON; a secret."""
    timeout_seconds: float = 5.0
    """Seconds that one POST may take as a whole."""
    url: str = ""
    """Where people find the pages of this server, such as 'https://flowtell.example'; messages then link to the run."""

    def __repr__(self) -> str:
        webhook = "********" if self.webhook else ""
        return f"Settings({self.terminal=}, {webhook=}, {self.timeout_seconds=}, {self.url=})"


def settings_of(given: Mapping[str, Any]) -> Settings:
    """The settings, of a file or of environment variables, where all is text.

    Raises:
        UnknownKey: a key that does not exist.
        BadValue: a value of the wrong type or out of range; it is not repeated, as it may be a secret.
    """
    names = Settings.__struct_fields__
    for key in given:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            raise UnknownKey(key, _PLACE, close[0] if close else "")
    settings = Settings(**{key: _converted(key, value) for key, value in given.items()})
    if not 0.1 <= settings.timeout_seconds <= 20:
        raise BadValue("timeout_seconds", _PLACE, "it must lie between 0.1 and 20")
    if settings.url and urlsplit(settings.url).scheme not in ("http", "https"):
        raise BadValue("url", _PLACE, "it must begin with https:// or http://")
    return settings


def _converted(key: str, value: Any) -> Any:
    kind = {field.name: field.type for field in msgspec.structs.fields(Settings)}[key]
    if kind is bool and isinstance(value, str):
        value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        word = {bool: "true or false", float: "a number", str: "text"}[kind]
        raise BadValue(key, _PLACE, f"it is not {word}") from None
