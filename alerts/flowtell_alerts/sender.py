"""The plugin `notifications`: tells the configured channels of incidents that open, go on and resolve.

An effect: only a server runs it. Events fill an outbox; `tick` empties it when all that the log says of incidents has
been read. A message goes in three steps, each in a call of its own: its letter is claimed (compare-and-set) and that is
committed; the channel's own thread sends it; what became of it is written, if the claim still holds. So nothing waits
for a channel but its own letters, and a server that dies leaves a claim behind, which the next one takes back: that one
message may go twice, under the same id.

What a channel could not take comes again, six attempts in about twenty minutes, and then is a dead letter.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from flowtell.events import ActionDone, ActionRequested, DeploymentDeclared, Event, Failure, encode
from flowtell.ids import derived_id
from flowtell.plugin import BasePlugin, Context
from flowtell_alerts import outbox, silences
from flowtell_alerts._answers import PATH, Answers
from flowtell_alerts._backoff import Chance
from flowtell_alerts._digests import Digests
from flowtell_alerts._dispatch import Dispatch
from flowtell_alerts._heartbeat import Heartbeat
from flowtell_alerts._quiet import Quiet
from flowtell_alerts._route import Offer
from flowtell_alerts._settings import settings_of
from flowtell_alerts._unread import Unread
from flowtell_alerts.asked import DROP, REPLAY, TEST
from flowtell_alerts.channels import Channel
from flowtell_alerts.letters import Letter, LetterKey, answer_to, change_to, change_topic
from flowtell_alerts.message import IncidentEvent, Pages
from flowtell_alerts.outbox import Outbox

REPEATED_A_TICK: Final = 1_000
UNMUTED_A_TICK: Final = 1_000

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_UNMUTE_EVERY: Final = 5 * _SECOND
_LOOK_EVERY: Final = 5 * _SECOND


def create(settings: Mapping[str, Any]) -> Sender:
    """The factory that the entry point names.

    Raises:
        ConfigError: an unknown key or a value that cannot be used, of the plugin's own table or of a `[channel.NAME]`.
    """
    checked = settings_of(settings)
    return Sender(checked.channels, checked.pages, heartbeat_url=checked.heartbeat_url)


class Sender(BasePlugin):
    """Sends what the outbox holds. What is in memory can be forgotten: the tables have it all."""

    wants = (
        "incident.opened",
        "incident.updated",
        "incident.acknowledged",
        "incident.resolved",
        "action.requested",
        "deployment.declared",
        *silences.WANTS,
    )
    effects = True
    tables = outbox.metadata
    tick_seconds = 0.2

    def __init__(
        self,
        channels: Sequence[Offer],
        pages: Pages | None = None,
        *,
        chance: Chance = random.random,
        heartbeat_url: str = "",
    ) -> None:
        self._heartbeat_url = heartbeat_url
        self._offers, self._pages, self._chance = channels, pages or Pages(), chance

    def open(self, context: Context) -> None:
        super().open(context)
        self._outbox = Outbox(context)
        self._digests = Digests(self._outbox)
        self._quiet = Quiet(context)
        self._dispatch = Dispatch(
            context, self._outbox, self._digests, self._quiet, self._offers, pages=self._pages, chance=self._chance
        )
        self._heartbeat = Heartbeat(self._heartbeat_url, context.logger)
        self._heard = Answers(context, lambda: {channel.name: channel for channel in self._channels})
        if any(channel.hears for channel in self._channels):
            context.mount(PATH, self._heard)
        self._unread = Unread(context, self.wants)
        self._unmute_at, self._unmuted = 0, ("", "")
        self._next = self._cleaned = 0
        self._dispatch.take_back(context.clock())

    def close(self, timeout: float) -> None:
        self._dispatch.close(timeout)
        self._heartbeat.close(0.1 * timeout)

    def wait(self, seconds: float) -> bool:
        """Wait until an attempt came back, or none is under way. False when that takes longer."""
        return self._dispatch.wait(seconds)

    @property
    def busy(self) -> bool:
        """Whether an attempt was claimed or begun and is not settled."""
        return self._dispatch.busy

    @property
    def _channels(self) -> list[Channel]:
        return [worker.channel for worker in self._dispatch.workers.values()]

    # --- filling the outbox ---------------------------------------------------------------------------------------

    def handle(self, events: Sequence[Event]) -> None:
        self._outbox.begin_call()
        now = self.context.clock()
        self._quiet.at(now)
        fresh = [event for event in events if self._unread.passed(event)]
        letters = self._outbox.of_topics({topic for event in fresh if (topic := _topic(event))})
        changed: dict[LetterKey, Letter] = {}
        for event in fresh:
            if isinstance(event, IncidentEvent):
                for new in self._answers(event, letters, now):
                    letters[new.key] = changed[new.key] = new
            elif isinstance(event, ActionRequested):
                self._act(event, now)
            elif isinstance(event, DeploymentDeclared):
                for new in self._changes(event, letters, now):
                    letters[new.key] = changed[new.key] = new
            elif self._quiet.take(event):
                self._unmute_at = now
        self._outbox.put(changed.values())
        self._next = now

    def _answers(self, event: IncidentEvent, letters: Mapping[LetterKey, Letter], now: int) -> list[Letter]:
        answers: list[Letter] = []
        for name, worker in self._dispatch.workers.items():
            letter = letters.get((event.incident, name))
            if letter is None and not worker.route.leads(event):
                continue
            why = self._quiet.why(event, told=letter is not None and bool(letter.told))
            new = answer_to(event, worker.channel, letter, now, why)
            if new is not None:
                answers.append(new)
                if new.digest:
                    self._digests.note(new)
        return answers

    def _changes(self, event: DeploymentDeclared, letters: Mapping[LetterKey, Letter], now: int) -> list[Letter]:
        topic = change_topic(event)
        found = [change_to(event, channel, letters.get((topic, channel.name)), now) for channel in self._channels]
        return [letter for letter in found if letter is not None]

    # --- emptying it ----------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        self._outbox.begin_call()
        self._quiet.at(now)
        self._heard.committed()
        self._heard.emit(now)
        if self._dispatch.collect(now):
            self._next = now
        if self.context.live:
            self._dispatch.send_claimed(now)
            if self._next <= now and not self._unread.read():
                self._plan(now)
        if now - self._cleaned > _DAY:
            self._cleaned = now
            self._outbox.clean(now)
            self._quiet.forget(now)
        self._dispatch.end_call()
        if self.context.live and self._heartbeat_url:
            self._heartbeat.beat(now, self.context.plugins, self._dispatch.hung)

    def _plan(self, now: int) -> None:
        channels = {channel.name: channel for channel in self._channels}
        self._unmute(now)
        self._repeat(channels, now)
        self._digests.refresh(channels, now)
        gathering = {name for name, channel in channels.items() if self._digests.gather(channel, now)}
        self._dispatch.claim(now, leave=gathering)
        self._next = self._look_again(now)

    def _look_again(self, now: int) -> int:
        """Soon where something was written, which the reads of this call have not seen, or where a channel is not free."""
        soon = now + int(self.tick_seconds * _SECOND)
        if self._outbox.was_written:
            return soon
        moment = self._outbox.next_moment()
        return min(now + _LOOK_EVERY, max(soon, moment) if moment is not None else now + _LOOK_EVERY)

    def _repeat(self, channels: Mapping[str, Channel], now: int) -> None:
        for letter in self._outbox.to_repeat(now, REPEATED_A_TICK):
            again = derived_id(now, letter.topic, letter.channel, "repeat", str(letter.repeat_at))
            due = letter.waits(now, "repeat", again) if letter.channel in channels else letter
            self._outbox.put([replace(due, repeat_at=0)])

    def _unmute(self, now: int) -> None:
        """Who was not told because of a silence or the like is told when that ends."""
        if now < self._unmute_at:
            return
        held = self._outbox.in_state("muted", UNMUTED_A_TICK, self._unmuted)
        self._unmuted = held[-1].key if len(held) == UNMUTED_A_TICK else ("", "")
        self._unmute_at = now if self._unmuted[0] else now + _UNMUTE_EVERY
        self._outbox.put(letter.waits(now) for letter in held if not self._quiet.why(letter.event))

    # --- what commands ask for ------------------------------------------------------------------------------------

    def _act(self, asked: ActionRequested, now: int) -> None:
        """Do it and say so; what others are asked for is left to them."""
        outcome = ""
        if asked.action == TEST:
            outcome = self._test(asked, now)
        elif asked.action in (REPLAY, DROP):
            outcome = self._revive(asked, now)
        if outcome:
            problem = Failure(type="NotFound", message=outcome) if outcome.startswith("no ") else None
            done = ActionDone(
                action=asked.action, target=asked.target, actor=asked.actor, error=problem,
                outcome="failed" if problem else outcome,
            )  # fmt: skip
            self.context.emit(done, cause=asked)

    def _test(self, asked: ActionRequested, now: int) -> str:
        known = [channel.name for channel in self._channels]
        if asked.target not in known:
            return f"no channel '{asked.target}' here; there are {', '.join(known) or 'none'}"
        letter = Letter(
            topic=asked.id, channel=asked.target, about="test", state="waiting", kind="test", message=asked.id,
            line=encode(asked), since=now, queued=now, next_attempt=now, changed=now, environment=self.context.environment,
        )  # fmt: skip
        self._outbox.put([letter])
        return "queued"

    def _revive(self, asked: ActionRequested, now: int) -> str:
        topic, _, channel = asked.target.partition(" ")
        dead = self._outbox.in_state("dead", 100_000)
        wanted = [each for each in dead if asked.target == "all" or each.key == (topic, channel)]
        if not wanted:
            return "no such dead letter"
        again = asked.action == REPLAY
        self._outbox.put(each.waits(now) if again else each.over(now) for each in wanted)
        return f"{'replayed' if again else 'dropped'} {len(wanted)}"


def _topic(event: Event) -> str:
    """What letters about the event are kept under."""
    if isinstance(event, IncidentEvent):
        return event.incident
    return change_topic(event) if isinstance(event, DeploymentDeclared) else ""
