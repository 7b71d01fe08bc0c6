"""How a webhook's body is signed, and how a receiver checks it: Standard Webhooks 1.0.0, symmetric (`v1`).

Three headers: `webhook-id`, `webhook-timestamp` (seconds since the epoch), and `webhook-signature`, which is `v1,` and
the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`. The secret is taken as bytes of UTF-8, or, behind `whsec_`, as
base64. See https://github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

TOLERANCE: Final = 300
"""Seconds by which a timestamp may differ from the receiver's clock: an older body may be a replayed one."""

_PREFIX: Final = "whsec_"


def signature(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that go with `body`."""
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{_digest(secret, id, str(timestamp), body)}",
    }


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether the body is from whoever has the secret, and not old. For receivers; compares in constant time.

    Args:
        headers: by lower-case name.
        now: seconds since the epoch.
    """
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        return False
    wanted = f"v1,{_digest(secret, message, timestamp, body)}".encode()
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(wanted, each) for each in given)


def _digest(secret: str, id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join([id.encode(), timestamp.encode(), body])
    return base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


__all__ = ["TOLERANCE", "is_signed", "signature"]
