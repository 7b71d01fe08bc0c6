"""What commands ask the sender for, by `action.requested`."""

from __future__ import annotations

from typing import Final

REPLAY: Final = "notifications.replay"
"""Send a dead letter again. The target is `TOPIC CHANNEL`, or `all`."""

DROP: Final = "notifications.drop"
"""Forget one; the target likewise."""

TEST: Final = "notifications.test"
"""Send a test message; the target is the channel's name."""

__all__ = ["DROP", "REPLAY", "TEST"]
