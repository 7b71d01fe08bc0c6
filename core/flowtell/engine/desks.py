"""Which desk a process asks for limits: the server's where its events go to one, else the one of its home."""

from __future__ import annotations

import msgspec

from flowtell import bus
from flowtell.config import Config
from flowtell.errors import BadLimit, FlowtellError
from flowtell.limits.desk import Desk, LocalDesk
from flowtell.limits.stated import configured


def desk_of(settings: Config) -> Desk:
    """A desk for this process. A slip among the configured limits is told once, and none of them holds."""
    limits = _configured(settings)
    near = LocalDesk(settings.home, limits)
    if not settings["url"]:
        return near
    from flowtell.limits.remote import RemoteDesk

    try:
        return RemoteDesk(settings["url"], settings["token"], limits, near, writer=bus.open_writer, warn=bus.warn_once)
    except (FlowtellError, msgspec.MsgspecError) as error:  # no address of a server; shipping says so too
        bus.warn_once(error if isinstance(error, FlowtellError) else FlowtellError(str(error)))
        return near


def _configured(settings: Config) -> dict[str, int]:
    try:
        return configured(settings.limits)
    except BadLimit as error:
        bus.warn_once(error)
        return {}
