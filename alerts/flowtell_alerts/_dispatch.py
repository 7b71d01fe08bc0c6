"""From a letter to a message and back: claimed, sent by the channel's own thread, settled."""

from __future__ import annotations

import queue
import time
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from flowtell.events import (
    ActionRequested,
    DeploymentDeclared,
    Event,
    Failure,
    NotificationFailed,
    NotificationSent,
    Receipt,
)
from flowtell.ids import derived_id, new_id
from flowtell.plugin import Context
from flowtell_alerts._backoff import Chance, rest_after, wait_after
from flowtell_alerts._digests import Digests, told
from flowtell_alerts._paces import Paces
from flowtell_alerts._quiet import Quiet
from flowtell_alerts._reasons import reasons
from flowtell_alerts._route import Offer
from flowtell_alerts._worker import Attempt, Outcome, Worker
from flowtell_alerts.channels import Channel
from flowtell_alerts.letters import HOUR, Letter, LetterKey, given_up, next_time, put_off, sent
from flowtell_alerts.message import (
    IncidentEvent,
    Message,
    Pages,
    digest_message,
    message_of,
    message_of_change,
    message_of_test,
)
from flowtell_alerts.outbox import Outbox

TEST_LASTS: Final = 300_000_000
"""µs after which nobody waits for a test any more."""

_SECOND: Final = 1_000_000


class Dispatch:
    """Belongs to the sender's thread.

    A claim is written in one call, its letters are sent in a later one, when it is committed, and what became of them is
    written where the claim still holds. So of two senders on one store each letter goes by one, and a claim that nobody
    comes back to is taken back by `take_back`.
    """

    def __init__(
        self, context: Context, outbox: Outbox, digests: Digests, quiet: Quiet, offers: Iterable[Offer], *,
        pages: Pages, chance: Chance,
    ) -> None:  # fmt: skip
        self._context, self._outbox, self._digests, self._quiet = context, outbox, digests, quiet
        self._pages, self._chance = pages, chance
        self._results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        workers = [Worker(offer, self._results, context.logger) for offer in offers]
        self.workers = {worker.name: worker for worker in workers}
        self._paces = Paces(outbox.paces())
        self._claims: dict[str, str] = {}
        """By channel, the claim that was written in an earlier call and is to be sent."""
        self._versions: dict[str, dict[LetterKey, str]] = {}
        """By claim, which `message` each of its letters had when it was sent."""
        self._parts: dict[str, int] = {}
        """By channel, how many letters go at once after some together were refused: one of them is at fault."""

    @property
    def busy(self) -> bool:
        """Whether an attempt was claimed or begun and not settled yet."""
        return bool(self._claims) or not self._results.empty() or any(worker.busy for worker in self.workers.values())

    @property
    def hung(self) -> list[str]:
        """Channels of which so many calls never came back that they get no more."""
        return [name for name, worker in self.workers.items() if worker.stuck]

    def wait(self, seconds: float) -> bool:
        """Wait until something came back, or nothing is under way. False when that takes longer."""
        until = time.monotonic() + seconds
        while any(worker.busy for worker in self.workers.values()) and self._results.empty():
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def close(self, timeout: float) -> None:
        """An attempt under way gets what time there is. Its outcome is lost: the next sender makes it again."""
        until = time.monotonic() + 0.8 * timeout
        for worker in self.workers.values():
            worker.close(until - time.monotonic())

    def end_call(self) -> None:
        """Write down what the call has used up of the channels' patience."""
        self._outbox.put_paces(self._paces.changed())

    def take_back(self, now: int) -> None:
        """What a server that is gone, or a plugin that was given up, has left: the letters of its claims wait again.

        Where its clock was ahead of this one's, what it put off, or wrote just now, would wait as long.
        """
        ahead = self._outbox.ahead(now)
        if ahead:
            self._outbox.set_back(ahead)
            self._paces.set_back(ahead)
        left = [each.set_back(ahead) for each in self._outbox.in_state("sending", 100_000)]
        self._outbox.put(replace(each, state="waiting", claim="", next_attempt=now, changed=now) for each in left)

    # --- claimed --------------------------------------------------------------------------------------------------

    def claim(self, now: int, *, leave: Container[str] = ()) -> None:
        """For every channel that is free, but those to leave, the letters that go next."""
        for worker in self.workers.values():
            channel = worker.channel
            if channel.name not in leave and not (
                worker.busy or worker.stuck or channel.name in self._claims or self._paces.free_at(channel) > now
            ):
                self._claim(channel, now)

    def _claim(self, channel: Channel, now: int) -> None:
        limit = self._parts.get(channel.name, channel.batch)
        waiting = self._outbox.waiting(channel.name, now, limit)
        letters = [letter for letter in waiting if self._may_go(letter, channel, now)]
        if letters:
            claim = self._claims[channel.name] = new_id()
            self._outbox.claim(letters, claim, now)
            self._paces.take(channel, now)

    def _may_go(self, letter: Letter, channel: Channel, now: int) -> bool:
        """What is muted now, or too old to be news, is taken out of the way."""
        changed = self._taken_out(letter, channel, now)
        if changed is not None:
            self._outbox.put([changed])
        return changed is None

    def _taken_out(self, letter: Letter, channel: Channel, now: int) -> Letter | None:
        if letter.about == "test":
            return letter.over(now) if now - letter.queued > TEST_LASTS else None
        if letter.about == "digest":
            return None
        if letter.about == "change":
            return replace(letter, state="told", changed=now) if now - letter.queued > HOUR else None
        if not letter.told and now - letter.queued > HOUR:
            return given_up(letter, "it waited for more than an hour", now)
        refreshes = letter.kind == "repeat" and channel.refresh_seconds > 0
        if refreshes or letter.says in ("acknowledged", "resolved"):
            return None
        why = self._quiet.why(_incident(letter), told=bool(letter.told))
        if not why:
            return None
        if letter.told:
            return replace(letter, state="told", repeat_at=next_time(letter, channel, now), changed=now)
        return replace(letter, state="muted", problem=why, changed=now)

    # --- sent -----------------------------------------------------------------------------------------------------

    def send_claimed(self, now: int) -> None:
        """Send what was claimed in an earlier call: that call is committed, or this plugin would be no more."""
        claims, self._claims = self._claims, {}
        for name, claim in claims.items():
            letters = [letter for letter in self._outbox.claimed(claim) if not self._came_to_nothing(letter, now)]
            if letters:
                self._versions[claim] = {letter.key: letter.message for letter in letters}
                self.workers[name].begin(Attempt(claim, tuple(map(self._message, letters))))

    def _came_to_nothing(self, letter: Letter, now: int) -> bool:
        """Whether all that a digest would have told of has ended before anybody was told."""
        over = letter.about == "digest" and not letter.told and not self._outbox.digest_counts(letter.topic)[1]
        if over:
            self._outbox.settle(letter.over(now), letter.claim)
        return over

    def _message(self, letter: Letter) -> Message:
        if letter.about == "digest":
            kind, shown, counted = self._digests.content(letter)
            return digest_message(letter.message_id, kind, shown, counted, pages=self._pages, before=letter.before)
        event = letter.event
        if isinstance(event, ActionRequested):
            return message_of_test(letter.topic, letter.channel, event.actor, letter.queued, self._pages)
        if isinstance(event, DeploymentDeclared):
            return message_of_change(letter.topic, letter.message, event, letter.version_before, pages=self._pages)
        incident = _incident(letter)
        is_news = letter.says in ("opened", "updated", "repeat")
        why = reasons(self._context.read, incident, self._context.clock()) if is_news else ()
        return message_of(
            incident, self._pages, id=letter.message_id, kind=letter.says, acknowledged_by=letter.acknowledged_by, why=why,
            before=letter.before,
        )  # fmt: skip

    # --- settled --------------------------------------------------------------------------------------------------

    def collect(self, now: int) -> bool:
        """Write what became of the attempts that are back. Whether any was."""
        outcomes = [late for worker in self.workers.values() if (late := worker.overdue())]
        while not self._results.empty():
            outcome = self._results.get()
            if self.workers[outcome.channel].finished(outcome):
                outcomes.append(outcome)
        for outcome in outcomes:
            self._settle(outcome, now)
        return bool(outcomes)

    def _settle(self, outcome: Outcome, now: int) -> None:
        attempt, channel = outcome.attempt, self.workers[outcome.channel].channel
        letters = {letter.topic: letter for letter in self._outbox.claimed(attempt.claim)}
        self._learn(outcome, channel, now)
        for place, message in enumerate(attempt.messages):
            letter = letters.get(message.incident.id)
            if letter is None:
                continue  # somebody else has taken the claim
            if outcome.error is None:
                self._sent(letter, message, outcome.receipts[place], channel, now)
            else:
                self._failed(letter, message, outcome, now)
            if letter.about == "digest":
                self._digests.note(replace(letter, digest=letter.topic))
        del self._versions[attempt.claim]

    def _learn(self, outcome: Outcome, channel: Channel, now: int) -> None:
        """What the outcome means for the channel's next attempts."""
        error, size = outcome.error, len(outcome.attempt.messages)
        if error is None:
            self._parts[channel.name] = min(channel.batch, 2 * size)
        elif error.permanent:
            self._parts[channel.name] = max(1, size // 2)
        else:
            self._paces.rest(channel.name, now + int(rest_after(error.retry_after, self._chance) * _SECOND))

    def _sent(self, letter: Letter, message: Message, receipt: Receipt, channel: Channel, now: int) -> None:
        version = self._versions[letter.claim][letter.key]
        settled = sent(letter, message.kind, receipt, channel, now, version=version)
        if message.digest is not None:
            settled = told(settled, message.digest)
            if settled.state == "over" and self._outbox.digest_counts(letter.topic)[1]:
                again = derived_id(now, letter.topic, letter.channel, "again")  # somebody joined while its end was told
                settled = replace(settled.waits(now, "opened", again), told="", first=again)
        self._outbox.settle(settled, letter.claim)
        if message.kind != "repeat" or not channel.refresh_seconds:
            self._tell(NotificationSent, letter, message, {"receipt": receipt})

    def _failed(self, letter: Letter, message: Message, outcome: Outcome, now: int) -> None:
        error = outcome.error
        assert error is not None
        if error.permanent and len(outcome.attempt.messages) > 1:  # perhaps another one is at fault: fewer go at once
            self._outbox.settle(replace(letter, state="waiting", claim="", attempts=letter.attempts - 1), letter.claim)
            return
        once = error.permanent or letter.about == "test"
        wait = None if once else wait_after(letter.attempts, error.retry_after, self._chance)
        if wait is None:
            settled = given_up(letter, error.problem, now)
            self._context.count("dropped")
            self._context.logger.warning("%s; the message is given up, see 'flowtell alerts dead'", error)
        else:
            settled = put_off(letter, now + int(wait * _SECOND), error.problem, now)
        self._outbox.settle(settled, letter.claim)
        failure = Failure(type=type(error).__name__, message=error.problem)
        self._tell(NotificationFailed, letter, message, {"error": failure, "permanent": wait is None})

    def _tell(
        self, type: type[NotificationSent | NotificationFailed], letter: Letter, message: Message, facts: Mapping[str, Any]
    ) -> None:
        event: Event | None = letter.event if letter.line and letter.about != "digest" else None
        said = type(
            run=event.run if event else "",
            flow=event.flow if event else "",
            environment=letter.environment,
            incident=letter.topic if letter.about == "incident" else "",
            channel=letter.channel,
            kind=f"digest.{message.kind}" if message.digest else message.kind,
            attempt=letter.attempts,
            key=message.id,
            **facts,
        )
        self._context.emit(said, cause=event or letter.topic, name=f"{letter.channel} {letter.claim}")


def _incident(letter: Letter) -> IncidentEvent:
    event = letter.event
    assert isinstance(event, IncidentEvent)
    return event


__all__ = ["TEST_LASTS", "Dispatch"]
