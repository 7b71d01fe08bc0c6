"""Items of a batch on their way to a receiver: in parts, each once, waited for or dropped while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from flowtell.plugin import Context, RetryLater
from flowtell_exporters.sending.receiver import Answer, Receiver

MOST: Final = 1_000
"""Items of one request: some 400 kB, well below what receivers take."""
_FIRST_REST, _LONGEST_REST = 1.0, 30.0
"""Seconds between two attempts at a receiver that is away."""


T = TypeVar("T")


class Sending(Generic[T]):
    """Sends for one plugin, on its thread."""

    def __init__(
        self,
        receiver: Receiver,
        encode: Callable[[Sequence[T]], bytes],
        key: Callable[[T], str],
        *,
        most: int = MOST,
        waits: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`key` tells an item from others, and is the same whenever it is made of the same events; `most` go at once;
        `waits` says whether items wait for a receiver that is away, and the plugin's cursor with them.
        """
        self._receiver, self._encode, self._key, self._most = receiver, encode, key, most
        self._waits, self._clock = waits, clock
        self._taken: set[str] = set()
        """Items of the batch under way that were taken before an attempt at the rest failed."""
        self._rest = 0.0
        self._resting_until = 0.0

    def send(self, items: Sequence[T], context: Context) -> None:
        """All have been taken, or dropped and counted, when it returns.

        Raises:
            RetryLater: the receiver is away and the items are to wait for it: call it with the same again.
        """
        left = [item for item in items if self._key(item) not in self._taken]
        for start in range(0, len(left), self._most):
            self._send_part(left[start : start + self._most], context)
        self._taken.clear()

    def _send_part(self, part: Sequence[T], context: Context) -> None:
        if self._clock() < self._resting_until:  # only where nothing waits
            context.count("dropped", len(part))
            return
        answer = self._receiver.send(self._encode(part))
        if answer.outcome == "later":
            self._put_off(part, answer, context)
            return
        self._rest = 0.0
        if answer.outcome == "split" and len(part) > 1:
            for half in (part[: len(part) // 2], part[len(part) // 2 :]):
                self._send_part(half, context)
            return
        self._note(part, answer, context)

    def _put_off(self, part: Sequence[T], answer: Answer, context: Context) -> None:
        self._rest = min(max(self._rest * 2, _FIRST_REST), _LONGEST_REST)
        seconds = max(self._rest, answer.after)
        if self._waits:
            raise RetryLater(seconds, f"the receiver did not take {len(part)} items: {answer.reason}")
        self._resting_until = self._clock() + seconds
        context.count("dropped", len(part))
        context.logger.warning("the receiver is away, %s items dropped: %s", len(part), answer.reason)

    def _note(self, part: Sequence[T], answer: Answer, context: Context) -> None:
        """Count what the collector will never have."""
        lost = answer.rejected if answer.outcome == "taken" else len(part)
        if lost:
            context.count("dropped", lost)
            context.logger.warning("the receiver refused %s of %s items: %s", lost, len(part), answer.reason)
        self._taken.update(map(self._key, part))

    def close(self) -> None:
        self._receiver.close()
