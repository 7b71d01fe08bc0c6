"""Slack's buttons: signed requests become events in the log, anything else becomes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from urllib.parse import urlencode

import httpx2
import pytest
from tests.alerts.fake_slack import CHANNEL, TOKEN, FakeSlack

from flowtell.rules import failed
from flowtell_alerts._answers import PATH
from flowtell_alerts._route import Offer
from flowtell_alerts.channels.slack import create
from flowtell_alerts.sender import Sender

SECRET = "s3cret-signing"


@pytest.fixture
def slack():
    made = FakeSlack()
    yield made
    made.close()


class Pressed:
    """A world with a message in Slack, and whoever presses its buttons."""

    def __init__(self, world, slack) -> None:
        self.world, self.slack = world, slack
        keys = {"token": TOKEN, "channel": CHANNEL, "api_url": slack.url, "signing_secret": SECRET}
        offers = [Offer(lambda: create("ops", keys))]
        self.app = None
        self.runner = world.adds("notifications", lambda _: Sender(offers), mounted=self.mount)
        world.declares(failed())
        world.ends("a", "failed")
        world.passes()
        (self.opened,) = world.events("incident.opened")

    def mount(self, _plugin, path, app):
        assert path == PATH
        self.app = app

    def button(self, name):
        (shown,) = self.slack.top()
        blocks = shown["blocks"] if isinstance(shown["blocks"], list) else json.loads(shown["blocks"])
        return next(each for each in blocks[-1]["elements"] if each["action_id"] == name)

    def press(self, name, *, secret=SECRET, at=None, channel="ops", body=None):
        """What Slack sends for that button, and what it is answered."""
        action = {"action_id": name, "value": self.button(name)["value"], "action_ts": "1.1"}
        payload = {"type": "block_actions", "user": {"id": "U1", "username": "ada"}, "actions": [action]}
        body = body if body is not None else urlencode({"payload": json.dumps(payload)}).encode()
        timestamp = str(int(time.time() if at is None else at))
        digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Signature": f"v0={digest}", "X-Slack-Request-Timestamp": timestamp}
        return self.post(f"/{channel}", body, headers)

    def post(self, path, body, headers):
        """While the server's thread answers, the plugin's goes on."""
        found = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(self._post(path, body, headers))))
        thread.start()
        while thread.is_alive():
            self.world.passes(0.1)
            time.sleep(0.01)
        thread.join()
        return found[0]

    async def _post(self, path, body, headers):
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://server{PATH}") as client:
            return (await client.post(path, content=body, headers=headers)).status_code


@pytest.fixture
def pressed(world, slack):
    return Pressed(world, slack)


def test_acknowledged_by_a_button(pressed):
    """The event is in the log when Slack is answered; the message says who has it and asks nobody again."""
    assert pressed.press("flowtell_acknowledge") == 200
    acknowledged = pressed.world.events("incident.acknowledged")
    assert {event.actor for event in acknowledged} == {"ada (Slack)"}
    assert {event.incident for event in acknowledged} == {pressed.opened.incident}
    pressed.world.passes(2)
    pressed.world.passes(2)
    assert "ACKNOWLEDGED" in pressed.slack.top()[0]["text"]
    with pytest.raises(StopIteration):
        pressed.button("flowtell_acknowledge")


def test_silenced_by_a_button(pressed):
    """For an hour, by the rule's key, with who and why."""
    assert pressed.press("flowtell_silence") == 200
    (silence,) = pressed.world.events("silence.created")
    assert silence.matchers == {"rule": pressed.opened.key}
    assert silence.actor == "ada (Slack)"
    assert silence.until - silence.since == 3_600_000_000


def test_the_same_press_again_is_one(pressed):
    """Slack sends again what it got no answer for."""
    assert [pressed.press("flowtell_silence") for _ in range(2)] == [200, 200]
    assert len(pressed.world.events("silence.created")) == 1


@pytest.mark.parametrize(
    "forged",
    [{"secret": "other"}, {"at": 1_700_000_000}, {"at": time.time() + 4000}, {"body": b"payload=%7B"}],
    ids=("secret", "old", "tomorrow", "payload"),  # said, as two workers read the clock at different times
)
def test_what_slack_did_not_send_is_refused(pressed, forged):
    """Another secret, an old request, one of tomorrow, or no payload: nothing happens."""
    assert pressed.press("flowtell_acknowledge", **forged) == 401
    assert pressed.world.events("incident.acknowledged") == []


def test_nobody_else_hears(pressed):
    """A channel that there is not, or without a secret."""
    assert pressed.press("flowtell_acknowledge", channel="nobody") == 404


def test_an_incident_that_is_over(pressed):
    """There is nothing to look after; the answer says so."""
    button = pressed.button("flowtell_acknowledge")
    pressed.button = lambda _: button
    pressed.world.ends("b")
    pressed.world.passes()
    assert pressed.press("flowtell_acknowledge") == 409


def test_a_request_without_headers_is_refused(pressed):
    """Also one with nonsense in them."""
    assert pressed.post("/ops", b"", {}) == 401
    assert pressed.post("/ops", b"\xff", {"X-Slack-Request-Timestamp": b"\xb2", "X-Slack-Signature": b"v0=\xe9"}) == 401
