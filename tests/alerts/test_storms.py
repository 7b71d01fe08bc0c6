"""Storms: many incidents at once are a few messages, and none is lost."""

from __future__ import annotations

import pytest
from tests.alerts.test_sender import Heard, sender_to, transient

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.rules import failed
from flowtell_alerts import _digests, outbox
from flowtell_alerts.channels import FOLLOWED, Rate
from flowtell_alerts.letters import Letter

SECOND = 1_000_000


class Timed(Heard):
    """Knows when each message came."""

    def __init__(self, clock, name="timed") -> None:
        super().__init__(name)
        self.clock, self.moments = clock, []

    def send(self, message):
        receipt = super().send(message)
        self.moments.append(self.clock())
        return receipt


def in_place(clock, name="chat"):
    channel = Timed(clock, name)
    channel.tells, channel.in_place = FOLLOWED, True
    return channel


def fail(world, number, state="failed", *, of=None, declared=True):
    """`number` flows end in one moment."""
    now = world.clock()
    flows = [f"flow{each:05}" for each in range(number)] if of is None else of
    made = [
        kind(
            id=derived_id(now, flow, kind.type, state),
            time=now,
            flow=flow,
            run=f"{flow}-{now}",
            environment="test",
            **fields,
        )
        for flow in flows
        for kind, fields in ((e.FlowDeclared, {"rules": (failed(),)}), (e.FlowRunFinished, {"state": state}))
        if declared or kind is e.FlowRunFinished
    ]
    world.harness.append(made)


def letters(world) -> list[Letter]:
    return [outbox.letter_of(row) for row in world.harness.read(outbox.letters.select())]


def settle(world, seconds=60, step=1.0):
    for _ in range(int(seconds / step)):
        world.passes(step)


def test_five_openings_are_told_one_by_one(world):
    """A message a second."""
    heard = Timed(world.clock)
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 5)
    settle(world, 10)
    assert heard.kinds == ["opened"] * 5
    assert all(after - before >= SECOND for before, after in zip(heard.moments, heard.moments[1:], strict=False))
    assert not any(message.digest for message in heard.messages)


def test_more_are_one_digest(world):
    """With exact counts, the first ten named, one key from its begin to its end."""
    heard = in_place(world.clock)
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 50)
    settle(world)
    (opened,) = heard.messages
    assert (opened.kind, opened.digest.incidents, opened.digest.open, opened.digest.subjects) == ("opened", 50, 50, 50)
    assert [each.name for each in opened.digest.guilty] == [f"flow{each:05}" for each in range(10)]
    assert opened.incident.reason == (
        "50 incidents of rule 'failed', 50 open: "
        "flow00000 (1), flow00001 (1), flow00002 (1), flow00003 (1), flow00004 (1) and 45 more"
    )
    fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(20)], declared=False)
    settle(world)
    fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(50)], declared=False)
    settle(world)
    assert heard.kinds == ["opened", "updated", "resolved"]
    assert [message.digest.open for message in heard.messages] == [50, 30, 0]
    assert len({message.incident.id for message in heard.messages}) == 1
    assert {letter.state for letter in letters(world)} == {"over"}


def test_openings_that_come_with_the_digests_outcome(world):
    """One call writes what became of the digest's message and takes in more: neither undoes the other."""
    heard = in_place(world.clock)
    runner = world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 20)
    world.harness.deliver()
    world.harness.tick(1)
    while runner.step():
        pass
    runner.live = True
    for _ in range(3):  # it joins, is claimed, is sent: taken, and not noted
        world.clock.advance(0.3)
        runner.tick()
        runner.plugin.wait(5)
    assert heard.messages
    fail(world, 0, of=["joins"])
    world.harness.deliver()
    world.harness.tick(1)
    while runner.step():
        pass
    runner.tick()
    assert next(letter for letter in letters(world) if letter.about == "digest").told == "opened"
    settle(world, 40)
    assert heard.kinds == ["opened", "updated"]
    assert heard.messages[-1].digest.incidents == 21


def test_who_opens_while_the_end_waits_is_told_apart(world):
    """A digest that is over takes nobody in, and none is told as resolved."""
    heard = in_place(world.clock)
    heard.failures = []
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 20)
    settle(world, 30)
    heard.failures = [transient()]
    fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(20)], declared=False)
    settle(world, 2)
    fail(world, 0, of=["new"])
    settle(world, 30)
    assert sorted(heard.kinds) == ["opened", "opened", "resolved"]
    assert [message.incident.subject.name for message in heard.messages if message.digest is None] == ["new"]


def test_more_than_one_call_takes_in_are_one_digest(world, monkeypatch):
    """None of them is told by itself while the others are gathered."""
    monkeypatch.setattr(_digests, "JOINED_A_TICK", 10)
    heard = in_place(world.clock)
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 45)
    settle(world)
    assert all(message.digest for message in heard.messages)
    assert heard.messages[-1].digest.incidents == 45


def test_what_opens_while_the_storm_lasts_joins_and_what_opens_later_does_not(world):
    """Five minutes without a new incident end the storm for those who are told by themselves."""
    heard = in_place(world.clock)
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 20)
    settle(world, 30)
    fail(world, 0, of=["joins"])
    settle(world, 30)
    assert heard.kinds == ["opened", "updated"]
    assert heard.messages[-1].digest.incidents == 21
    settle(world, _digests.JOIN / SECOND + 1, 10.0)
    fail(world, 0, of=["later"])
    settle(world, 10)
    assert heard.kinds == ["opened", "updated", "opened"]
    assert heard.messages[-1].incident.subject.name == "later"


def test_what_was_tried_once_joins_no_digest(world):
    """It may have arrived under its own key, which only its own end can close."""
    heard = in_place(world.clock)
    heard.failures = [transient()]
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 0, of=["tried"])
    world.passes()
    fail(world, 20)
    settle(world, 30)
    by_itself, digest = sorted(heard.messages, key=lambda message: message.digest is not None)[:2]
    assert by_itself.incident.subject.name == "tried"
    assert digest.digest.incidents == 20


def test_an_announcer_is_not_told_of_each_step(world):
    """Where each update is one more message there is one when it grows, at most every five minutes."""
    heard = Timed(world.clock)
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 20)
    settle(world, 20)
    fail(world, 0, of=["joins"])
    settle(world, 200, 10.0)
    assert heard.kinds == ["opened"]
    settle(world, 120, 10.0)
    assert heard.kinds == ["opened", "updated"]
    fail(world, 0, "completed", of=["joins"], declared=False)
    settle(world, 600, 10.0)
    assert heard.kinds == ["opened", "updated"]


def test_a_digest_that_could_not_be_told_in_time_says_nothing(world):
    """All of its incidents were over when the channel came back."""
    heard = Timed(world.clock)
    heard.failures = [transient() for _ in range(2)]
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 20)
    settle(world, 3)
    fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(20)], declared=False)
    settle(world, 60)
    assert heard.messages == []
    assert {letter.state for letter in letters(world)} == {"over"}


def test_who_joins_while_the_end_is_told_is_told_too(world):
    """The digest opens anew under its key: nobody's incident is lost between two calls."""
    heard = in_place(world.clock)
    runner = world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 20)
    settle(world, 30)
    sends = heard.send

    def meanwhile(message):
        if message.kind == "resolved" and message.digest is not None:
            rows = [letter for letter in letters(world) if letter.about == "incident"]
            with world.harness.store.write() as transaction:  # as a call in between would have committed
                late = outbox.letters.update().where(outbox.letters.c.topic == rows[0].topic).values(state="joined")
                transaction.connection.execute(late)
        return sends(message)

    heard.send = meanwhile
    fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(20)], declared=False)
    settle(world, 30)
    assert heard.kinds == ["opened", "resolved", "opened"]
    assert heard.messages[-1].digest.open == 1
    assert len({message.incident.id for message in heard.messages}) == 1
    assert len({message.id for message in heard.messages}) == 3
    assert runner.counters.get("dropped", 0) == 0


def test_a_restart_in_a_storm_loses_nothing(make_world, tmp_path):
    """Every plugin made anew after every second."""
    world = make_world(tmp_path / "w")
    heard = in_place(world.clock)
    fail(world, 300)
    world.harness.deliver()
    for second in range(60):
        if second == 20:
            fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(300)], declared=False)
        world.restarts()
        world.others.clear()
        world.adds("notifications", lambda _: sender_to(heard))
        world.passes()
    last = heard.messages[-1]
    assert (last.kind, last.digest.incidents) == ("resolved", 300)
    assert {letter.state for letter in letters(world)} == {"over"}


def test_a_cap_makes_a_digest_of_what_is_beyond_it(world):
    """Ten messages in an hour; the others come together when there is room again."""
    heard = Timed(world.clock)
    heard.hourly = 10
    world.adds("notifications", lambda _: sender_to(heard))
    for number in range(30):
        fail(world, 0, of=[f"f{number}"])
        settle(world, 5)
    assert len(heard.messages) == 10
    settle(world, 400, 10.0)
    assert len(heard.messages) == 11
    assert heard.messages[-1].digest.incidents == 20


def test_channels_that_share_a_key_share_its_rate(world):
    """Two of PagerDuty with one routing key: 120 a minute together."""
    shared = Rate("a key", 10.0)
    channels = [Timed(world.clock, name) for name in ("one", "two")]
    for channel in channels:
        type(channel).rates = property(lambda _: (shared,))
    try:
        world.adds("notifications", lambda _: sender_to(*channels))
        fail(world, 1)
        world.passes()
        assert sum(len(channel.messages) for channel in channels) == 1
        settle(world, 11)
        assert [len(channel.messages) for channel in channels] == [1, 1]
    finally:
        del Timed.rates


def test_a_channel_that_takes_many_gets_each_incident(world):
    """No digest: it groups by itself."""
    heard = Timed(world.clock)
    heard.batch = 100
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 250)
    settle(world, 10)
    assert len({message.incident.id for message in heard.messages}) == 250
    assert not any(message.digest for message in heard.messages)


def test_one_at_fault_among_many_is_found(world):
    """The others arrive; the one that is refused is a dead letter."""
    heard = Timed(world.clock)
    heard.batch = 100

    def send_all(messages):
        if any(message.incident.subject.name == "flow00042" for message in messages):
            raise type(transient())("timed", "answered 400", permanent=True)
        return [heard.send(message) for message in messages]

    heard.send_all = send_all
    world.adds("notifications", lambda _: sender_to(heard))
    fail(world, 80)
    settle(world, 40)
    assert len(heard.messages) == 79
    assert [letter.subject for letter in letters(world) if letter.state == "dead"] == ["flow00042"]


@pytest.mark.slow
def test_ten_thousand_flows_fail_at_once(world):
    """At most twenty messages a channel, a second apart, none lost: every incident is told, at the latest in seconds."""
    chat, mail = in_place(world.clock), Timed(world.clock, "mail")
    world.adds("notifications", lambda _: sender_to(chat, mail))
    began = world.clock()
    fail(world, 10_000)
    settle(world, 60)
    fail(world, 0, "completed", of=[f"flow{each:05}" for each in range(10_000)], declared=False)
    settle(world, 60)
    settle(world, 600, 30.0)
    for channel in (chat, mail):
        assert len(channel.messages) <= 20
        gaps = [after - before for before, after in zip(channel.moments, channel.moments[1:], strict=False)]
        assert min(gaps) >= SECOND
        told = channel.messages[-1]
        assert (told.kind, told.digest.incidents, told.digest.open) == ("resolved", 10_000, 0)
    first_whole = next(place for place, each in enumerate(chat.messages) if each.digest.incidents == 10_000)
    worst = (chat.moments[first_whole] - began) / 1e6
    print(f"10,000 at once: {len(chat.messages)} messages in place, {len(mail.messages)} elsewhere, worst {worst:.1f} s")
    assert worst <= 30
    assert {letter.state for letter in letters(world)} == {"over"}
