"""The channel type `pagerduty`: opens, acknowledges and resolves one incident there for each here, under one key.

The Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview. The library retries in the calling thread,
429 without end; here it makes one attempt, and the sender decides about the next.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell.rules import SEVERITIES
from flowtell_alerts.channels import FOLLOWED, BaseChannel, ChannelError, ExtraMissing, Rate
from flowtell_alerts.channels._exchange import problem_of, refusal
from flowtell_alerts.channels.settings import checked, checked_seconds, checked_url, place_of
from flowtell_alerts.channels.wording import cut, facts, guilty, summary
from flowtell_alerts.message import Message

API: Final = "https://events.pagerduty.com"

MAX_SUMMARY: Final = 1_024
MAX_KEY: Final = 255
MAX_BODY: Final = 500_000
"""Bytes; PagerDuty takes 512 KB."""

_A_MINUTE: Final = 120
"""Events that one routing key may send."""


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say."""

    routing_key: str
    """The integration key of a service (Events API v2); a secret."""
    api_url: str = API
    """https://events.eu.pagerduty.com for accounts in the EU."""
    source: str = "flowtell"
    """What PagerDuty shows as the affected system where an incident has no flow."""
    change_events: bool = False
    """Whether new versions of deployments are told, as change events, which page nobody."""
    ca_bundle: str = ""
    """File of certificates to trust, where a proxy stands between."""
    timeout_seconds: float = 10.0


class PagerDuty(BaseChannel):
    """`message.incident.id` is the deduplication key, so that all about one incident meets in one incident there."""

    tells = FOLLOWED
    in_place = True

    def __init__(self, name: str, keys: Keys) -> None:
        self.name, self._source = name, keys.source
        self._host = str(urlsplit(keys.api_url).hostname)
        self._digest = hashlib.sha256(keys.routing_key.encode()).hexdigest()[:16]
        self.tells = FOLLOWED | {"changed"} if keys.change_events else FOLLOWED
        self.bound_seconds = 2 * keys.timeout_seconds
        verify: Any = ssl.create_default_context(cafile=keys.ca_bundle) if keys.ca_bundle else True
        _library(name)
        self._client = _client_class()(keys.routing_key, base_url=keys.api_url, verify=verify)
        self._client.timeout = keys.timeout_seconds

    @property
    def rates(self) -> Sequence[Rate]:
        """A message a second, and two a second for all channels with this key."""
        return (Rate(f"channel {self.name}", 1.0), Rate(f"pagerduty {self._digest}", 60.0 / _A_MINUTE))

    def __repr__(self) -> str:
        return f"PagerDuty({self.name}, {self._host})"

    def send(self, message: Message) -> Receipt:
        key = cut(message.incident.id, MAX_KEY)
        if message.kind == "resolved":
            self._call("resolve", key)
        elif message.kind == "acknowledged":
            self._call("acknowledge", key)
        elif message.kind == "changed":
            self._change(message)
        else:
            self._call("trigger", key, **body_of(message, self._source))
            if message.kind == "test":
                self._call("resolve", key)  # a test pages whoever is on call, and leaves nothing open
        return Receipt(id=key)

    def _call(self, action: str, key: str, **properties: Any) -> None:
        self._ask(lambda: self._client.send_event(action, dedup_key=key, **properties))

    def _change(self, message: Message) -> None:
        """With a timestamp: the one that the library would make has two zones, and is refused."""
        incident = message.incident
        links = [{"href": link.url, "text": link.title} for link in message.links]
        self._ask(
            lambda: self._client.submit(
                cut(incident.reason, MAX_SUMMARY), cut(incident.subject.name, MAX_SUMMARY), dict(facts(message)), links,
                _timestamp(incident.since),
            )
        )  # fmt: skip

    def _ask(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except _Refused as refused:
            raise refusal(self.name, self._host, refused.status, refused.retry_after, _meaning(refused.status)) from None
        except _library(self.name).Error as error:
            cause = error.__cause__ if error.__cause__ is not None else error
            raise ChannelError(self.name, f"{self._host} {_problem(cause)}", permanent=False) from None

    def close(self) -> None:
        self._client.close()


def create(name: str, settings: Mapping[str, Any]) -> PagerDuty:
    """The factory that the entry point names."""
    keys, place = checked(name, settings, Keys, secrets=("routing_key",)), place_of(name)
    checked_url("api_url", keys.api_url, place, schemes=("https",))
    checked_seconds("timeout_seconds", keys.timeout_seconds, place)
    if len(keys.routing_key) != 32 or not keys.routing_key.isalnum() or not keys.routing_key.isascii():
        raise BadValue("routing_key", place, "it is no integration key: that has 32 letters and digits")
    return PagerDuty(name, keys)


# --- what goes out --------------------------------------------------------------------------------------------------


def body_of(message: Message, source: str) -> dict[str, Any]:
    """The event's properties, within PagerDuty's limits: details are cut from their end, and the links kept."""
    incident = message.incident
    details: dict[str, Any] = {"reason": incident.reason, **dict(facts(message))}
    if message.digest is not None:
        details["incidents"], details["open"] = message.digest.incidents, message.digest.open
        details["most"] = guilty(message)
    body: dict[str, Any] = {
        "payload": {
            "summary": cut(summary(message), MAX_SUMMARY),
            "source": cut(incident.subject.name or source, MAX_SUMMARY),
            "severity": incident.severity if incident.severity in SEVERITIES else "error",
            "timestamp": _timestamp(incident.since),
            "component": cut(incident.subject.name, MAX_SUMMARY),
            "group": cut(incident.environment, MAX_SUMMARY),
            "class": cut(incident.rule.kind, MAX_SUMMARY),
            "custom_details": details,
        },
        "client": "flowtell",
        "links": [{"href": link.url, "text": link.title} for link in message.links],
    }
    if message.url:
        body["client_url"] = message.url
    _shorten(body, details)
    return {key: value for key, value in body.items() if value}


def _shorten(body: dict[str, Any], details: dict[str, Any]) -> None:
    while details and len(msgspec.json.encode(body)) > MAX_BODY:
        details.popitem()
        details["cut"] = "details that did not fit were left out"
        if len(details) == 1:
            return


def _timestamp(moment: int) -> str:
    try:
        return datetime.fromtimestamp(moment / 1e6, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):  # a moment that no calendar has
        return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


# --- what comes back ------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, retry_after: str) -> None:
        self.status, self.retry_after = status, retry_after
        super().__init__(str(status))


@cache
def _client_class() -> Any:
    from pagerduty import EventsApiV2Client

    class OneAttempt(EventsApiV2Client):
        """The client without its retries, all of which sleep in the calling thread."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.retry = {429: 1}  # never reached: `postprocess` comes first
            self.max_network_attempts = 0

        def postprocess(self, response: Any) -> None:
            """Called with each answer before the library judges it."""
            if not response.is_success:
                raise _Refused(response.status_code, response.headers.get("Retry-After", ""))

    return OneAttempt


def _library(name: str) -> Any:
    try:
        import pagerduty
    except ImportError:
        raise ExtraMissing(name, "pagerduty", "pagerduty") from None
    return pagerduty


def _meaning(status: int) -> str:
    if status == 400:
        return "the routing key is not that of an Events API v2 integration, or the event is malformed"
    return "too many events for this routing key" if status == 429 else ""


def _problem(error: BaseException) -> str:
    if "Timeout" in type(error).__name__:
        return "did not answer in time"
    return problem_of(error) if isinstance(error, OSError) else f"cannot be reached ({type(error).__name__})"


__all__ = ["API", "Keys", "PagerDuty", "body_of", "create"]
