"""The channel type `apprise`: announcements to the hundred and more services that the library apprise knows.

It says that something opened and that it is over, each as a message of its own. It knows no keys: nothing is changed in
place, acknowledged or resolved over there. Where that matters (PagerDuty, Slack) use the channel made for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell_alerts.channels import ANNOUNCED, BaseChannel, ChannelError, ExtraMissing
from flowtell_alerts.channels.settings import checked, place_of
from flowtell_alerts.channels.wording import facts, guilty, title
from flowtell_alerts.message import Message

_logger = logging.getLogger("flowtell.plugin.notifications")


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say."""

    urls: tuple[str, ...]
    """Addresses as apprise writes them; secrets. See https://github.com/caronc/apprise/wiki."""


class Apprise(BaseChannel):
    """Each address gets each message; one that did not take it gets it again, unless the server started anew meanwhile.

    The services are called one after the other on the channel's own thread: apprise's would outlive its time-out.
    """

    tells = ANNOUNCED
    hourly = 60
    bound_seconds = 60.0

    def __init__(self, name: str, keys: Keys) -> None:
        apprise = _library(name)
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses, which are secrets
        self.name, self._types = name, apprise.NotifyType
        self._notifier = apprise.Apprise(asset=apprise.AppriseAsset(app_id="flowtell", async_mode=False))
        self._count = len(keys.urls)
        self._taken: tuple[str, set[int]] = ("", set())
        """The message that was said last, and the addresses that have it."""
        for place, url in enumerate(keys.urls, 1):
            if not self._notifier.add(url):
                raise BadValue("urls", place_of(name), f"apprise does not know what to do with address {place}")
        _logger.info("channel '%s' only announces: apprise can change, acknowledge and close nothing", name)

    def __repr__(self) -> str:
        return f"Apprise({self.name}, {self._count} addresses)"

    def send(self, message: Message) -> Receipt:
        kind = self._types.SUCCESS if message.kind == "resolved" else _type(self._types, message)
        taken = self._taken[1] if self._taken[0] == message.id else set()
        self._taken = message.id, taken
        for place, service in enumerate(self._notifier, 1):
            said = place in taken or service.notify(title=title(message), body=body_of(message), notify_type=kind)
            taken |= {place} if said else set()
        left = sorted(set(range(1, self._count + 1)) - taken)
        if left:
            these = ", ".join(map(str, left))
            raise ChannelError(self.name, f"address {these} did not take it; apprise does not tell why", permanent=False)
        return Receipt()


def create(name: str, settings: Mapping[str, Any]) -> Apprise:
    """The factory that the entry point names."""
    given = dict(settings)
    for key in ("urls", "url"):
        if isinstance(given.get(key), str) and " " not in given[key]:
            given["urls"] = [given.pop(key)]
    if isinstance(given.get("urls_file"), str):
        given["urls"] = checked(name, {"urls_file": given.pop("urls_file")}, _Text, secrets=("urls",)).urls.split()
    keys = checked(name, given, Keys)
    if not keys.urls:
        raise BadValue("urls", place_of(name), "it names no address")
    return Apprise(name, keys)


class _Text(Struct, frozen=True):
    urls: str


def body_of(message: Message) -> str:
    """Plain text. Apprise cuts it to what each service takes; the links come first, so that they are kept."""
    lines = [message.incident.reason, *(f"{link.title}: {link.url}" for link in message.links)]
    lines += [f"{label}: {value}" for label, value in facts(message)]
    return "\n".join([*lines, *guilty(message)])


def _type(types: Any, message: Message) -> Any:
    known = {"info": types.INFO, "warning": types.WARNING}
    return known.get(message.incident.severity, types.FAILURE) if message.kind != "test" else types.INFO


def _library(name: str) -> Any:
    try:
        import apprise
    except ImportError:
        raise ExtraMissing(name, "apprise", "apprise") from None
    return apprise


__all__ = ["Apprise", "Keys", "body_of", "create"]
