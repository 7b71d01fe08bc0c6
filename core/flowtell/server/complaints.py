"""A log that strangers cannot fill: what a client's nonsense makes the HTTP library say is said once a minute."""

from __future__ import annotations

import logging
import time
from typing import Final

_EVERY_SECONDS: Final = 60.0
_MOST: Final = 100
_UNTRUE: Final = "ASGI callable returned without completing handshake"
"""uvicorn's sans-I/O websockets say so of every handshake that was refused with an answer of its own (0.54)."""


class OncePerMinute(logging.Filter):
    """Lets one text through once a minute; exceptions always."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            return True
        now, text = time.monotonic(), str(record.msg)[:200]
        if text.startswith(_UNTRUE):
            return False
        if now - self._said.get(text, -_EVERY_SECONDS) < _EVERY_SECONDS:
            return False
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[text] = now
        return True
