"""The channel type `alertmanager`: each incident as an alert, sent again while it fires, ended when it is resolved.

The API v2, `POST /api/v2/alerts`: https://github.com/prometheus/alertmanager, `api/v2/openapi.yaml`. Alertmanager groups,
silences and routes by itself, so it is given every incident, many in a call, and no digests.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell_alerts.channels import FOLLOWED, BaseChannel, Rate
from flowtell_alerts.channels._exchange import Exchange
from flowtell_alerts.channels.settings import checked, checked_seconds, checked_url, place_of
from flowtell_alerts.channels.wording import summary
from flowtell_alerts.message import Message

LASTS: Final = 4
"""How many refreshes an alert outlives: it must not end because one of them was late."""

A_CALL: Final = 500

_PATH: Final = "/api/v2/alerts"


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say."""

    url: str
    """Where Alertmanager is, such as http://alertmanager:9093; without /api/v2/alerts."""
    token: str = ""
    """A bearer token, where one is asked for."""
    username: str = ""
    password: str = ""
    refresh_seconds: float = 60.0
    timeout_seconds: float = 10.0


class Alertmanager(BaseChannel):
    """One alert for each incident, under labels that stay the same."""

    tells = FOLLOWED - {"acknowledged"}
    in_place = True
    batch = A_CALL

    def __init__(self, name: str, keys: Keys, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.name, self._now = name, now
        self.refresh_seconds, self.bound_seconds = keys.refresh_seconds, keys.timeout_seconds
        self._host = str(urlsplit(keys.url).hostname)
        self._headers = {"Content-Type": "application/json", **_authorization(keys)}
        self._exchange = Exchange(name, keys.url.rstrip("/") + _PATH, keys.timeout_seconds)

    @property
    def rates(self) -> Sequence[Rate]:
        return (Rate(f"channel {self.name}", 1.0),)

    def __repr__(self) -> str:
        return f"Alertmanager({self.name}, {self._host})"

    def send(self, message: Message) -> Receipt:
        return self.send_all([message])[0]

    def send_all(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        now = self._now()
        lasts = timedelta(seconds=LASTS * self.refresh_seconds)
        self._exchange.post(msgspec.json.encode([alert_of(each, now, lasts) for each in messages]), self._headers)
        return [Receipt(id=each.incident.id) for each in messages]

    def close(self) -> None:
        self._exchange.close()


def create(name: str, settings: Mapping[str, Any]) -> Alertmanager:
    """The factory that the entry point names."""
    keys, place = checked(name, settings, Keys, secrets=("token", "password")), place_of(name)
    checked_url("url", keys.url, place)
    checked_seconds("timeout_seconds", keys.timeout_seconds, place)
    if urlsplit(keys.url).path.rstrip("/").endswith(_PATH):
        raise BadValue("url", place, f"leave out {_PATH}, it is added")
    if not 5 <= keys.refresh_seconds <= 3600:
        raise BadValue("refresh_seconds", place, "it must lie between 5 and 3600")
    return Alertmanager(name, keys)


def alert_of(message: Message, now: datetime, lasts: timedelta) -> dict[str, Any]:
    """One alert. `incident` is among the labels, so each is one of its own; group by the others."""
    incident = message.incident
    labels = {
        "alertname": f"flowtell_{incident.rule.kind or 'incident'}",
        "incident": incident.id,
        "severity": incident.severity,
        incident.subject.kind or "subject": incident.subject.name,
        "environment": incident.environment,
        "owner": ",".join(incident.owners),
    }
    annotations = {
        "summary": summary(message),
        "description": incident.reason,
        "runbook_url": incident.runbook,
        "acknowledged_by": message.acknowledged_by,
        **{f"fact_{_name(label)}": value for label, value in message.facts.items()},
    }
    ends = now if message.kind == "resolved" else now + (lasts if message.kind != "test" else timedelta(minutes=1))
    return {
        "labels": {_name(key): value for key, value in labels.items() if value},
        "annotations": {key: value for key, value in annotations.items() if value},
        "startsAt": _moment(min(_since(incident.since, now), ends)),
        "endsAt": _moment(ends),
        "generatorURL": message.url,
    }


def _since(moment: int, now: datetime) -> datetime:
    try:
        return min(datetime.fromtimestamp(moment / 1e6, UTC), now)
    except (OverflowError, ValueError, OSError):  # a moment that no calendar has
        return now


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _name(text: str) -> str:
    """A label's name: letters, digits and underscores, no digit in front."""
    made = "".join(char if char.isascii() and (char.isalnum() or char == "_") else "_" for char in text)
    return made if made and not made[0].isdigit() else f"_{made}"


def _authorization(keys: Keys) -> dict[str, str]:
    if keys.token:
        return {"Authorization": f"Bearer {keys.token}"}
    if keys.username:
        pair = base64.b64encode(f"{keys.username}:{keys.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


__all__ = ["A_CALL", "LASTS", "Alertmanager", "Keys", "alert_of", "create"]
