"""The channel type `slack`: a bot that posts, changes its message in place and goes on in its thread; or a webhook.

An incoming webhook can only announce: Slack gives it no way to find a message again.
"""

from __future__ import annotations

import http.client
import logging
import math
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell_alerts.channels import ANNOUNCED, FOLLOWED, BaseChannel, Channel, ChannelError, ExtraMissing, Rate, Said
from flowtell_alerts.channels._exchange import problem_of, refusal, seconds_of
from flowtell_alerts.channels.settings import checked, checked_seconds, checked_url, place_of
from flowtell_alerts.channels.slack_answers import said_by
from flowtell_alerts.channels.slack_blocks import blocks_of, follow_up, text_of
from flowtell_alerts.message import Message

API: Final = "https://slack.com/api/"

_PASSES: Final = frozenset(
    {"ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error", "service_unavailable",
     "request_timeout", "accesslimited", "team_added_to_org", "org_login_required", "ekm_access_denied"}
)  # fmt: skip
"""Errors of Slack's Web API that go away by themselves; all others need somebody to mend something."""

_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
"""The message that was to be changed cannot be: a new one is posted."""

_MEND: Final = {
    "invalid_auth": "the token is not valid; copy the bot token (xoxb-…) of your Slack app",
    "not_authed": "the token is not valid; copy the bot token (xoxb-…) of your Slack app",
    "token_revoked": "the token was revoked; install the Slack app anew",
    "account_inactive": "the token's app was removed; install it anew",
    "missing_scope": "the app lacks the scope chat:write; add it and install the app anew",
    "channel_not_found": "no such channel, or a private one that the bot is not in; check its id and invite the bot",
    "not_in_channel": "the bot is not in the channel; write '/invite @your-bot' there",
    "is_archived": "the channel is archived; name another",
}

_BROKEN: Final = (OSError, http.client.HTTPException, ValueError)
"""What the library lets out where there is no whole answer: also text that is none, and JSON that is none."""

_silent = logging.getLogger("flowtell.alerts.slack")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False  # what the library logs may quote an answer; what counts is in our error


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say: `token` and `channel`, or `webhook_url`."""

    token: str = ""
    """Of a bot with the scope chat:write."""
    channel: str = ""
    """Its id (C0123ABCD), or its name."""
    webhook_url: str = ""
    """Of an incoming webhook, instead of the two above."""
    signing_secret: str = ""
    """Of the app: messages get buttons, and Slack's answers come to /api/signed/notifications/NAME."""
    api_url: str = API
    ca_bundle: str = ""
    """File of certificates to trust, where a proxy stands between."""
    timeout_seconds: float = 8.0


class Slack(BaseChannel):
    """A bot in one channel."""

    tells = FOLLOWED
    in_place = True
    hourly = 240

    def __init__(self, name: str, keys: Keys) -> None:
        sdk = _library(name)
        self.name, self._channel = name, keys.channel
        self._signing_secret, self.hears = keys.signing_secret, bool(keys.signing_secret)
        self._host = str(urlsplit(keys.api_url).hostname)
        self.bound_seconds = 3 * keys.timeout_seconds
        self._client = sdk.WebClient(
            token=keys.token, base_url=keys.api_url, timeout=math.ceil(keys.timeout_seconds), retry_handlers=[],
            ssl=_trusting(keys.ca_bundle), logger=_silent,
        )  # fmt: skip

    @property
    def rates(self) -> Sequence[Rate]:
        """A message a second and channel; and changes about fifty a minute (chat.update is of tier 3)."""
        return (Rate(f"channel {self.name}", 1.2),)

    def __repr__(self) -> str:
        return f"Slack({self.name}, {self._channel})"

    def heard(self, headers: Mapping[str, str], body: bytes) -> Sequence[Said]:
        """The buttons that were pressed (https://docs.slack.dev/reference/interaction-payloads/block_actions-payload)."""
        return said_by(self.name, self._signing_secret, headers, body)

    def send(self, message: Message) -> Receipt:
        first = message.before
        if first is None or not first.id:
            return self._post(message)
        if message.kind == "repeat":
            self._call("chat_postMessage", self._reply(message, first, reply_broadcast=True))
            return first
        receipt = self._update(message, first)
        if receipt is first and message.kind != "updated":
            self._call("chat_postMessage", self._reply(message, first))
        return receipt

    def _post(self, message: Message) -> Receipt:
        data = self._call("chat_postMessage", {"channel": self._channel, **self._content(message)})
        return Receipt(id=str(data.get("ts", "")), thread=str(data.get("channel", self._channel)))

    def _update(self, message: Message, first: Receipt) -> Receipt:
        try:
            self._call("chat_update", {"channel": first.thread, "ts": first.id, **self._content(message)})
        except _MessageGone:
            return self._post(message)
        return first

    def _content(self, message: Message) -> dict[str, Any]:
        return {"text": text_of(message), "blocks": blocks_of(message, buttons=self.hears), "unfurl_links": False}

    def _reply(self, message: Message, first: Receipt, **more: Any) -> dict[str, Any]:
        thread = {"channel": first.thread, "thread_ts": first.id}
        return {**thread, "text": follow_up(message), "unfurl_links": False, **more}

    def _call(self, method: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if method == "chat_update":
            arguments = {key: value for key, value in arguments.items() if key != "unfurl_links"}
        errors = _library(self.name).errors
        try:
            answer = getattr(self._client, method)(**arguments)
        except errors.SlackApiError as error:
            raise self._refused(error.response) from None
        except (errors.SlackClientError, *_BROKEN) as error:
            raise ChannelError(self.name, f"{self._host} {problem_of(error)}", permanent=False) from None
        return answer.data if isinstance(answer.data, dict) else {}

    def _refused(self, response: Any) -> ChannelError:
        """What Slack's answer means. Only its error's name is taken from it."""
        status = int(getattr(response, "status_code", 0) or 0)
        data = getattr(response, "data", None)
        code = str(data.get("error", "")) if isinstance(data, dict) else ""
        after = str((getattr(response, "headers", None) or {}).get("Retry-After", ""))
        if status != 200 and not code:
            return refusal(self.name, self._host, status, after)
        if code in _GONE:
            return _MessageGone(self.name, f"{self._host}: {code}", permanent=True)
        passes = code in _PASSES or status == 429 or status >= 500
        wait = seconds_of(after, time.time()) if passes else 0.0
        words = f"{self._host} refused it: {_code(code)}{f'; {_MEND[code]}' if code in _MEND else ''}"
        return ChannelError(self.name, words, permanent=not passes, retry_after=wait)


class _MessageGone(ChannelError):
    """There is no message any more to be changed."""


class SlackWebhook(BaseChannel):
    """An incoming webhook: announces, and cannot change what it said."""

    tells = ANNOUNCED | {"acknowledged"}
    hourly = 240

    def __init__(self, name: str, keys: Keys) -> None:
        _library(name)
        from slack_sdk.webhook import WebhookClient

        self.name = name
        self._host = str(urlsplit(keys.webhook_url).hostname)
        self.bound_seconds = 2 * keys.timeout_seconds
        self._client = WebhookClient(
            keys.webhook_url, timeout=math.ceil(keys.timeout_seconds), retry_handlers=[],
            ssl=_trusting(keys.ca_bundle), logger=_silent,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"SlackWebhook({self.name}, {self._host})"

    def send(self, message: Message) -> Receipt:
        try:
            answer = self._client.send(text=text_of(message), blocks=blocks_of(message))
        except _BROKEN as error:
            raise ChannelError(self.name, f"{self._host} {problem_of(error)}", permanent=False) from None
        if not 200 <= answer.status_code < 300:
            raise refusal(self.name, self._host, answer.status_code, str(answer.headers.get("Retry-After", "")))
        return Receipt()


def create(name: str, settings: Mapping[str, Any]) -> Channel:
    """The factory that the entry point names: a bot, or an incoming webhook where its address is given."""
    keys = checked(name, settings, Keys, secrets=("token", "webhook_url", "signing_secret"))
    place = place_of(name)
    checked_seconds("timeout_seconds", keys.timeout_seconds, place)
    if keys.webhook_url:
        _check_webhook(keys, place)
        return SlackWebhook(name, keys)
    _check_bot(keys, place)
    return Slack(name, keys)


def _check_webhook(keys: Keys, place: str) -> None:
    checked_url("webhook_url", keys.webhook_url, place)
    if keys.token or keys.channel or keys.signing_secret:
        raise BadValue(
            "webhook_url", place, "an incoming webhook has no token, channel or signing secret; give one or the other"
        )


def _check_bot(keys: Keys, place: str) -> None:
    checked_url("api_url", keys.api_url, place)
    if not keys.token:
        raise BadValue("token", place, "it is missing; give a bot's token and a channel, or webhook_url")
    if not keys.token.startswith(("xoxb-", "xoxp-", "xoxe.")) or not keys.token.isascii() or not keys.token.isprintable():
        raise BadValue("token", place, "it is no token of Slack's: a bot's begins with xoxb-")
    if not keys.channel or not keys.channel.isprintable():
        raise BadValue("channel", place, "it is missing; give the channel's id, such as C0123ABCD")


def _library(name: str) -> Any:
    try:
        import slack_sdk
        import slack_sdk.errors
    except ImportError:
        raise ExtraMissing(name, "slack_sdk", "slack") from None
    return slack_sdk


def _trusting(bundle: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=bundle) if bundle else None


def _code(code: str) -> str:
    return "".join(char for char in code if char.isalnum() or char == "_")[:60] or "no reason given"


__all__ = ["Keys", "Slack", "SlackWebhook", "create"]
