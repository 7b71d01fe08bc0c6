"""Who lives, by simulated time: streams, requests, farewells, agents, and a server that itself stood still."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from flowtell.server.presence import LEAVE_SECONDS, Presence, Sign

WRITER, OTHER, AGENT = "a" * 32, "b" * 32, "c" * 32
HEARTBEAT, AGENT_GRACE = 10.0, 60.0


class Time:
    """A monotonic clock and a wall clock a million seconds apart; `pass_` ticks as the server does."""

    def __init__(self):
        self.now = 1000.0
        self.presence = self.server()

    def server(self):
        return Presence(HEARTBEAT, AGENT_GRACE, lambda: int((self.now + 1e6) * 1e6), lambda: self.now)

    def pass_(self, seconds):
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 0.25, until)
            self.presence.tick()

    def verdict(self, writer=WRITER):
        return self.presence.verdict(writer)


@pytest.fixture
def time():
    return Time()


def test_an_open_stream_is_life_however_long_nothing_is_said(time):
    """A parent that sleeps, computes or waits says nothing for hours."""
    time.presence.heard(WRITER, WRITER)
    with time.presence.stream(WRITER):
        time.pass_(5_000)
        assert time.verdict() == "lives"
    assert time.verdict() == "lives"
    time.pass_(1.4 * HEARTBEAT)
    assert time.verdict() == "lives"
    time.pass_(0.2 * HEARTBEAT)
    assert time.verdict() == "lost"


def test_a_reconnect_or_a_request_within_the_grace_clears_it(time):
    time.presence.heard(WRITER, WRITER)
    for again in (lambda: time.presence.heard(WRITER, WRITER), lambda: time.presence.stream(WRITER).__enter__()):
        with time.presence.stream(WRITER):
            time.pass_(60)
        time.pass_(14)
        again()
        time.pass_(14)
        assert time.verdict() == "lives"


def test_two_streams_of_one_shipper_are_one_life(time):
    """A new one may be open before the old one's end was noticed."""
    time.presence.heard(WRITER, WRITER)
    with ExitStack() as first, time.presence.stream(WRITER):
        first.enter_context(time.presence.stream(WRITER))
        first.close()
        time.pass_(100)
        assert time.verdict() == "lives"


def test_requests_alone_are_life_too(time):
    """Where a proxy holds no stream open."""
    for _ in range(50):
        time.presence.heard(WRITER, WRITER)
        time.pass_(HEARTBEAT)
        assert time.verdict() == "lives"
    time.pass_(HEARTBEAT)
    assert time.verdict() == "lost"


def test_farewell_is_an_end_at_once_and_a_later_request_a_return(time):
    with time.presence.stream(WRITER):
        time.presence.heard(WRITER, WRITER, farewell=True)
        assert time.verdict() == "said farewell"
        time.presence.heard(WRITER, WRITER)
        assert time.verdict() == "lives"


def test_while_this_server_stood_still_nobody_was_absent(time):
    """Stopped for an hour, it judges nobody before it has run for a grace again."""
    time.presence.heard(WRITER, WRITER)
    time.pass_(5)
    time.now += 3600
    assert time.verdict() == "lives", "judged before the first tick after the stop"
    time.presence.tick()
    assert time.verdict() == "lives"
    time.pass_(14)
    assert time.verdict() == "lives"
    time.pass_(2)
    assert time.verdict() == "lost"


def test_a_new_server_counts_absence_from_its_start(time):
    """What the store remembers of a writer is a day old; it has a grace to come back."""
    time.pass_(86_400)
    time.presence = time.server()
    time.presence.remember(WRITER, Sign(WRITER, int((time.now - 86_400 + 1e6) * 1e6), None))
    time.pass_(14)
    assert time.verdict() == "lives"
    time.pass_(2)
    assert time.verdict() == "lost"
    assert time.presence.last_sign(WRITER).last_sign == int((time.now - 86_400 - 16 + 1e6) * 1e6)


def test_a_writer_nobody_knows_is_absent_since_the_start(time):
    time.pass_(14)
    assert time.verdict(OTHER) == "lives"
    time.pass_(2)
    assert time.verdict(OTHER) == "lost"


def test_an_agent_speaks_for_many_and_has_a_longer_grace(time):
    """Its own restart must crash nobody; one that says it stops is waited for longer still, and not for ever."""
    with time.presence.stream(AGENT):
        time.presence.heard(WRITER, AGENT)
        time.presence.heard(OTHER, AGENT)
        time.pass_(5_000)
        assert {time.verdict(WRITER), time.verdict(OTHER)} == {"lives"}
        time.presence.heard(OTHER, AGENT, farewell=True)  # it saw the lock free
        assert (time.verdict(WRITER), time.verdict(OTHER)) == ("lives", "said farewell")
    time.pass_(AGENT_GRACE - 1)
    assert time.verdict() == "lives"
    time.pass_(2)
    assert time.verdict() == "lost"


def test_an_agent_that_stops_in_order_is_waited_for(time):
    with time.presence.stream(AGENT):
        time.presence.heard(WRITER, AGENT)
        time.presence.leave(AGENT)
    time.pass_(LEAVE_SECONDS - 1)
    assert time.verdict() == "lives"
    sign = time.presence.unkept(WRITER)
    time.presence = time.server()  # the server may be restarted meanwhile
    time.presence.remember(WRITER, sign)
    time.pass_(AGENT_GRACE + 2)
    assert time.verdict() == "lost"


def test_a_held_judgement_outlives_the_server(time):
    """The new one knows from the store until when."""
    time.presence.heard(WRITER, AGENT)
    time.presence.leave(AGENT)
    sign = time.presence.unkept(WRITER)
    time.presence = time.server()
    time.presence.remember(WRITER, sign)
    time.pass_(LEAVE_SECONDS - 1)
    assert time.verdict() == "lives"
    time.pass_(2)
    assert time.verdict() == "lost"


def test_either_of_two_shippers_is_enough(time):
    """A flow's own thread and an agent may speak for one writer, as when the agent is started later."""
    time.presence.heard(WRITER, WRITER)
    with time.presence.stream(AGENT):
        time.presence.heard(WRITER, AGENT)
        time.pass_(1000)
        assert time.verdict() == "lives"


def test_the_store_is_told_once_a_heartbeat(time):
    """And at once of another shipper; of one with an open stream, that it lives now."""
    told = 0
    with time.presence.stream(WRITER):
        time.presence.heard(WRITER, WRITER)
        for _ in range(400):
            told += time.presence.unkept(WRITER) is not None
            time.pass_(0.25)
    assert told == 100 / HEARTBEAT
    time.presence.heard(WRITER, AGENT)
    assert time.presence.unkept(WRITER).shipper == AGENT


def test_nothing_is_kept_of_who_has_ended(time):
    """Whether its stream or its journal ends first."""
    for first in ("stream", "journal"):
        time.presence.heard(WRITER, WRITER)
        with time.presence.stream(WRITER):
            if first == "journal":
                time.presence.forget(WRITER)
        time.presence.forget(WRITER)
        assert not time.presence._shippers
        assert not time.presence._speaking


def test_a_farewell_is_heard_of_until_the_end_and_a_loss_is_not(time):
    """So that the store's row tells which of the two an end was: nothing is missing of who said farewell."""
    time.presence.heard(WRITER, WRITER)
    time.presence.heard(OTHER, OTHER)
    time.presence.heard(OTHER, OTHER, farewell=True)
    heard = time.presence.last_sign(WRITER).last_sign
    time.pass_(2 * HEARTBEAT)
    assert time.verdict() == "lost"
    assert time.presence.last_sign(WRITER).last_sign == heard
    assert time.verdict(OTHER) == "said farewell"
    assert time.presence.last_sign(OTHER).last_sign == heard + int(2 * HEARTBEAT * 1e6)
