"""One channel's own thread: while it talks to a slow or silent receiver, nothing and nobody else waits."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from logging import Logger
from typing import Final

from msgspec import Struct

from flowtell.events import Receipt
from flowtell_alerts._route import Offer
from flowtell_alerts.channels import Channel, ChannelError
from flowtell_alerts.message import Message

GRACE: Final = 5.0
"""Seconds beyond a channel's own bound after which its call counts as one that never comes back."""

MAX_ABANDONED: Final = 3
"""Threads of a channel that never came back, beyond which it gets no new one until one of them does."""


class Attempt(Struct, frozen=True):
    """What a worker is given: messages that go in one call, under one claim."""

    claim: str
    messages: tuple[Message, ...]


class Outcome(Struct, frozen=True):
    """What became of it: as many receipts as messages, or the error."""

    channel: str
    attempt: Attempt
    receipts: tuple[Receipt, ...] = ()
    error: ChannelError | None = None


class Worker:
    """Owned by the sender's thread. There is a thread of its own for as long as an attempt lasts.

    What comes back goes into `results`, at most one for each worker. A call that does not come back in its time is given
    up: its thread is left alone, what it may bring later is dropped, and the channel is made anew.
    """

    def __init__(self, offer: Offer, results: queue.SimpleQueue[Outcome], logger: Logger) -> None:
        self._make, self.route = offer
        self._results, self._logger = results, logger
        self.channel = self._make()
        self._current: _Call | None = None
        self._abandoned: list[threading.Thread] = []

    @property
    def name(self) -> str:
        return self.channel.name

    @property
    def busy(self) -> bool:
        return self._current is not None

    @property
    def stuck(self) -> bool:
        """Whether so many of its calls never came back that it gets no more."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        return len(self._abandoned) >= MAX_ABANDONED

    def begin(self, attempt: Attempt) -> None:
        """Send, on the worker's thread."""
        assert self._current is None
        self._current = _Call(self.channel, attempt, self._results, self._logger)
        self._current.start()

    def finished(self, outcome: Outcome) -> bool:
        """Take note of a result. False for one of a call that was given up."""
        if self._current is None or self._current.attempt is not outcome.attempt:
            return False
        self._current = None
        return True

    def overdue(self) -> Outcome | None:
        """The outcome of a call that has run past its time, which is given up here."""
        call = self._current
        if call is None or time.monotonic() - call.began < self.channel.bound_seconds + GRACE:
            return None
        self._current = None
        self._abandoned.append(call.thread)
        self._close()
        self.channel = self._make()
        error = ChannelError(self.name, "did not return in its time", permanent=False)
        return Outcome(self.name, call.attempt, error=error)

    def close(self, timeout: float) -> None:
        """Wait for the attempt under way, at most so many seconds."""
        if self._current is not None:
            self._current.thread.join(max(timeout, 0.0))
        self._close()

    def _close(self) -> None:
        try:
            self.channel.close()
        except Exception:
            self._logger.exception("channel %s could not be closed", self.name)


class _Call:
    """One attempt on its way."""

    def __init__(self, channel: Channel, attempt: Attempt, results: queue.SimpleQueue[Outcome], logger: Logger) -> None:
        self.attempt, self.began = attempt, time.monotonic()
        self._channel, self._results, self._logger = channel, results, logger
        self.thread = threading.Thread(target=self._run, name=f"flowtell-channel-{channel.name}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def _run(self) -> None:
        self._results.put(self._outcome())

    def _outcome(self) -> Outcome:
        name = self._channel.name
        try:
            return Outcome(name, self.attempt, receipts=self._receipts())
        except ChannelError as error:
            return Outcome(name, self.attempt, error=error)
        except Exception as error:  # noqa: BLE001  # a channel's own fault, whose text may hold a secret
            self._logger.warning("channel %s failed with %s", name, type(error).__name__)
            fault = ChannelError(name, f"failed with {type(error).__name__}", permanent=False)
            return Outcome(name, self.attempt, error=fault)

    def _receipts(self) -> tuple[Receipt, ...]:
        messages: Sequence[Message] = self.attempt.messages
        if self._channel.batch > 1:
            found = tuple(self._channel.send_all(messages))
        else:
            found = tuple(self._channel.send(message) for message in messages)
        if len(found) != len(messages):
            raise ValueError(f"{len(found)} receipts for {len(messages)} messages")
        return found


__all__ = ["GRACE", "MAX_ABANDONED", "Attempt", "Outcome", "Worker"]
