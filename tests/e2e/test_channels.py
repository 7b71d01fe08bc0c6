"""Channels in a real server: from a run that fails to what the receivers hold, with secrets in none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.alerts.fake_pagerduty import KEY, FakePagerDuty
from tests.alerts.fake_slack import CHANNEL, TOKEN, FakeSlack
from tests.alerts.vendor import HANG, Vendor

FLOWTELL = str(Path(sys.executable).with_name("flowtell"))
SECRETS = (TOKEN, KEY, "s3cret-path", "s3cret-hmac")

STATES = "SELECT state FROM notifications_letters WHERE about='incident'"

pytestmark = pytest.mark.slow


class Hook(Vendor):
    def answer(self, path, headers, body):
        return 200, {}


@pytest.fixture
def vendors(tmp_path):
    made = FakeSlack(), FakePagerDuty(tmp_path), Hook()
    yield made
    for each in made:
        each.close()


@pytest.fixture
def configured(house, vendors, monkeypatch):
    """Three channels, their secrets given in the three ways there are."""
    slack, pagerduty, hook = vendors
    (house.folder / "key").write_text(f"{KEY}\n")
    (house.folder / "flowtell.toml").write_text(
        f"""
        [[rules]]
        kind = "failed"

        [plugin.notifications]
        url = "https://flowtell.example"

        [channel.ops]
        type = "slack"
        channel = "{CHANNEL}"
        api_url = "{slack.url}/api/"

        [channel.oncall]
        type = "pagerduty"
        routing_key_file = "{house.folder}/key"
        api_url = "{pagerduty.url}"
        ca_bundle = "{pagerduty.bundle}"

        [channel.hook]
        type = "webhook"
        url = "{hook.url}/s3cret-path"
        secret = "s3cret-hmac"
        timeout_seconds = 10
        """
    )
    monkeypatch.setenv("FLOWTELL_CHANNEL__OPS__TOKEN", TOKEN)
    monkeypatch.chdir(house.folder)
    return house


def run(command, *, flow="backup"):
    subprocess.run([FLOWTELL, "exec", "--flow", flow, "--", command], capture_output=True, check=False, timeout=60)


def flowtell(*arguments, code=0):
    done = subprocess.run([FLOWTELL, *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_a_run_to_the_receivers(configured, vendors):
    """It paged once and resolved itself; Slack's message was changed in place; a restart said nothing again."""
    house, (slack, pagerduty, hook) = configured, vendors
    server = house.server()
    run("false")
    house.until(lambda: _count(house, "notification.sent") == 4, 30, "told, and noted")
    assert pagerduty.statuses() == ["triggered"]
    house.kill(server)
    house.server()
    run("true")
    house.until(lambda: pagerduty.statuses() == ["resolved"] and len(hook.requests) == 2, 30, "resolved")
    house.until(lambda: "RESOLVED" in slack.top()[0]["text"], 30, "changed in place")
    assert len(slack.top()) == 1
    house.until(lambda: not house.sql("SELECT 1 FROM notifications_letters WHERE state NOT IN ('over')"), 30, "all over")
    check_secrets(house)


FAILING = """
from flowtell import failed, flow, task

@task(retries=1)
def load():
    raise ValueError("what it said")

@flow(rules=[failed()])
def nightly():
    load()

nightly()
"""


def test_every_message_says_why(configured, vendors, tmp_path):
    """The cause by the log's own facts, in each channel's shape; what an exception said stays here."""
    house, (slack, pagerduty, hook) = configured, vendors
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    house.server()
    subprocess.run([sys.executable, script], capture_output=True, check=False, timeout=60)
    house.until(lambda: slack.top() and pagerduty.incidents and hook.requests, 30, "told")
    told = [json.dumps(each, default=str) for each in (slack.top(), pagerduty.incidents, [str(hook.requests[0])])]
    assert ["task load failed, in the last of 2 attempts: ValueError" in each for each in told] == [True] * 3
    assert ["what it said" in each for each in told] == [False] * 3


def test_a_channel_that_hangs_delays_no_other(configured, vendors, rounds):
    """Measured: how much later PagerDuty hears of incidents while the webhook does not answer."""
    house, (_, pagerduty, hook) = configured, vendors
    house.server()
    waits = {}
    for state in ("well", "hanging"):
        hook.troubles = [] if state == "well" else [HANG] * 50
        before, began = len(pagerduty.incidents), time.monotonic()
        run("false", flow=f"flow_{state}")
        ran = time.monotonic()
        house.until(lambda before=before: len(pagerduty.incidents) > before, 30, "paged")
        waits[state] = time.monotonic() - ran
        assert time.monotonic() - began < 30
    print(f"PagerDuty after the run's end: {waits['well']:.2f} s, {waits['hanging']:.2f} s while another channel hangs")
    assert waits["hanging"] < waits["well"] + 3
    hook.closing.set()


def test_a_server_that_is_killed_while_it_sends(configured, vendors):
    """The next one takes the claim back and sends again, under the same id; the log has it once."""
    house, (_, _, hook) = configured, vendors
    hook.troubles = [HANG]
    server = house.server()
    run("false")
    house.until(lambda: hook.requests, 30, "on its way")
    house.kill(server)
    house.server()
    house.until(lambda: house.sql(f"{STATES} AND channel='hook'") == [("told",)], 30, "told")
    first, second = (each["headers"]["idempotency-key"] for each in hook.requests)
    assert first == second
    sent = house.sql("SELECT count(*) FROM events WHERE type='notification.sent' AND json_extract(data, '$.channel')='hook'")
    assert sent == [(1,)]
    hook.closing.set()


def test_a_test_message_and_dead_letters(configured, vendors):
    """`alerts test` prints the receipt or what to mend; a message that was refused is listed, and sent when it can be."""
    house, (slack, pagerduty, hook) = configured, vendors
    house.server()
    assert "took the test message (receipt: 1700000000" in flowtell("alerts", "test", "ops")
    assert "took the test message" in flowtell("alerts", "test", "oncall")
    assert pagerduty.statuses() == ["resolved"]
    slack.errors = ["not_in_channel"]
    said = flowtell("alerts", "test", "ops", code=1)
    assert "FT2432" in said
    assert "/invite" in said
    assert "there are terminal, ops, oncall, hook" in flowtell("alerts", "test", "nobody", code=1)
    hook.troubles = [400]
    run("false")
    house.until(lambda: house.sql("SELECT 1 FROM notifications_letters WHERE state='dead'"), 30, "given up")
    listed = flowtell("alerts", "dead")
    assert "answered 400" in listed
    assert "1 replayed." in flowtell("alerts", "dead", "replay")
    house.until(lambda: hook.requests[-1]["trouble"] is None, 30, "sent again")
    house.until(lambda: not house.sql("SELECT 1 FROM notifications_letters WHERE state='dead'"), 10, "none is left")
    assert "No dead letters." in flowtell("alerts", "dead")
    check_secrets(house, listed, said)


def test_nobody_answers_a_test_without_a_server(configured):
    """It says what is missing."""
    assert "FT2433" in flowtell("alerts", "test", "ops", "--timeout", "1", code=1)


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ('[channel.x]\ntype = "slak"\n', ("flowtell.toml:2", "did you mean 'slack'")),
        ('[channel.x]\ntype = "slack"\nchannel = "C1"\ntoken = "s3cret-path"\n', ("flowtell.toml:4", "begins with xoxb-")),
        (
            '[channel.x]\ntype = "pagerduty"\nrouting_kee = "s3cret-path"\n',
            ("flowtell.toml:3", "Did you mean 'routing_key'"),
        ),
        ('[channel.x]\ntype = "webhook"\nurl = "https://x"\nseverity = "loud"\n', ("flowtell.toml:4", "info, warning")),
        ('[channel.x]\ntype = "webhook"\nurl = "https://x"\nrepeat = "often"\n', ("flowtell.toml:4", "span of time")),
        ('[channel.terminal]\ntype = "webhook"\nurl = "https://x"\n', ("flowtell.toml:1", "another")),
        (
            '[plugin.notifications]\nurl = "nowhere"\n[channel.x]\ntype = "terminal"\n',
            ("[plugin.notifications]", "https://"),
        ),
    ],
    ids=str,
)
def test_a_server_does_not_start_with_a_slip(house, slip, said):
    """It says what is wrong, in which line, and repeats no value."""
    (house.folder / "flowtell.toml").write_text(slip)
    done = subprocess.run(
        [FLOWTELL, "up", "--port", "0"], cwd=house.folder, env=dict(os.environ), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert all(part in done.stderr for part in said), done.stderr
    assert "s3cret-path" not in done.stderr


def _count(house, kind):
    return house.sql("SELECT count(*) FROM events WHERE type=?", kind)[0][0] if house.sql("SELECT 1 FROM events") else 0


def check_secrets(house, *texts):
    """In no file of the home, no row, no log and no output."""
    files = [path for path in house.home.rglob("*") if path.is_file()]
    held = [path.read_bytes() for path in (*files, *house.folder.glob("*.err"))] + [text.encode() for text in texts]
    for secret in SECRETS:
        assert not any(secret.encode() in each for each in held), secret
