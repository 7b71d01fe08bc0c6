"""PagerDuty: the real client against a server that speaks as documented, over https with a certificate of its own."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.alerts.fake_pagerduty import KEY, FakePagerDuty
from tests.alerts.messages import INCIDENT, PAGES, a_test, digest, huge, message
from tests.alerts.vendor import HALF, HANG, RESET

from flowtell import events as e
from flowtell.errors import BadValue
from flowtell_alerts._route import Offer
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels.pagerduty import body_of, create
from flowtell_alerts.sender import Sender


@pytest.fixture
def pagerduty(tmp_path):
    made = FakePagerDuty(tmp_path)
    yield made
    made.close()


@pytest.fixture
def channel(pagerduty):
    made = channel_to(pagerduty)
    yield made
    made.close()


def channel_to(pagerduty, **keys):
    known = {"routing_key": KEY, "api_url": pagerduty.url, "ca_bundle": pagerduty.bundle, "timeout_seconds": 1.0}
    return create("oncall", {**known, **keys})


def test_an_incident_from_its_begin_to_its_end(pagerduty, channel):
    """It paged once: triggered, brought up to date, acknowledged and resolved under one key."""
    for kind in ("opened", "updated", "acknowledged", "repeat", "resolved"):
        channel.send(message(kind))
    assert [each["body"]["event_action"] for each in pagerduty.requests] == [
        "trigger",
        "trigger",
        "acknowledge",
        "trigger",
        "resolve",
    ]
    (incident,) = pagerduty.incidents
    assert (incident["key"], incident["status"]) == (INCIDENT, "resolved")


def test_what_a_page_says(pagerduty, channel):
    """What, where, since when, the evidence, and the links that lead further."""
    channel.send(message())
    body = pagerduty.requests[0]["body"]
    payload = body["payload"]
    assert payload["summary"] == "ERROR: nightly (production): the last run failed (KeyError)"
    assert (payload["severity"], payload["source"], payload["group"], payload["class"]) == (
        "error",
        "nightly",
        "production",
        "failed",
    )
    assert payload["custom_details"]["Due"] == "2026-01-01 00:00 Europe/Berlin"
    assert [link["text"] for link in body["links"]] == ["Run", "Incident", "Trace", "Runbook"]
    assert body["client_url"].startswith(PAGES.base)


def test_a_test_leaves_nothing_open(pagerduty, channel):
    """It triggers and resolves."""
    channel.send(a_test())
    assert pagerduty.statuses() == ["resolved"]


def test_a_digest_pages_once(pagerduty, channel):
    """Its counts are brought up to date under its own key."""
    for kind in ("opened", "updated", "resolved"):
        channel.send(digest(kind))
    (incident,) = pagerduty.incidents
    assert incident["status"] == "resolved"
    details = incident["body"]["payload"]["custom_details"]
    assert (details["incidents"], details["open"], len(details["most"])) == (10_000, 9_000, 11)


@pytest.mark.parametrize(
    ("trouble", "permanent", "retry_after"),
    [
        ((429, {"Retry-After": "7"}), False, 7),
        (429, False, 0),
        (500, False, 0),
        (502, False, 0),
        (503, False, 0),
        (504, False, 0),
        (400, True, 0),
        (401, True, 0),
        (302, True, 0),
        (HANG, False, 0),
        (RESET, False, 0),
        (HALF, False, 0),
    ],
    ids=str,
)
def test_each_trouble_has_its_outcome(pagerduty, channel, trouble, permanent, retry_after):
    """One attempt, within its time: the library's own retries, which sleep and have no end at 429, are off."""
    pagerduty.troubles = [trouble]
    began = time.monotonic()
    with pytest.raises(ChannelError) as raised:
        channel.send(message())
    assert (raised.value.permanent, raised.value.retry_after) == (permanent, retry_after)
    assert len(pagerduty.requests) == 1
    assert time.monotonic() - began < 3
    assert KEY not in str(raised.value) + repr(channel)


def test_a_wrong_key_says_what_to_mend(pagerduty):
    """PagerDuty answers 400."""
    channel = channel_to(pagerduty, routing_key="f" * 32)
    with pytest.raises(ChannelError, match="Events API v2 integration") as raised:
        channel.send(message())
    assert raised.value.permanent
    channel.close()


def test_a_certificate_of_nobody_is_refused(pagerduty):
    """It may be somebody between; tried again, as it may also be a proxy that is being mended."""
    channel = channel_to(pagerduty, ca_bundle="")
    with pytest.raises(ChannelError) as raised:
        channel.send(message())
    assert not raised.value.permanent
    channel.close()


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "is missing"),
        ({"routing_key": "s3cret"}, "32 letters"),
        ({"routing_key": KEY, "api_url": "http://events.pagerduty.com"}, "https"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_is_refused(keys, problem):
    """Before anything is sent; the value is not repeated."""
    with pytest.raises(BadValue, match=problem) as refused:
        create("oncall", keys)
    assert "s3cret" not in str(refused.value)


def test_channels_with_one_key_share_its_rate(pagerduty):
    """120 a minute, under a name that does not tell the key."""
    first, second = channel_to(pagerduty), channel_to(pagerduty, source="other")
    shared = set(first.rates) & set(second.rates)
    assert [rate.seconds for rate in shared if rate.key.startswith("pagerduty")] == [0.5]
    assert not any(KEY in rate.key for rate in first.rates)
    first.close()
    second.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    piece=st.sampled_from(["x", "<", "é", "😀", "\n", '"', "\\"]),
    length=st.sampled_from([1, 254, 256, 1023, 1025, 5_000_000]),
    kind=st.sampled_from(["opened", "updated", "repeat"]),
)
def test_any_payload_fits(piece, length, kind):
    """Five megabytes in every field: 1,024 characters, 255 of the key, 512 KB in all; the links stay."""
    told = huge(piece * length if length < 5_000_000 else piece * (5_000_000 // len(piece)), kind)
    body = body_of(told, "flowtell")
    assert len(body["payload"]["summary"]) <= 1024
    assert len(told.incident.id) <= 255
    assert len(json.dumps(body)) < 512_000
    assert body["payload"]["severity"] in ("info", "warning", "error", "critical")
    assert len(body["links"]) == len(told.links)


def declared(world, version, at=None):
    world.appends(e.DeploymentDeclared, flow="nightly", deployment="berlin", version=version, at=at)
    for _ in range(3):
        world.passes()


def test_a_new_version_is_a_change_event(world, pagerduty):
    """Where it is asked for; the first version that is seen is none, and neither is the same one said again."""
    runner_of(world, pagerduty, change_events=True)
    for version in ("1", "1", "2", "2", "3"):
        declared(world, version)
    assert [each["payload"]["summary"] for each in pagerduty.changes] == [
        "version 2 of nightly/berlin is deployed, after 1",
        "version 3 of nightly/berlin is deployed, after 2",
    ]
    change = pagerduty.changes[0]["payload"]
    assert change["timestamp"].endswith("+00:00")
    assert (change["source"], change["custom_details"]["Before"]) == ("nightly/berlin", "1")
    assert [event.kind for event in world.events("notification.sent")] == ["changed", "changed"]
    assert pagerduty.incidents == []


def test_a_change_of_yesterday_is_not_told(world, pagerduty):
    """Nor is one where nobody asked for it."""
    runner_of(world, pagerduty, change_events=True)
    declared(world, "1")
    declared(world, "2", at=world.clock() - 7_200_000_000)
    assert pagerduty.changes == []


def test_changes_are_not_told_unless_asked_for(world, pagerduty):
    """A change event needs `change_events`."""
    runner_of(world, pagerduty)
    declared(world, "1")
    declared(world, "2")
    assert pagerduty.changes == []


def runner_of(world, pagerduty, **keys):
    return world.adds("notifications", lambda _: Sender([Offer(lambda: channel_to(pagerduty, **keys))]))
