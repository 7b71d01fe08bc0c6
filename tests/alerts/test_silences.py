"""Which incidents a silence covers and for how long, and whether anybody is told."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import MetaData

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.plugin import BasePlugin
from flowtell.testing import FakeClock, PluginHarness
from flowtell_alerts.muting import muted
from flowtell_alerts.silences import KEPT, LONGEST, WANTS, Silence, Silences, silence_table, silencing

NOW = FakeClock()()
HOUR = 3_600_000_000

INCIDENT = e.IncidentOpened(
    flow="nightly",
    deployment="berlin",
    environment="prod",
    incident="1" * 32,
    key="failed-abc",
    rule=e.RuleData(kind="failed"),
    subject=e.Subject(kind="deployment", name="nightly/berlin"),
    severity="error",
    owners=("data", "web"),
    tags=("daily",),
)


def silence(until: int = NOW + HOUR, since: int = NOW, **matchers: str) -> Silence:
    return Silence(silence="s", matchers=matchers, since=since, until=until, actor="ada", reason="upgrade")


@pytest.mark.parametrize(
    "matchers",
    [
        {"flow": "nightly"},
        {"flow": "night*", "environment": "prod"},
        {"deployment": "b?rlin"},
        {"tag": "daily"},
        {"owner": "web"},
        {"rule": "failed"},
        {"rule": "failed-abc"},
        {"severity": "[ew]*"},
        {"subject": "nightly/*"},
        {"subject": "deployment:*"},
        {"flow": "!other"},
    ],
)
def test_it_covers_what_fits_every_matcher(matchers):
    """Patterns as in a shell, by any of the incident's names."""
    assert silencing(INCIDENT, [silence(**matchers)], NOW) is not None


@pytest.mark.parametrize(
    "matchers",
    [
        {},
        {"flow": "night"},
        {"flow": "nightly", "environment": "test"},
        {"tag": "weekly"},
        {"owner": "!data"},
        {"colour": "*"},
        {"flow": "nightly", "colour": "red"},
    ],
)
def test_it_covers_nothing_else(matchers):
    """Not where one matcher does not fit, and not by a matcher that is not known, nor by none at all."""
    assert silencing(INCIDENT, [silence(**matchers)], NOW) is None


def test_it_holds_from_its_beginning_to_its_end_and_no_longer():
    """The first moment is in it, the last is not; who ended it early ended it."""
    span = silence(since=NOW + 10, until=NOW + 20, flow="*")
    assert [silencing(INCIDENT, [span], NOW + at) is not None for at in (9, 10, 19, 20)] == [False, True, True, False]


def test_of_several_the_longest_is_named():
    """So that who reads it knows when it is over."""
    short, long = silence(until=NOW + 5, flow="*"), silence(until=NOW + 50, flow="night*")
    assert silencing(INCIDENT, [short, long, short], NOW) is long


# --- muted --------------------------------------------------------------------------------------------------------


def test_who_is_told():
    """Named reasons: inhibited, silenced, flapping; else told."""
    quiet = [silence(flow="nightly")]
    child = e.IncidentOpened(flow="nightly", inhibited_by="2" * 32)
    flaps = e.IncidentUpdated(flow="nightly", evidence={"flapping": {"changes": 6}})
    assert muted(INCIDENT, NOW) == ""
    assert muted(INCIDENT, NOW, quiet) == "silenced"
    assert muted(INCIDENT, NOW + HOUR, quiet) == ""
    assert muted(child, NOW, quiet) == "inhibited"
    assert muted(flaps, NOW, told=True) == "flapping"
    assert muted(flaps, NOW, told=False) == ""


def test_an_end_is_never_muted():
    """A channel that was told before the silence began can close what it opened."""
    for kind in (e.IncidentResolved, e.IncidentAcknowledged):
        event = kind(flow="nightly", inhibited_by="2" * 32, evidence={"flapping": {}})
        assert muted(event, NOW, [silence(flow="*")], told=True) == ""


# --- the fold -----------------------------------------------------------------------------------------------------

METADATA = MetaData()
TABLE = silence_table("quiet_silences", METADATA)


class Quiet(BasePlugin):
    wants = WANTS
    tables = METADATA

    def open(self, context):
        super().open(context)
        self.silences = Silences(context, TABLE)

    def handle(self, events):
        for event in events:
            self.silences.take(event)

    def tick(self, now):
        self.silences.forget(now)


@pytest.fixture
def quiet(tmp_path):
    with PluginHarness(lambda settings: Quiet(), tmp_path, name="quiet") as harness:
        yield harness


def created(silence="a" * 32, *, time=NOW, until=NOW + HOUR, actor="ada", reason="upgrade", since=None, **matchers):
    matchers = matchers or {"flow": "*"}
    made = {"silence": silence, "until": until, "actor": actor, "reason": reason, "matchers": matchers, "since": since}
    return e.SilenceCreated(id=derived_id(time, f"c{made}"), time=time, **made)


def expired(silence="a" * 32, *, time=NOW + 5, actor="bob"):
    return e.SilenceExpired(id=derived_id(time, f"x{silence}"), time=time, silence=silence, actor=actor)


def holding(harness, now=NOW + 10):
    return harness.runner.plugin.silences.holding(now)


def test_a_silence_survives_a_restart(quiet):
    """With its author, its reason and its end."""
    quiet.feed([created(flow="nightly")])
    before = holding(quiet)
    quiet.restart()
    assert holding(quiet) == before
    assert before[0].actor == "ada"
    assert before[0].reason == "upgrade"
    assert before[0].matchers == {"flow": "nightly"}


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_ends_and_beginnings_in_any_order(quiet, order):
    """Who ended it may write into a journal that is read first; the same silence twice is one."""
    events = [created(), expired(), created(time=NOW + 1, reason="again")]
    for place in order:
        quiet.feed([events[place]])
    assert holding(quiet) == []
    (row,) = quiet.rows()["quiet_silences"]
    assert "bob" in row


@pytest.mark.parametrize(
    "lacks",
    [
        {"until": None},
        {"until": NOW},
        {"until": NOW + LONGEST + 1},
        {"actor": ""},
        {"reason": ""},
        {"silence": ""},
        {"since": NOW + 2 * HOUR},
    ],
)
def test_what_lacks_an_end_an_author_or_a_reason_is_none(quiet, lacks):
    """From whichever door it came."""
    quiet.feed([created(**lacks)])
    assert holding(quiet) == []


def test_old_ones_are_forgotten(quiet):
    """A month after their end, in memory and in the table."""
    quiet.feed([created()])
    quiet.clock.now = NOW + HOUR + KEPT
    quiet.tick()
    assert len(quiet.rows()["quiet_silences"]) == 1
    quiet.tick(1)
    assert quiet.rows()["quiet_silences"] == []
