"""The webhook as a CloudEvent, signed so that a receiver can tell whom it is from."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.messages import INCIDENT, a_test, digest, huge, message
from tests.alerts.vendor import Vendor

from flowtell.errors import BadValue
from flowtell_alerts.channels.signature import TOLERANCE, is_signed, signature
from flowtell_alerts.channels.webhook import cloud_event, create

SECRET = "s3cret-hmac"


class Taking(Vendor):
    def answer(self, path, headers, body):
        return 204, ""


@pytest.fixture
def receiver():
    made = Taking()
    yield made
    made.close()


def test_a_message_as_it_arrives(receiver):
    """Structured mode: the envelope's attributes, and the message as data; signed over id, time and body."""
    channel = create("hook", {"url": f"{receiver.url}/in", "secret": SECRET})
    channel.send(message())
    (request,) = receiver.requests
    headers, event = request["headers"], request["body"]
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "flowtell.incident.opened", INCIDENT)
    assert event["id"] == headers["idempotency-key"] == headers["webhook-id"] == message().id
    assert event["data"]["incident"]["reason"] == "the last run failed (KeyError)"
    assert event["data"]["facts"]["due"] == "2026-01-01 00:00 Europe/Berlin"
    assert is_signed(SECRET, headers, request["raw"], time.time())
    channel.close()


@given(st.sampled_from(["opened", "updated", "acknowledged", "resolved", "repeat"]), st.text(max_size=300))
def test_every_event_has_what_cloudevents_asks_for(kind, text):
    """CloudEvents 1.0: required attributes that are not empty, a URI as source, a moment of RFC 3339."""
    large = huge(text * 50 + "\U00010000" * 9_000, kind)
    for told in (message(kind, reason=text, environment=text), digest(kind), a_test(), large):
        body = cloud_event(told)
        event = json.loads(body)
        assert all(
            isinstance(event[name], str) and event[name] for name in ("id", "source", "specversion", "type", "subject")
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert re.fullmatch(r"[a-z]+", event["type"].rpartition(".")[2])
        assert len(body) < 64_000


def test_what_it_is_told(receiver):
    """Each kind but updates, which are asked for; the plain form as it has always been."""
    url = receiver.url
    assert "updated" not in create("hook", {"url": url}).tells
    assert "updated" in create("hook", {"url": url, "updates": "yes"}).tells
    assert create("hook", {"url": url, "format": "plain"}).tells == {"opened", "resolved", "repeat", "test"}


def test_the_published_vector():
    """Of Standard Webhooks' own libraries."""
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


NOW = 1_767_225_600


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "other"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": str(NOW - TOLERANCE - 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
    ],
    ids=str,
)
def test_what_was_changed_is_not_signed(changed):
    """Body, id, time or signature; and what is older than five minutes."""
    headers = signature(SECRET, "m1", NOW, b"body")
    assert is_signed(SECRET, headers, b"body", NOW + TOLERANCE)
    assert not is_signed(SECRET, headers | changed, b"body", NOW)
    assert not is_signed(SECRET, headers, b"bodY", NOW)
    assert not is_signed("other", headers, b"body", NOW)
    assert not is_signed(SECRET, headers, b"body", NOW + TOLERANCE + 1)


def test_one_of_several_signatures_is_enough():
    """While a receiver changes its secret the sender signs with both."""
    headers = signature(SECRET, "m1", NOW, b"body")
    headers["webhook-signature"] = "v1,AAAA " + headers["webhook-signature"]
    assert is_signed(SECRET, headers, b"body", NOW)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "is missing"),
        ({"url": "ftp://s3cret"}, "must begin with"),
        ({"url": "https://x", "format": "xml"}, "cloudevents, plain"),
        ({"url": "https://x", "timeout_seconds": 0}, "between"),
        ({"url": "https://x", "updates": "perhaps"}, "true or false"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_is_refused(keys, problem):
    """Before anything is sent; the value is not repeated."""
    with pytest.raises(BadValue, match=problem) as refused:
        create("hook", keys)
    assert "s3cret" not in str(refused.value)
