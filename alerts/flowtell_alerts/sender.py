"""The plugin `notifications`: tells the configured channels of incidents that open and resolve.

An effect: only a server runs it. Events fill an outbox, `tick` empties it when all that the log says of incidents has
been read. An incident that was resolved meanwhile or began over an hour ago is not told; that it is resolved is told to
the channels that were told of it, and to no other.

Each channel gets a message once; after a crash between sending and noting it the same message goes again, under the
same id. What a channel could not take comes again, six attempts in about twenty minutes, and then is given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowtell.events import Event, Failure, IncidentOpened, NotificationFailed, NotificationSent
from flowtell.plugin import BasePlugin, Context
from flowtell_alerts import outbox
from flowtell_alerts._settings import Settings, settings_of
from flowtell_alerts._unread import Unread
from flowtell_alerts.channels import Channel, ChannelError
from flowtell_alerts.channels.terminal import Terminal
from flowtell_alerts.channels.webhook import Webhook
from flowtell_alerts.message import message_of
from flowtell_alerts.outbox import IncidentEvent, Letter, LetterKey, Outbox, letter_about

HOUR: Final = 3_600_000_000
"""µs after which an incident that nobody was told of is history."""

WAITS: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
"""Seconds before each further attempt; a receiver's Retry-After may make one longer."""

LETTERS_A_TICK: Final = 20
"""To one channel; the others follow with the next tick."""

TICK_BUDGET: Final = 10_000_000
"""µs after which a tick begins no further message: it must be over before the runner's deadline."""

_DAY: Final = 86_400_000_000
_SOON: Final = 200_000


def create(settings: Mapping[str, Any]) -> Sender:
    """The factory that the entry point names.

    Raises:
        ConfigError: an unknown key or a value that cannot be used.
    """
    checked = settings_of(settings)
    return Sender(_channels(checked), checked.url)


def _channels(settings: Settings) -> list[Channel]:
    channels: list[Channel] = [Terminal()] if settings.terminal else []
    return [*channels, Webhook(settings.webhook, settings.timeout_seconds)] if settings.webhook else channels


class Sender(BasePlugin):
    """Sends what the outbox holds. Nothing about a message is kept in memory but when the next is due."""

    wants = ("incident.opened", "incident.resolved")
    effects = True
    tables = outbox.metadata
    tick_seconds = 0.5

    def __init__(self, channels: Sequence[Channel], base_url: str = "") -> None:
        self._channels, self._base_url = channels, base_url

    def open(self, context: Context) -> None:
        super().open(context)
        self._outbox = Outbox(context)
        self._next = self._outbox.next_moment()
        self._unread = Unread(context, self.wants)
        self._resting: dict[str, int] = {}
        self._cleaned = 0

    def close(self, timeout: float) -> None:
        for channel in self._channels:
            channel.close()

    # --- filling the outbox ---------------------------------------------------------------------------------------

    def handle(self, events: Sequence[Event]) -> None:
        now = self.context.clock()
        told = [event for event in events if isinstance(event, IncidentEvent) and self._unread.passed(event)]
        letters = self._outbox.of_incidents({event.incident for event in told})
        changed: dict[LetterKey, Letter] = {}
        for event in told:
            for channel in self._channels:
                new = answer_to(event, channel.name, letters, now)
                if new is not None:
                    letters[new.key] = changed[new.key] = new
        self._outbox.put(changed.values())
        if changed:
            self._next = now

    # --- emptying it ----------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        if self._next is not None and self._next <= now and self.context.live and not self._unread.read():
            done = [letter for channel in self._channels for letter in self._send_to(channel, now)]
            self._outbox.put(done)
            self._next = now + _SOON if done else self._outbox.next_moment()
        if now - self._cleaned > _DAY:
            self._cleaned = now
            self._outbox.clean(now)

    def _send_to(self, channel: Channel, now: int) -> list[Letter]:
        """The letters to one channel that came to something; after one that failed for now the others wait too."""
        done: list[Letter] = []
        for letter in self._outbox.waiting(channel.name, now, LETTERS_A_TICK):
            at = self.context.clock()
            if at < self._resting.get(channel.name, 0) or at - now > TICK_BUDGET:
                break
            done.append(self._send(channel, letter, at))
        return done

    def _send(self, channel: Channel, letter: Letter, now: int) -> Letter:
        if letter.kind == "opened" and now - letter.since > HOUR:
            return letter.over("dropped", now)
        event = letter.event
        attempted = letter.attempted()
        try:
            receipt = channel.send(message_of(event, self._base_url))
        except ChannelError as error:
            return self._failed(attempted, event, error, now)
        except Exception as error:  # a channel's own fault must not keep the others from sending
            self.context.logger.exception("channel %s failed", channel.name)
            fault = ChannelError(channel.name, f"failed with {type(error).__name__}", permanent=False)
            return self._failed(attempted, event, fault, now)
        self._tell(NotificationSent, attempted, event, receipt=receipt)
        return attempted.over("sent", now)

    def _failed(self, letter: Letter, event: IncidentEvent, error: ChannelError, now: int) -> Letter:
        given_up = error.permanent or letter.attempts > len(WAITS)
        failure = Failure(type=type(error).__name__, message=error.problem)
        self._tell(NotificationFailed, letter, event, error=failure, permanent=given_up)
        if given_up:
            self.context.count("dropped")
            self.context.logger.warning("%s; the message is given up", error)
            return letter.over("failed", now)
        until = now + int(max(WAITS[letter.attempts - 1], error.retry_after) * 1e6)
        self._resting[letter.channel] = now + int(max(WAITS[0], error.retry_after) * 1e6)
        return letter.put_off(until, now)

    def _tell(
        self, kind: type[NotificationSent | NotificationFailed], letter: Letter, event: IncidentEvent, **facts: Any
    ) -> None:
        said = kind(
            run=event.run,
            flow=event.flow,
            environment=event.environment,
            incident=letter.incident,
            channel=letter.channel,
            kind=letter.kind,
            attempt=letter.attempts,
            key=event.id,
            **facts,
        )
        self.context.emit(said, cause=event, name=f"{letter.channel} {letter.attempts}")


def answer_to(event: IncidentEvent, channel: str, letters: Mapping[LetterKey, Letter], now: int) -> Letter | None:
    """What a channel is to be told, or no longer, because of `event`; None where nothing changes.

    Args:
        letters: all that were written about the event's incident.
    """
    opened = letters.get((event.incident, "opened", channel))
    if isinstance(event, IncidentOpened):
        fresh = now - (event.since or event.time) <= HOUR
        return letter_about(event, channel, now) if opened is None and fresh else None
    if opened is None:
        return None
    if opened.state == "waiting":
        return opened.over("dropped", now)
    told_already = (event.incident, "resolved", channel) in letters
    return letter_about(event, channel, now) if opened.state == "sent" and not told_already else None
