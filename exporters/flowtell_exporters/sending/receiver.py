"""Whoever takes batches: one request, and what became of it."""

from __future__ import annotations

import email.utils
import time
from typing import Final, Protocol

from msgspec import Struct

_TOO_MUCH: Final = 413
_FOR_EVER: Final = frozenset({400, 410, 415, 422})
"""The answer to what no repetition mends. Everything else may be mended: a token, a route, a receiver on its way up."""


class Answer(Struct, frozen=True):
    """What became of a request."""

    outcome: str
    """`taken`; `later`, with the receiver down or busy; `split`, as the request was too large; `refused` for ever."""
    reason: str = ""
    after: float = 0.0
    """Seconds that the receiver asks to be left alone."""
    rejected: int = 0
    """Items of a request it took of which it says that it will not have them."""


class Receiver(Protocol):
    """Takes one encoded request at a time. From one thread."""

    def send(self, body: bytes) -> Answer:
        """Never raises for what a receiver does."""
        ...

    def close(self) -> None: ...


def judged(status: int, told: bytes, retry_after: str) -> Answer:
    """What an HTTP answer means (OTLP specification, OTLP/HTTP response; CloudEvents webhooks say the same)."""
    if 200 <= status < 300:
        return Answer("taken")
    reason = f"HTTP {status} {_said(told)}".strip()
    if status == _TOO_MUCH:
        return Answer("split", reason)
    if status in _FOR_EVER:
        return Answer("refused", reason)
    return Answer("later", reason, _seconds(retry_after))


def _said(told: bytes) -> str:
    """What an error's body says to people; most are a protobuf Status, whose message stands in it as text."""
    text = told.decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable())[:200]


def _seconds(retry_after: str) -> float:
    """`Retry-After` in seconds or as a date (RFC 9110, 10.2.3)."""
    if retry_after.isdigit():
        return float(min(int(retry_after), 3600))
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return min(max(until.timestamp() - time.time(), 0.0), 3600.0)
