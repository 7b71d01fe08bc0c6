"""What can be set of a Prefect source, in its `[source.NAME]` table."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey

_Switch = bool


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of the table. Texts of environment variables are taken as what they stand for."""

    api_url: str
    """Of the REST API, with `/api` at its end as in PREFECT_API_URL."""
    api_key: str = ""
    """Prefect Cloud's key, as in PREFECT_API_KEY."""
    auth_string: str = ""
    """User and password of a server of one's own, as in PREFECT_API_AUTH_STRING."""
    ui_url: str = ""
    """Where its pages are, for links; that of the API without `/api` where left out."""
    logs: _Switch = False
    """Whether log records come over."""
    history_days: Annotated[float, Meta(ge=0, le=3650)] = 30.0
    """Days of ended runs that come over at the first start, newest first; 0 for none."""
    reconcile_seconds: Annotated[float, Meta(ge=5, le=86_400)] = 300.0
    """Seconds between two readings of the REST API for what the websocket missed."""
    requests_per_minute: Annotated[float, Meta(ge=1, le=60_000)] = 120.0
    """The most requests in a minute, whatever happens."""
    page_size: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """Rows asked for at once; Prefect's own limit is 200."""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=600)] = 30.0
    """Seconds after which a request has failed."""


def read_settings(table: Mapping[str, Any]) -> Settings:
    """The settings in a table.

    Raises:
        UnknownKey: a key that there is not, with the closest.
        BadValue: a value that cannot be used, or no `api_url`.
    """
    known = Settings.__struct_fields__
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            raise UnknownKey(key, "the source's table", close[0] if close else "")
    try:
        settings = convert(dict(table), Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadValue("source", "the source's table", str(error)) from error
    parts = urlsplit(settings.api_url)
    if parts.username or parts.password:  # messages name the address
        raise BadValue("api_url", "the source's table", "it holds user or password; put them into auth_string")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadValue("api_url", "the source's table", f"{settings.api_url!r} is no address such as http://host:4200/api")
    return settings
