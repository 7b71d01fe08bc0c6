"""What is told, to whom, and how often: the evaluator and the sender over one log."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from flowtell import events as e
from flowtell.errors import BadValue, UnknownKey
from flowtell.ids import derived_id
from flowtell.rules import failed, too_long
from flowtell.testing import PluginContract
from flowtell.testing.histories import START
from flowtell_alerts import outbox
from flowtell_alerts._backoff import MAX_RETRY_AFTER, rest_after, wait_after
from flowtell_alerts._route import Offer
from flowtell_alerts._settings import settings_of
from flowtell_alerts.channels import FOLLOWED, BaseChannel, ChannelError
from flowtell_alerts.message import Pages
from flowtell_alerts.sender import Sender, create

HOUR = 3600.0


class Heard(BaseChannel):
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

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.messages]


def sender_to(*channels: Heard) -> Sender:
    """Without jitter, so that moments can be told."""
    offers = [Offer(lambda each=each: each) for each in channels]
    return Sender(offers, Pages("https://flowtell.example/"), chance=lambda: 0.0)


def transient(retry_after: float = 0.0) -> ChannelError:
    return ChannelError("heard", "is down", permanent=False, retry_after=retry_after)


class TestContract(PluginContract):
    name = "notifications"

    def factory(self):
        self.channel = Heard()
        return lambda _: sender_to(self.channel)

    def history(self):
        made = []
        for number in range(12):
            at = START + number
            fields = {"time": at, "incident": derived_id(at, "i", str(number)), "since": at, "key": "k"}
            made.append(e.IncidentOpened(id=derived_id(at, "o"), **fields))
            if number % 3 == 0:
                made.append(e.IncidentResolved(id=derived_id(at, "r"), **fields))
        return made


@pytest.mark.postgres
class TestContractOnPostgreSQL(TestContract):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def told_world(world, heard):
    """A world whose incidents are told to `heard`."""
    world.adds("notifications", lambda _: sender_to(heard))
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
    world.adds("notifications", lambda _: sender_to(heard))
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
    world.adds("notifications", lambda _: sender_to(heard))
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
        world.clock.advance(HOUR)  # more often it would flap
        world.ends(f"bad{number}", "failed")
        _turns(world, heard)
        world.ends(f"good{number}")
        _turns(world, heard)
    assert heard.kinds == ["opened", "resolved"] * 4


def _turns(world, heard):
    for _ in range(40):
        _turn(world, heard)
        world.passes()


def _turn(world, heard):
    """Another server takes over."""
    world.restarts()
    world.others.clear()
    world.adds("notifications", lambda _: sender_to(heard))


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


def test_waits_grow_end_and_are_never_shorter_than_asked():
    """A fifth longer at the most, by chance; a Retry-After counts up to five minutes."""
    assert [wait_after(attempt, 0, lambda: 0.0) for attempt in range(1, 7)] == [5, 15, 60, 300, 900, None]
    assert wait_after(1, 0, lambda: 1.0) == 6
    assert wait_after(1, 120, lambda: 0.5) == 120
    assert wait_after(1, 1e9, lambda: 0.5) == MAX_RETRY_AFTER
    assert rest_after(1e9, lambda: 0.5) == MAX_RETRY_AFTER


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


@pytest.mark.parametrize("ahead", [-180, 0, 180])
def test_who_takes_over_has_another_clock(world, heard, ahead):
    """A message that was put off, a channel left alone, and one written just now: each waits as long as it was to wait."""
    world.adds("notifications", lambda _: sender_to(heard))
    world.declares(failed(), flow="nightly")
    world.clock.advance(ahead)
    heard.failures = [transient(retry_after=60)]
    world.ends("a", "failed")
    world.passes()
    assert len(heard.attempts) == 1
    world.clock.advance(-ahead)
    _turn(world, heard)
    world.declares(failed(), flow="other")
    world.ends("x", "failed", "other")
    for _ in range(50):
        world.passes()
    assert len(heard.attempts) == (1 if ahead >= 0 else 3)
    for _ in range(20):
        world.passes()
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
    world.adds("notifications", lambda _: sender_to(broken, heard))
    world.declares(failed())
    world.ends("a", "failed")
    for _ in range(10):
        world.passes()
    assert heard.kinds == ["opened"]
    assert {failure.error.message for failure in world.events("notification.failed")} == {"failed with ZeroDivisionError"}


def test_a_channel_that_hangs_holds_up_no_other(world):
    """It never comes back; the other one is told at once, and the one that hangs when it has let go."""
    hanging, heard = Heard("hanging"), Heard()
    let_go = threading.Event()
    sends = hanging.send

    def hang(message):
        assert let_go.wait(20)
        return sends(message)

    hanging.send = hang
    runner = world.adds("notifications", lambda _: sender_to(hanging, heard))
    world.declares(failed())
    world.ends("a", "failed")
    world.harness.deliver()
    world.harness.tick(1.0)
    while runner.step():
        pass
    runner.live = True
    until = time.monotonic() + 10
    while not heard.messages:
        assert time.monotonic() < until
        runner.tick()
    assert runner.plugin.busy
    let_go.set()
    world.passes()
    assert heard.kinds == hanging.kinds == ["opened"]


def test_what_is_acknowledged_is_told_once(told_world, heard):
    """To a channel that wants to know; with who did it."""
    heard.tells = FOLLOWED
    told_world.ends("a", "failed")
    told_world.passes()
    (opened,) = told_world.events("incident.opened")
    told_world.appends(e.IncidentAcknowledged, incident=opened.incident, actor="ada", severity="error")
    for _ in range(3):
        told_world.passes()
    assert heard.kinds == ["opened", "acknowledged"]
    assert heard.messages[1].acknowledged_by == "ada"


def test_acknowledged_before_it_was_told(told_world, heard):
    """The channel hears that it opened, and then that somebody has it."""
    heard.tells = FOLLOWED
    heard.failures = [transient()]
    told_world.ends("a", "failed")
    told_world.passes()
    (opened,) = told_world.events("incident.opened")
    told_world.appends(e.IncidentAcknowledged, incident=opened.incident, actor="ada", severity="error")
    for _ in range(10):
        told_world.passes()
    assert heard.kinds == ["opened", "acknowledged"]


def test_updates_go_where_they_change_a_message(told_world, heard):
    """With what the channel answered first, so that it can find that message again."""
    heard.tells, heard.in_place = FOLLOWED, True
    for name in "abc":
        told_world.ends(name, "failed")
        for _ in range(3):
            told_world.passes()
    assert heard.kinds == ["opened", "updated", "updated"]
    assert [message.before for message in heard.messages[1:]] == [e.Receipt(id="r1")] * 2
    assert len({message.id for message in heard.messages}) == 3


def test_what_changes_during_an_attempt_is_told_after_it(world, heard):
    """Resolved while the message that it opened was on its way: that is told too."""
    runner = world.adds("notifications", lambda _: sender_to(heard))
    world.declares(failed())
    sends = heard.send

    def meanwhile(message):
        if message.kind == "opened":
            assert on_its_way.wait(20)
        return sends(message)

    on_its_way, heard.send = threading.Event(), meanwhile
    world.ends("a", "failed")
    world.harness.deliver()
    world.harness.tick(1.0)
    runner.live = True
    for _ in range(4):
        runner.step()
        runner.tick()
    world.ends("b")
    world.harness.deliver()
    world.harness.tick(1.0)
    runner.step()
    on_its_way.set()
    for _ in range(3):
        world.passes()
    assert heard.kinds == ["opened", "resolved"]


def test_people_are_reminded_until_somebody_acknowledges(told_world, heard):
    """Each under an id of its own."""
    heard.repeat_seconds = 600.0
    told_world.ends("a", "failed")
    told_world.passes()
    for _ in range(130):
        told_world.passes(10)
    assert heard.kinds == ["opened", "repeat", "repeat"]
    assert len({message.id for message in heard.messages}) == 3
    (opened,) = told_world.events("incident.opened")
    told_world.appends(e.IncidentAcknowledged, incident=opened.incident, actor="ada", severity="error")
    for _ in range(130):
        told_world.passes(10)
    assert heard.kinds == ["opened", "repeat", "repeat"]


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
    rows = told_world.harness.read(outbox.letters.select())
    assert [row.kind for row in rows] == ["opened"]
    told_world.ends("d")
    told_world.passes()
    assert heard.kinds == ["opened", "resolved"] * 2


# --- settings -----------------------------------------------------------------------------------------------------


def test_the_terminal_is_on_by_default_and_can_be_switched_off():
    """As text too, which is what environment variables hold."""
    assert [offer.make().name for offer in create({})._offers] == ["terminal"]
    for off in (False, "false", "0", "no", "off"):
        assert create({"terminal": off})._offers == []


def test_a_webhook_is_added_by_its_address():
    """Beside the terminal; its address shows in no repr."""
    plugin = create({"webhook": "https://hooks.example/s3cret", "timeout_seconds": "2.5"})
    channels = [offer.make() for offer in plugin._offers]
    assert [channel.name for channel in channels] == ["terminal", "webhook"]
    assert "s3cret" not in repr(channels)
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
