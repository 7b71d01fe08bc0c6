"""What Slack sends when somebody presses a button: signed with the app's secret, and read only then.

The signature is an HMAC-SHA256 over version, timestamp and body:
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from flowtell_alerts.channels import NotSigned, Said
from flowtell_alerts.channels.slack_blocks import ACKNOWLEDGE, SILENCE
from flowtell_alerts.message import clean

_ACTIONS: Final = {ACKNOWLEDGE: "acknowledge", SILENCE: "silence"}
_MAX: Final = 100


def said_by(channel: str, secret: str, headers: Mapping[str, str], body: bytes) -> Sequence[Said]:
    """What people said; nothing for a button that only links.

    Raises:
        NotSigned: the signature does not fit, is older than five minutes, or the body is not Slack's.
    """
    if not _is_signed(secret, headers, body):
        raise NotSigned(channel, "its signature does not fit, or is older than five minutes")
    try:
        payload = msgspec.json.decode(parse_qs(body.decode())["payload"][0], type=dict[str, Any])
        return [_said(payload, action) for action in payload.get("actions", ()) if action.get("action_id") in _ACTIONS]
    except (KeyError, ValueError, TypeError, AttributeError):  # a decoding error is a ValueError
        raise NotSigned(channel, "it is no answer of Slack's") from None


def _is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    from slack_sdk.signature import SignatureVerifier

    timestamp, given = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    plain = timestamp.isascii() and timestamp.isdecimal() and given.isascii() and body.isascii()
    return plain and SignatureVerifier(secret).is_valid(body, timestamp, given)  # which raises for what is not plain


def _said(payload: Mapping[str, Any], action: Mapping[str, Any]) -> Said:
    user = payload.get("user", {})
    name = str(user.get("username") or user.get("name") or user.get("id") or "somebody")
    return Said(
        action=_ACTIONS[action["action_id"]],
        incident=clean(str(action.get("value", "")), _MAX),
        actor=f"{clean(name, _MAX)} (Slack)",
        id=clean(str(action.get("action_ts", "")), _MAX),
    )


__all__ = ["said_by"]
