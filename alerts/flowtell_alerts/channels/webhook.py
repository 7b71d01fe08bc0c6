"""The channel type `webhook`: POSTs each message to one address, as a CloudEvent that is signed where there is a secret.

The plain form, without envelope, is what `[plugin.notifications] webhook` has always sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell.ids import moment_of
from flowtell_alerts.channels import FOLLOWED, BaseChannel
from flowtell_alerts.channels._exchange import Exchange
from flowtell_alerts.channels.settings import checked, checked_seconds, checked_url, place_of
from flowtell_alerts.channels.signature import signature
from flowtell_alerts.message import Message

FORMATS: Final = ("cloudevents", "plain")

Headers = dict[str, str]


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say."""

    url: str
    """Address that each message is POSTed to; a secret."""
    secret: str = ""
    """Signs each body, so that the receiver knows whom it is from (`flowtell_alerts.channels.signature`)."""
    format: str = "cloudevents"
    updates: bool = False
    """Whether it is also told when an incident that is open goes on."""
    timeout_seconds: float = 5.0


class Webhook(BaseChannel):
    """`message.id` is the CloudEvent's id and the idempotency key; `message.incident.id` is its subject."""

    def __init__(
        self, url: str, timeout: float = 5.0, *, name: str = "webhook", format: str = "plain", secret: str = "",
        updates: bool = False, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.name, self._plain, self._secret, self._now = name, format == "plain", secret, now
        self.tells = FOLLOWED if updates else FOLLOWED - {"updated"}
        if self._plain and not updates:
            self.tells = FOLLOWED - {"updated", "acknowledged"}
        self.bound_seconds = timeout
        self._host = urlsplit(url).hostname
        self._exchange = Exchange(name, url, timeout)

    def __repr__(self) -> str:
        return f"Webhook({self._host})"

    def send(self, message: Message) -> Receipt:
        body = plain(message) if self._plain else cloud_event(message)
        headers = {"Content-Type": "application/json" if self._plain else "application/cloudevents+json; charset=utf-8"}
        if self._secret:
            headers |= signature(self._secret, message.id, int(self._now()), body)
        self._exchange.post(body, headers | {"Idempotency-Key": message.id})
        return Receipt()

    def close(self) -> None:
        self._exchange.close()


def create(name: str, settings: Mapping[str, Any]) -> Webhook:
    """The factory that the entry point names."""
    keys, place = checked(name, settings, Keys, secrets=("url", "secret")), place_of(name)
    checked_url("url", keys.url, place)
    checked_seconds("timeout_seconds", keys.timeout_seconds, place)
    if keys.format not in FORMATS:
        raise BadValue("format", place, f"it is none of {', '.join(FORMATS)}")
    return Webhook(keys.url, keys.timeout_seconds, name=name, format=keys.format, secret=keys.secret, updates=keys.updates)


# --- bodies ---------------------------------------------------------------------------------------------------------


def plain(message: Message) -> bytes:
    """The message alone: id, kind, incident and url."""
    shown: dict[str, Any] = {"id": message.id, "kind": message.kind, "incident": message.incident, "url": message.url}
    if message.digest is not None:
        shown["digest"] = message.digest
    return msgspec.json.encode(shown)


def cloud_event(message: Message) -> bytes:
    """CloudEvents 1.0, JSON event format, structured mode: https://github.com/cloudevents/spec, `json-format.md`."""
    told = msgspec.to_builtins(message)
    del told["before"]
    moment = datetime.fromtimestamp(_moment(message) / 1e6, UTC)
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": message.id,
            "source": "/flowtell/notifications",
            "type": f"flowtell.incident.{message.kind}",
            "subject": message.incident.id,
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": told,
        }
    )


def _moment(message: Message) -> int:
    """When what it tells of happened: the moment in its id, or the incident's."""
    return moment_of(message.id) or min(max(message.incident.since, 0), 253_402_300_799_000_000)


__all__ = ["FORMATS", "Keys", "Webhook", "cloud_event", "create", "plain"]
