"""Dead letters: messages that no channel took, as pages and commands read them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import select

from flowtell.store.tables import cursors
from flowtell_alerts.errors import DeadLetterNotFound
from flowtell_alerts.outbox import letter_of, letters
from flowtell_alerts.reading import Read


class DeadLetter(Struct, frozen=True):
    """A message that was given up. Moments are µs since the epoch."""

    topic: str
    """Id of the incident or digest that it is about."""
    channel: str
    kind: str
    """What the channel was to be told, such as `opened`."""
    subject: str
    environment: str
    severity: str
    problem: str
    """Of the last attempt."""
    attempts: int
    queued: int
    """Since when it was to be told."""
    given_up: int

    @property
    def id(self) -> str:
        """What a command asks for: topic and channel."""
        return f"{self.topic} {self.channel}"


def dead_letters(read: Read, *, limit: int = 1000) -> list[DeadLetter]:
    """Up to `limit` messages that were given up, the newest first."""
    has_run = read(select(cursors.c.plugin).where(cursors.c.plugin == "notifications"))
    if not has_run:
        return []  # the table may not be there
    wanted = select(letters).where(letters.c.state == "dead").order_by(letters.c.changed.desc()).limit(limit)
    return [
        DeadLetter(
            each.topic, each.channel, each.says, each.subject, each.environment, each.severity, each.problem, each.attempts,
            each.queued, each.changed,
        )
        for each in map(letter_of, read(wanted))
    ]  # fmt: skip


def find(known: Sequence[DeadLetter], wanted: Sequence[str], channel: str = "") -> list[DeadLetter]:
    """Those whose topic begins with one of `wanted`, of one channel where it is named; all where nothing is wanted.

    Raises:
        DeadLetterNotFound: one of `wanted` fits none.
    """
    here = [each for each in known if not channel or each.channel == channel]
    for start in wanted:
        if not any(each.topic.startswith(start) for each in here):
            raise DeadLetterNotFound(start)
    return [each for each in here if not wanted or each.topic.startswith(tuple(wanted))]


__all__ = ["DeadLetter", "dead_letters", "find"]
