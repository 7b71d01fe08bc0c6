"""What is told, to whom, and how often: the evaluator and the sender over one log."""

from __future__ import annotations

import itertools

import pytest

from flowtell import events as e
from flowtell.errors import BadValue, UnknownKey
from flowtell.ids import derived_id
from flowtell.rules import failed, too_long
from flowtell.testing import PluginContract
from flowtell.testing.histories import START
from flowtell_alerts import sender
from flowtell_alerts._settings import settings_of
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.sender import Sender, create

HOUR = 3600.0


class Heard:
    """A channel that remembers, and fails as often as it is told to."""

    def __init__(self, name: str = "heard") -> None:
        self.name = name
        self.messages = []
        self.attempts = []
        self.failures = []

    def send(self, message):
        self.attempts.append(message.id)
        if self.failures:
            raise self.failures.pop(0)
        self.messages.append(message)
        return e.Receipt(id="r1")

    def close(self):
        pass

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.messages]


def transient(retry_after: float = 0.0) -> ChannelError:
    return ChannelError("heard", "is down", permanent=False, retry_after=retry_after)


class TestContract(PluginContract):
    name = "notifications"

    def factory(self):
        self.channel = Heard()
        return lambda _: Sender([self.channel])

    def history(self):
        made = []
        for number in range(12):
            at = START + number
            fields = {"time": at, "incident": derived_id(at, "i", str(number)), "since": at, "key": "k"}
            made.append(e.IncidentOpened(id=derived_id(at, "o"), **fields))
            if number % 3 == 0:
                made.append(e.IncidentResolved(id=derived_id(at, "r"), **fields))
        return made


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def told_world(world, heard):
    """A world whose incidents are told to `heard`."""
    world.adds("notifications", lambda _: Sender([heard], "https://flowtell.example/"))
    world.declares(failed(), too_long(10))
    return world


def test_an_incident_is_told_when_it_opens_and_when_it_resolves(told_world, heard):
    """Once each, however long it lasts and however often it grows."""
    told_world.ends("a", "failed")
    told_world.passes()
    told_world.ends("b", "failed")
    for _ in range(5):
        told_world.passes()
    told_world.ends("c")
    for _ in range(5):
        told_world.passes()
    assert heard.kinds == ["opened", "resolved"]
    opened, resolved = heard.messages
    assert opened.incident.id == resolved.incident.id
    assert opened.id != resolved.id
    assert opened.url == "https://flowtell.example/runs/a"


def test_the_log_says_what_was_told(told_world, heard):
    """`notification.sent` with channel, attempt, receipt, and the id of the incident's event as its key."""
    told_world.ends("a", "failed")
    told_world.passes()
    (sent,) = told_world.events("notification.sent")
    (opened,) = told_world.events("incident.opened")
    assert (sent.incident, sent.channel, sent.kind, sent.attempt) == (opened.incident, "heard", "opened", 1)
    assert sent.key == sent.caused_by == opened.id == heard.messages[0].id
    assert sent.receipt.id == "r1"
    assert sent.hops == opened.hops + 1


def test_what_was_resolved_meanwhile_is_not_told(told_world, heard):
    """Neither that it opened nor that it is over."""
    told_world.ends("a", "failed")
    told_world.clock.advance(0.1)
    told_world.ends("b")
    told_world.passes()
    told_world.passes()
    assert told_world.told() == ["opened", "resolved"]
    assert heard.attempts == []


def test_a_tick_before_the_end_of_the_log_waits_for_it(told_world, heard):
    """That it is resolved lies in the log and was not handed over yet: nothing is told."""
    (runner,) = told_world.others
    told_world.ends("a", "failed")
    told_world.harness.deliver()
    told_world.harness.tick(1)
    while runner.step():
        pass
    told_world.ends("b")
    told_world.harness.deliver()
    told_world.harness.tick(1)
    runner.live = True
    runner.tick()
    told_world.passes()
    assert told_world.told() == ["opened", "resolved"]
    assert heard.attempts == []


def test_resolved_between_two_attempts(told_world, heard):
    """A message that could not be sent yet is dropped, and so is the one that it is over."""
    heard.failures = [transient()]
    told_world.ends("a", "failed")
    told_world.passes()
    told_world.ends("b")
    for _ in range(60):
        told_world.passes()
    assert len(heard.attempts) == 1
    assert heard.messages == []


def test_a_server_that_starts_tells_what_is_open_and_young(make_world, tmp_path):
    """Open for ten minutes: told. Open for two hours: listed, not told. Over: not told."""
    world, heard = make_world(tmp_path / "w"), Heard()
    for flow in ("old", "over", "young"):
        world.declares(failed(), flow=flow)
    world.ends("a", "failed", "old")
    world.ends("b", "failed", "over")
    world.clock.advance(2 * HOUR)
    world.ends("c", "completed", "over")
    world.ends("d", "failed", "young")
    world.clock.advance(600)
    world.adds("notifications", lambda _: Sender([heard]))
    world.passes()
    world.passes()
    assert {incident.flow for incident in world.open} == {"old", "young"}
    assert [message.incident.subject.name for message in heard.messages] == ["young"]


def test_a_sender_that_was_away_tells_nothing_of_history(world, heard):
    """It reads a month of incidents and says only what is open now and less than an hour old."""
    world.declares(failed())
    for number in range(30):
        world.clock.advance(86_400)
        world.ends(f"bad{number}", "failed")
        world.passes()
        world.ends(f"good{number}")
        world.passes()
    world.ends("now", "failed")
    world.passes()
    world.adds("notifications", lambda _: Sender([heard]))
    world.passes()
    assert [message.incident.runs for message in heard.messages] == [["now"]]


def test_the_end_is_told_however_late(told_world, heard):
    """Who was told that it began must not believe for ever that it lasts."""
    told_world.ends("a", "failed")
    told_world.passes()
    told_world.clock.advance(0.5)
    told_world.ends("b")
    told_world.harness.deliver()
    told_world.harness.tick()
    told_world.clock.advance(5 * HOUR)
    told_world.passes()
    assert heard.kinds == ["opened", "resolved"]


def test_a_restart_at_any_moment_sends_nothing_twice(make_world, tmp_path):
    """Every plugin made anew after every step."""
    world, heard = make_world(tmp_path / "w"), Heard()
    heard.failures = [transient(), transient()]
    world.declares(failed())
    for number in range(4):
        world.ends(f"bad{number}", "failed")
        _turns(world, heard)
        world.ends(f"good{number}")
        _turns(world, heard)
    assert heard.kinds == ["opened", "resolved"] * 4


def _turns(world, heard):
    for _ in range(40):
        world.restarts()
        world.others.clear()
        world.adds("notifications", lambda _: Sender([heard]))
        world.passes()


def test_a_channel_that_is_down_is_tried_again(told_world, heard):
    """With growing pauses, six times in all, each failure in the log; then it is given up for good."""
    heard.failures = [transient() for _ in range(10)]
    told_world.ends("a", "failed")
    moments = []
    for _ in range(1500):
        before = len(heard.attempts)
        told_world.passes()
        if len(heard.attempts) > before:
            moments.append(told_world.clock())
    gaps = [round((after - before) / 1e6) for before, after in itertools.pairwise(moments)]
    assert gaps == [5, 15, 60, 300, 900]
    failures = told_world.events("notification.failed")
    assert [(failure.attempt, failure.permanent) for failure in failures] == [(n, n == 6) for n in range(1, 7)]
    assert failures[0].error.message == "is down"
    told_world.ends("b")
    told_world.passes()
    assert len(heard.attempts) == 6


def test_attempts_have_one_id(told_world, heard):
    """So that a receiver which took the first one after all can tell."""
    heard.failures = [transient()]
    told_world.ends("a", "failed")
    for _ in range(10):
        told_world.passes()
    assert len(heard.attempts) == 2
    assert len(set(heard.attempts)) == 1


def test_retry_after_is_honoured(told_world, heard):
    """The channel rests for as long as the receiver asked, for other messages too."""
    heard.failures = [transient(retry_after=120)]
    told_world.ends("a", "failed")
    told_world.declares(failed(), flow="other")
    told_world.ends("x", "failed", "other")
    for _ in range(115):
        told_world.passes()
    assert len(heard.attempts) == 1
    for _ in range(10):
        told_world.passes()
    assert sorted(message.incident.subject.name for message in heard.messages) == ["nightly", "other"]


def test_a_permanent_failure_is_not_repeated(told_world, heard):
    """One attempt, noted as permanent; that it is over is not told either."""
    heard.failures = [ChannelError("heard", "answered 400", permanent=True)]
    told_world.ends("a", "failed")
    for _ in range(100):
        told_world.passes()
    assert len(heard.attempts) == 1
    assert [failure.permanent for failure in told_world.events("notification.failed")] == [True]


def test_a_channel_with_a_fault_holds_up_no_other(world, caplog):
    """It raises what no channel should; the next one still gets its message."""
    broken, heard = Heard("broken"), Heard()
    broken.failures = [ZeroDivisionError("secret") for _ in range(100)]
    world.adds("notifications", lambda _: Sender([broken, heard]))
    world.declares(failed())
    world.ends("a", "failed")
    for _ in range(10):
        world.passes()
    assert heard.kinds == ["opened"]
    assert {failure.error.message for failure in world.events("notification.failed")} == {"failed with ZeroDivisionError"}


def test_a_flood_goes_out_in_parts(told_world, heard):
    """So that a tick ends before the runner's deadline."""
    now = told_world.clock()
    events = [
        kind(id=derived_id(now, str(number), kind.type), time=now, flow=f"flow{number}", run=f"r{number}", **fields)
        for number in range(50)
        for kind, fields in ((e.FlowDeclared, {"rules": (failed(),)}), (e.FlowRunFinished, {"state": "failed"}))
    ]
    told_world.harness.append(events)
    told_world.passes()
    assert len(heard.messages) == sender.LETTERS_A_TICK
    for _ in range(3):
        told_world.passes()
    assert len(heard.messages) == 50


def test_a_slow_channel_ends_its_tick_in_time(told_world, heard):
    """After ten seconds of sending a tick begins nothing more."""
    sends = heard.send

    def slowly(message):
        told_world.clock.advance(6)
        return sends(message)

    heard.send = slowly
    for number in range(5):
        told_world.declares(failed(), flow=f"flow{number}")
        told_world.ends(f"r{number}", "failed", f"flow{number}")
    told_world.passes()
    assert len(heard.messages) == 2


def test_rows_go_when_their_incident_is_long_over(told_world, heard):
    """Those of an open incident stay: its end is still to be told."""
    told_world.ends("a", "failed")
    told_world.passes()
    told_world.ends("b")
    told_world.passes()
    told_world.ends("c", "failed")
    told_world.passes()
    for _ in range(32):
        told_world.passes(86_400)
    rows = told_world.harness.read(sender.outbox.sent.select())
    assert [row.kind for row in rows] == ["opened"]
    told_world.ends("d")
    told_world.passes()
    assert heard.kinds == ["opened", "resolved"] * 2


# --- settings -----------------------------------------------------------------------------------------------------


def test_the_terminal_is_on_by_default_and_can_be_switched_off():
    """As text too, which is what environment variables hold."""
    assert [channel.name for channel in create({})._channels] == ["terminal"]
    for off in (False, "false", "0", "no", "off"):
        assert create({"terminal": off})._channels == []


def test_a_webhook_is_added_by_its_address():
    """Beside the terminal; its address shows in no repr."""
    plugin = create({"webhook": "https://hooks.example/s3cret", "timeout_seconds": "2.5"})
    assert [channel.name for channel in plugin._channels] == ["terminal", "webhook"]
    assert "s3cret" not in repr(plugin._channels)
    assert "s3cret" not in repr(settings_of({"webhook": "https://hooks.example/s3cret"}))


def test_an_unknown_key_is_refused():
    """With the one that was meant."""
    with pytest.raises(UnknownKey, match="Did you mean 'webhook'"):
        create({"webhok": "https://hooks.example"})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"webhook": "hooks.example/s3cret"}, "must begin with https"),
        ({"webhook": "ftp://hooks.example/s3cret"}, "must begin with https"),
        ({"webhook": "file:///etc/s3cret"}, "must begin with https"),
        ({"webhook": "https:///s3cret"}, "no host"),
        ({"webhook": "https://hooks.example:s3cret/"}, "no URL"),
        ({"webhook": "https://[s3cret"}, "no URL"),
        ({"webhook": "https://user:s3cret@hooks.example/"}, "user and password"),
        ({"webhook": "https://hooks.example/s3cret\r\nX: 1"}, "characters"),
        ({"webhook": 7}, "not text"),
        ({"terminal": "s3cret"}, "not true or false"),
        ({"timeout_seconds": "soon"}, "not a number"),
        ({"timeout_seconds": 0}, "between"),
        ({"timeout_seconds": float("nan")}, "between"),
        ({"url": "javascript:alert(1)"}, "must begin with https"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_used_is_refused(settings, problem):
    """With the key and the place, and without the value, which may be a secret."""
    with pytest.raises(BadValue, match=problem) as refused:
        create(settings)
    assert "[plugin.notifications]" in str(refused.value)
    assert "s3cret" not in str(refused.value)
