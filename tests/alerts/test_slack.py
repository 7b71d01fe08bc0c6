"""Slack: the real client against a server that speaks as documented, over a real socket."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.alerts.fake_slack import CHANNEL, TOKEN, FakeSlack, too_large
from tests.alerts.messages import a_test, digest, huge, message
from tests.alerts.vendor import DRIP, HALF, HANG, RESET

from flowtell.errors import BadValue
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels.slack import create
from flowtell_alerts.channels.slack_blocks import blocks_of, text_of

SECRET = "s3cret"


@pytest.fixture
def slack():
    made = FakeSlack()
    yield made
    made.close()


def bot(slack, **keys):
    return create("ops", {"token": TOKEN, "channel": CHANNEL, "api_url": f"{slack.url}/api/", **keys})


def webhook(slack, **keys):
    return create("ops", {"webhook_url": f"{slack.url}/services/T0/B0/{SECRET}", **keys})


def blocks(posted):
    found = posted["blocks"]
    return json.loads(found) if isinstance(found, str) else found


def test_an_incident_from_its_begin_to_its_end(slack):
    """One message, changed in place; what people should notice stands in its thread too."""
    channel = bot(slack)
    first = channel.send(message("opened"))
    channel.send(message("updated", before=first))
    channel.send(message("acknowledged", before=first, by="ada"))
    channel.send(message("resolved", before=first))
    (shown,) = slack.top()
    assert blocks(shown)[0]["text"]["text"] == "RESOLVED: nightly (production)"
    assert [each["text"].partition(":")[0] for each in slack.threads()] == ["ACKNOWLEDGED", "RESOLVED"]
    assert {each["thread_ts"] for each in slack.threads()} == {first.id}


def test_the_channels_id_comes_from_the_answer(slack):
    """A name is enough to post, and not to change what was posted: channels are renamed."""
    channel = bot(slack, channel="#data")
    first = channel.send(message("opened"))
    assert first.thread == CHANNEL
    channel.send(message("updated", before=first))
    assert slack.top()[0]["edited"]


def test_a_reminder_stands_in_the_thread_and_in_the_channel(slack):
    """So that who reads the channel sees it."""
    channel = bot(slack)
    first = channel.send(message("opened"))
    channel.send(message("repeat", before=first))
    assert slack.threads()[0]["reply_broadcast"]


def test_a_message_that_somebody_deleted_is_posted_anew(slack):
    """And is the one that changes from then on."""
    channel = bot(slack)
    first = channel.send(message("opened"))
    slack.messages.clear()
    again = channel.send(message("resolved", before=first))
    assert again.id != first.id
    assert len(slack.top()) == 1


def test_it_links_and_has_buttons_where_slack_can_answer(slack):
    """Run, trace and runbook always; acknowledge and silence only with a signing secret."""
    bot(slack).send(message())
    bot(slack, signing_secret=SECRET).send(message())
    plain, interactive = ([each["text"]["text"] for each in blocks(posted)[-1]["elements"]] for posted in slack.top())
    assert plain == ["Run", "Incident", "Trace", "Runbook"]
    assert interactive == ["Run", "Incident", "Trace", "Runbook", "Acknowledge", "Silence for 1 h"]


def test_a_test_and_a_digest(slack):
    """Both are posted as they are."""
    channel = bot(slack)
    channel.send(a_test())
    channel.send(digest())
    assert "TEST: ops" in slack.top()[0]["text"]
    assert "and 9,980 more" in json.dumps(blocks(slack.top()[1]))


def test_a_webhook_announces(slack):
    """Each message is one of its own."""
    channel = webhook(slack)
    first = channel.send(message("opened"))
    channel.send(message("resolved", before=first))
    assert len(slack.top()) == 2
    assert not channel.in_place


def failure(channel, *, message=None) -> ChannelError:
    with pytest.raises(ChannelError) as raised:
        channel.send(message or globals()["message"]())
    assert SECRET not in str(raised.value) + repr(raised.value) + repr(channel)
    return raised.value


@pytest.mark.parametrize("make", [bot, webhook])
@pytest.mark.parametrize(
    ("trouble", "permanent", "retry_after"),
    [
        ((429, {"Retry-After": "7"}), False, 7),
        (500, False, 0),
        (502, False, 0),
        (503, False, 0),
        (504, False, 0),
        (400, True, 0),
        (403, True, 0),
        (404, True, 0),
        (HANG, False, 0),
        (RESET, False, 0),
        (HALF, False, 0),
    ],
    ids=str,
)
def test_each_trouble_has_its_outcome(slack, make, trouble, permanent, retry_after):
    """One attempt, and the error that says whether another makes sense."""
    slack.troubles = [trouble]
    began = time.monotonic()
    error = failure(make(slack, timeout_seconds=1))
    assert (error.permanent, error.retry_after) == (permanent, retry_after)
    assert len(slack.requests) == 1
    assert time.monotonic() - began < 3


def test_a_drip_is_bounded_by_the_worker(slack):
    """The client's time-out starts anew with each byte; the channel says how long its calls may take."""
    assert bot(slack, timeout_seconds=2).bound_seconds == 6
    assert DRIP


@pytest.mark.parametrize(
    ("code", "permanent", "words"),
    [
        ("ratelimited", False, "ratelimited"),
        ("internal_error", False, "internal_error"),
        ("not_in_channel", True, "/invite"),
        ("invalid_auth", True, "bot token"),
        ("missing_scope", True, "chat:write"),
        ("is_archived", True, "archived"),
        ("something <new>\n", True, "somethingnew"),
    ],
    ids=str,
)
def test_slacks_own_errors(slack, code, permanent, words):
    """A name in an answer of 200: whether it passes, and what to mend."""
    slack.errors = [code]
    error = failure(bot(slack))
    assert error.permanent is permanent
    assert words in str(error)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"token": "s3cret", "channel": "C1"}, "begins with xoxb-"),
        ({"token": TOKEN}, "channel's id"),
        ({"channel": "C1"}, "is missing"),
        ({"webhook_url": "hooks.slack.com/s3cret"}, "must begin with"),
        ({"webhook_url": "https://hooks.slack.com/s3cret", "token": TOKEN}, "one or the other"),
        ({"token": TOKEN, "channel": "C1", "timeout_seconds": 99}, "between"),
        ({"token_file": "/nowhere/s3cr", "channel": "C1"}, "cannot be read"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_is_refused(keys, problem):
    """Before anything is sent; the value is not repeated."""
    with pytest.raises(BadValue, match=problem) as refused:
        create("ops", keys)
    assert SECRET not in str(refused.value)


def test_a_token_in_a_file(slack, tmp_path):
    """As secrets are mounted."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    create("ops", {"token_file": str(tmp_path / "token"), "channel": CHANNEL, "api_url": slack.url}).send(message())
    assert len(slack.top()) == 1


# --- limits -----------------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["x", "<", "&", "\n", "\x00", "é", "😀", "\ud83d", "*_`>", "\u202e", "<!channel>"])
KINDS = st.sampled_from(["opened", "updated", "acknowledged", "resolved", "repeat"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(piece=TEXTS, length=st.sampled_from([1, 74, 149, 151, 3001, 5_000_000]), kind=KINDS, buttons=st.booleans())
def test_any_payload_fits(piece, length, kind, buttons):
    """Whatever an incident holds, five megabytes too: within Slack's limits, with its links, nothing of it marked-up."""
    told = huge((piece * (length // len(piece) + 1))[:length], kind)
    made = blocks_of(told, buttons=buttons)
    assert not too_large({"blocks": made, "text": text_of(told)})
    assert {link.url for link in told.links} <= {each.get("url") for each in made[-1]["elements"]}
    marked_up = [block["text"]["text"] for block in made if block["type"] == "section" and "text" in block]
    marked_up += [each["text"] for block in made for each in block.get("fields", ())]
    assert not any("<" in text for text in marked_up)


@settings(max_examples=30, deadline=None)
@given(name=st.text(max_size=300), kind=KINDS)
def test_any_digest_fits(name, kind):
    """Ten names of any length."""
    made = blocks_of(digest(kind, name=name))
    assert not too_large({"blocks": made, "text": text_of(digest(kind, name=name))})
