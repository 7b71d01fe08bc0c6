"""Alertmanager: Debian's own, on a free port, and a server that answers badly."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.alerts.messages import AT, a_test, event, huge, message
from tests.alerts.vendor import HALF, HANG, RESET, Vendor

from flowtell import events as e
from flowtell.errors import BadValue
from flowtell.ids import derived_id
from flowtell.rules import failed
from flowtell_alerts._route import Offer
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels.alertmanager import alert_of, create
from flowtell_alerts.sender import Sender

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)

needs_alertmanager = pytest.mark.skipif(PROGRAM is None, reason="Alertmanager is not installed")


@pytest.fixture
def alertmanager(tmp_path):
    """Its address. Alone, without a cluster, and it notifies nobody."""
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/data", "--cluster.listen-address="]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [str(PROGRAM), *arguments, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, tmp_path / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _await(url, log):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def alerts_of(url, **wanted):
    query = "&".join(f"{key}={str(value).lower()}" for key, value in wanted.items())
    with urllib.request.urlopen(f"{url}/api/v2/alerts?{query}", timeout=5) as answer:
        return json.load(answer)


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@needs_alertmanager
def test_an_incident_from_its_begin_to_its_end(alertmanager):
    """It fires under labels to route by, and is gone when it is resolved."""
    channel = create("am", {"url": alertmanager})
    now = int(time.time() * 1e6)
    channel.send(message(since=now - 60_000_000))
    (alert,) = alerts_of(alertmanager)
    assert alert["labels"] == {
        "alertname": "flowtell_failed",
        "incident": message().incident.id,
        "severity": "error",
        "flow": "nightly",
        "environment": "production",
        "owner": "data",
    }
    assert alert["annotations"]["runbook_url"] == "https://wiki/nightly"
    assert alert["annotations"]["fact_due"] == "2026-01-01 00:00 Europe/Berlin"
    assert alert["generatorURL"].startswith("https://flowtell.example/runs/")
    channel.send(message("resolved", since=now - 60_000_000))
    until(lambda: alerts_of(alertmanager) == [])
    channel.close()


@needs_alertmanager
def test_many_in_one_call_and_a_test(alertmanager):
    """Each incident is an alert of its own."""
    channel = create("am", {"url": alertmanager})
    now = int(time.time() * 1e6)
    channel.send_all([message(incident=derived_id(AT, str(number)), since=now) for number in range(500)])
    channel.send(a_test())
    assert len(alerts_of(alertmanager)) == 501
    channel.close()


@needs_alertmanager
def test_any_payload_is_taken(alertmanager):
    """Whatever an incident holds, Alertmanager finds it valid."""
    channel = create("am", {"url": alertmanager})
    for piece in ("x", "é", "\n", '"', "=", "😀"):
        channel.send(huge(piece * 5000, "opened"))
    assert len(alerts_of(alertmanager)) >= 1
    channel.close()


@needs_alertmanager
def test_what_is_open_does_not_expire(world, alertmanager):
    """It is sent again before it would end; once resolved it ends, and the log has one message for each."""
    channel = create("am", {"url": alertmanager, "refresh_seconds": 5})
    channel.refresh_seconds = 0.5  # so that it would expire after two seconds
    world.clock.advance(time.time() - world.clock() / 1e6)
    world.adds("notifications", lambda _: Sender([Offer(lambda: channel)]))
    world.declares(failed())
    world.ends("a", "failed")
    began = time.monotonic()
    while time.monotonic() - began < 5:
        world.passes(0.25)
        time.sleep(0.25)
        assert time.monotonic() - began < 1 or len(alerts_of(alertmanager)) == 1
    assert [event.kind for event in world.events("notification.sent")] == ["opened"]
    world.ends("b")
    until(lambda: world.passes(1.0) or alerts_of(alertmanager) == [])
    assert [event.kind for event in world.events("notification.sent")] == ["opened", "resolved"]


class Bad(Vendor):
    def answer(self, path, headers, body):
        return 200, {}


@pytest.fixture
def bad():
    made = Bad()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("trouble", "permanent"),
    [(429, False), (500, False), (502, False), (503, False), (504, False), (400, True), (HANG, False), (RESET, False)],
    ids=str,
)
def test_each_trouble_has_its_outcome(bad, trouble, permanent):
    """One attempt, within its time."""
    bad.troubles = [trouble]
    channel = create("am", {"url": bad.url, "timeout_seconds": 0.5, "token": "s3cret"})
    began = time.monotonic()
    with pytest.raises(ChannelError) as raised:
        channel.send(message())
    assert raised.value.permanent is permanent
    assert time.monotonic() - began < 2
    assert "s3cret" not in str(raised.value) + repr(channel)
    channel.close()


def test_an_answer_whose_body_breaks_off_counts_as_taken(bad):
    """The status says that it was taken; the body says nothing more."""
    bad.troubles = [HALF]
    channel = create("am", {"url": bad.url})
    channel.send(message())
    channel.close()


def test_it_says_who_it_is(bad):
    """By a token, or by user and password."""
    for keys, wanted in (({"token": "t"}, "Bearer t"), ({"username": "u", "password": "p"}, "Basic dTpw")):
        channel = create("am", {"url": bad.url, **keys})
        channel.send(message())
        channel.close()
        assert bad.requests[-1]["headers"]["authorization"] == wanted


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"url": "http://am:9093/api/v2/alerts"}, "leave out"),
        ({"url": "am:9093"}, "must begin with"),
        ({"url": "http://am:9093", "refresh_seconds": 1}, "between 5"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_is_refused(keys, problem):
    """Before anything is sent."""
    with pytest.raises(BadValue, match=problem):
        create("am", keys)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=400), since=st.integers(-(2**62), 2**62))
def test_labels_and_times_are_valid(text, since):
    """Names of labels are names, nothing ends before it began."""
    told = message(reason=text, environment=text, subject=e.Subject(kind=text, name=text), evidence={text: 1}, since=since)
    alert = alert_of(told, NOW, timedelta(minutes=4))
    assert all(key.isascii() and key.replace("_", "a").isalnum() and not key[0].isdigit() for key in alert["labels"])
    assert all(alert["labels"].values())
    assert alert["startsAt"] <= alert["endsAt"]


def test_an_acknowledged_alert_stays():
    """Alertmanager knows no such thing; what fires goes on firing, and says who has it."""
    told = message("updated", by="ada")
    assert alert_of(told, NOW, timedelta(minutes=4))["annotations"]["acknowledged_by"] == "ada"
    assert event("acknowledged").type == "incident.acknowledged"
