"""The watchdog: heard each minute while incidents are found and told, and silent when either hangs."""

from __future__ import annotations

import logging

import pytest
from tests.alerts.test_sender import Heard
from tests.alerts.vendor import HANG, Vendor

from flowtell.plugin import PluginStatus
from flowtell.rules import failed
from flowtell_alerts._heartbeat import ailing
from flowtell_alerts._route import Offer
from flowtell_alerts.sender import Sender

WELL = PluginStatus(name="alerts", state="running")


class Watch(Vendor):
    def answer(self, path, headers, body):
        return 200, {}


@pytest.fixture
def watch():
    made = Watch()
    yield made
    made.close()


@pytest.fixture
def watched(world, watch):
    """A world whose sender asks `watch`; `statuses` is what it hears of the plugins."""
    offers = [Offer(Heard)]
    runner = world.adds("notifications", lambda _: Sender(offers, heartbeat_url=f"{watch.url}/s3cret"))
    world.statuses = [WELL]
    runner.all_statuses = lambda: world.statuses
    return world


def passes(world, minutes):
    for _ in range(minutes * 6):
        world.passes(10)
        world.others[0].plugin._heartbeat.close(5)


def test_it_is_heard_each_minute(watched, watch):
    """As long as all is well."""
    passes(watched, 5)
    assert len(watch.requests) in (5, 6)


@pytest.mark.parametrize(
    "statuses",
    [
        [],
        [PluginStatus(name="alerts", state="stuck")],
        [PluginStatus(name="alerts", state="broken")],
        [PluginStatus(name="alerts", state="running", lag_seconds=61.0)],
    ],
    ids=str,
)
def test_it_stops_when_nobody_finds_incidents(watched, watch, statuses, caplog):
    """Said once in the log, and when it goes on."""
    caplog.set_level(logging.WARNING)
    passes(watched, 2)
    before = len(watch.requests)
    watched.statuses = statuses
    passes(watched, 3)
    assert len(watch.requests) == before
    watched.statuses = [WELL]
    passes(watched, 2)
    assert len(watch.requests) > before
    assert [record.getMessage().partition(":")[0] for record in caplog.records if "heartbeat" in record.getMessage()] == [
        "the heartbeat stops",
        "the heartbeat goes on",
    ]


def test_it_stops_when_a_channel_never_comes_back():
    """Or when the evaluator is behind, stuck or not there; the reason names it."""
    assert ailing([WELL], []) == ""
    assert "ops" in ailing([WELL], ["ops"])


def test_it_stops_with_the_sender(watched, watch):
    """Whoever hangs ticks no more, and nobody is asked."""
    passes(watched, 1)
    before = len(watch.requests)
    for _ in range(30):
        watched.clock.advance(10)
        watched.harness.tick()
    assert len(watch.requests) == before


@pytest.mark.parametrize("trouble", [HANG, 500, 404], ids=str)
def test_its_own_trouble_holds_nobody_up(watched, watch, trouble, caplog):
    """Messages go on; the address is in no log."""
    watch.troubles = [trouble]
    watched.declares(failed())
    watched.ends("a", "failed")
    watched.passes(1)
    watched.passes(1)
    assert len(watched.events("notification.sent")) == 1
    assert "s3cret" not in caplog.text
