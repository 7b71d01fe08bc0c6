"""A letter's claim: by compare-and-set, taken back from whoever died with it."""

from __future__ import annotations

import threading
import time

import pytest
from tests.alerts.test_sender import Heard, sender_to

from flowtell import events as e
from flowtell.rules import failed
from flowtell_alerts import outbox
from flowtell_alerts._worker import GRACE
from flowtell_alerts.channels import FOLLOWED


class Held(Heard):
    """A channel whose calls come back when they are let go."""

    def __init__(self, name: str = "held") -> None:
        super().__init__(name)
        self.let_go = threading.Event()
        self.begun = threading.Event()

    def send(self, message):
        self.begun.set()
        assert self.let_go.wait(20)
        return super().send(message)


@pytest.fixture
def held():
    made = Held()
    yield made
    made.let_go.set()


def tick_until(runner, condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        runner.step()
        runner.live = True
        runner.tick()
        time.sleep(0.005)


def opened(world):
    world.declares(failed())
    world.ends("a", "failed")
    world.harness.deliver()
    world.harness.tick(1.0)


def states(world):
    return [row.state for row in world.harness.read(outbox.letters.select())]


def test_nothing_is_sent_before_its_claim_is_in_the_store(world, held):
    """While it is on its way the letter says so, whoever asks."""
    runner = world.adds("notifications", lambda _: sender_to(held))
    opened(world)
    tick_until(runner, held.begun.is_set)
    (row,) = world.harness.read(outbox.letters.select())
    assert (row.state, row.attempts) == ("sending", 1)
    assert row.claim
    held.let_go.set()
    tick_until(runner, lambda: states(world) == ["told"])


def test_a_claim_of_a_dead_server_is_taken_back(world, held):
    """The message goes again, under the same id, and is noted once: what the first one would write finds no claim."""
    first = world.adds("notifications", lambda _: sender_to(held))
    opened(world)
    tick_until(first, held.begun.is_set)
    heard = Heard("held")
    second = world.adds("notifications", lambda _: sender_to(heard))
    world.clock.advance(1)  # a message a second: the new server knows when the last one went
    tick_until(second, lambda: heard.messages)
    tick_until(second, lambda: states(world) == ["told"])
    held.let_go.set()
    tick_until(first, lambda: not first.plugin.busy)
    assert [message.id for message in held.messages] == [message.id for message in heard.messages]
    assert len(world.events("notification.sent")) == 1
    assert states(world) == ["told"]


def stale_call(runner, world):
    """What a tick wants written, not committed yet."""
    runner._opened.pending = type(runner._opened.pending)(runner.name)
    runner.plugin.tick(world.clock())
    return runner._opened.pending


def test_of_two_claims_one_is_got(world):
    """Two senders that saw the same letter waiting: the store decides, also where the later claim is committed last."""
    first, second = Heard(), Heard()
    runners = [world.adds("notifications", lambda _, each=each: sender_to(each)) for each in (first, second)]
    opened(world)
    for runner in runners:
        while runner.step():
            pass
        runner.live = True
    claims = [stale_call(runner, world) for runner in runners]  # both read before either commits
    runners[0]._commit(claims[0], runners[0].cursor)
    world.turn(runners[0])
    runners[1]._commit(claims[1], runners[1].cursor)
    world.turn(runners[1])
    assert (len(first.messages), len(second.messages)) == (1, 0)
    assert states(world) == ["told"]


def test_an_outcome_is_written_only_while_its_claim_holds(world, held):
    """Somebody took the claim between the outcome and its commit: the letter is his."""
    runner = world.adds("notifications", lambda _: sender_to(held))
    opened(world)
    tick_until(runner, held.begun.is_set)
    held.let_go.set()
    assert runner.plugin.wait(10)
    late = stale_call(runner, world)
    with world.harness.store.write() as transaction:
        transaction.connection.execute(outbox.letters.update().values(claim="of somebody else"))
    runner._commit(late, runner.cursor)
    (row,) = world.harness.read(outbox.letters.select())
    assert (row.state, row.claim) == ("sending", "of somebody else")


def test_a_call_that_never_comes_back_is_given_up(world, held, monkeypatch):
    """Its letter is tried again by a channel that is made anew; what the lost call brings at last changes nothing."""
    monkeypatch.setattr("flowtell_alerts._worker.GRACE", 0.2)
    assert GRACE > 0.2
    held.bound_seconds = 0.1
    runner = world.adds("notifications", lambda _: sender_to(held))
    opened(world)
    tick_until(runner, lambda: world.events("notification.failed"))
    (failure,) = world.events("notification.failed")
    assert failure.error.message == "did not return in its time"
    held.let_go.set()
    world.clock.advance(10)
    tick_until(runner, lambda: states(world) == ["told"])
    assert [event.attempt for event in world.events("notification.sent")] == [2]


def test_close_keeps_to_its_time_while_a_channel_hangs(world, held):
    """The attempt gets most of the time there is, and no more."""
    runner = world.adds("notifications", lambda _: sender_to(held))
    opened(world)
    tick_until(runner, held.begun.is_set)
    began = time.monotonic()
    runner.plugin.close(0.5)
    assert time.monotonic() - began < 1.0


def test_a_silence_holds_a_message_back_and_its_end_lets_it_go(world):
    """Nobody is told while it holds, and everybody of what is still open when it ends."""
    heard = Heard()
    world.adds("notifications", lambda _: sender_to(heard))
    world.declares(failed())
    until = world.clock() + 600_000_000
    silence = {"silence": "5" * 32, "matchers": {"flow": "nightly"}, "until": until, "actor": "ada", "reason": "works"}
    world.appends(e.SilenceCreated, **silence)
    world.ends("a", "failed")
    for _ in range(50):
        world.passes(10)
    assert heard.kinds == []
    assert states(world) == ["muted"]
    for _ in range(20):
        world.passes(10)
    assert heard.kinds == ["opened"]


def test_a_silence_holds_back_reminders_and_updates_and_no_end(world):
    """Of what was told before it began; afterwards reminders go on."""
    heard = Heard()
    heard.tells, heard.in_place, heard.repeat_seconds = FOLLOWED, True, 120.0
    world.adds("notifications", lambda _: sender_to(heard))
    opened(world)
    world.passes()
    until = world.clock() + 600_000_000
    silence = {"silence": "5" * 32, "matchers": {"flow": "nightly"}, "until": until, "actor": "ada", "reason": "works"}
    world.appends(e.SilenceCreated, **silence)
    world.ends("b", "failed")
    for _ in range(50):
        world.passes(10)
    assert heard.kinds == ["opened"]
    for _ in range(30):
        world.passes(10)
    assert heard.kinds == ["opened", "repeat", "repeat"]
    world.appends(e.SilenceCreated, **{**silence, "silence": "6" * 32, "until": world.clock() + 600_000_000})
    world.passes()
    world.ends("c")
    for _ in range(3):
        world.passes()
    assert heard.kinds[-1] == "resolved"


def test_a_message_that_waited_for_hours_is_a_dead_letter(world):
    """It is no news any more; it is listed and can be sent all the same."""
    heard = Heard()
    world.adds("notifications", lambda _: sender_to(heard))
    opened(world)
    world.others[0].step()
    world.clock.advance(7200)
    world.passes()
    assert heard.kinds == []
    assert states(world) == ["dead"]
    world.appends(e.ActionRequested, action="notifications.replay", target="all", actor="ada")
    world.passes()
    world.passes()
    assert heard.kinds == ["opened"]
    assert [event.outcome for event in world.events("action.done")] == ["replayed 1"]
