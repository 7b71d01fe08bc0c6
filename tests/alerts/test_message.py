"""What goes out is bounded, on one line, and holds no value of a user."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtell import events as e
from flowtell.rules import failed
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels.terminal import Terminal, line_of
from flowtell_alerts.message import clean, message_of

HUGE = "x\x1b[31m\n" * 1_000_000


def incident(**fields):
    known = {
        "id": "e" * 32,
        "time": 1_767_225_600_000_000,
        "incident": "1" * 32,
        "key": "failed-1",
        "rule": failed(),
        "subject": e.Subject(kind="flow", name="nightly"),
        "severity": "error",
        "since": 1_767_225_590_000_000,
        "reason": "the last run failed (KeyError)",
        "runs": ("a" * 32,),
    }
    return e.IncidentOpened(**{**known, **fields})


def test_a_message_is_bounded_whatever_the_incident_holds():
    """Five megabytes in every field come to sixteen kilobytes at most, on a terminal to two."""
    rule = e.RuleData(kind=HUGE, arguments={f"{n}{HUGE[:1000]}": HUGE for n in range(50)}, severity=HUGE, runbook=HUGE)
    event = incident(
        id=HUGE,
        run=HUGE,
        environment=HUGE,
        incident=HUGE,
        key=HUGE,
        rule=rule,
        subject=e.Subject(kind=HUGE, name=HUGE),
        runs=(HUGE,) * 100,
        severity=HUGE,
        owners=(HUGE,) * 100,
        reason=HUGE,
        evidence={"x": HUGE},
    )
    message = message_of(event, "https://flowtell.example")
    assert len(msgspec.json.encode(message)) < 16_000
    assert len(line_of(message)) < 2_500


def test_an_exception_of_five_megabytes_makes_a_small_incident(world):
    """Its type is cut, its message stays out; so does the traceback."""
    world.declares(failed())
    world.ends("a", "failed", error=e.Failure(type=HUGE, message=HUGE, traceback=HUGE))
    world.passes()
    (opened,) = world.events("incident.opened")
    assert len(e.encode(opened)) < 2_000
    assert len(msgspec.json.encode(message_of(opened))) < 2_000


@given(st.text())
def test_a_name_is_one_printable_line(text):
    """No name can move a cursor, colour a screen or begin a line of its own."""
    shown = clean(text)
    assert shown.isprintable()
    assert len(shown) <= 200


@given(st.text(min_size=1, max_size=50), st.integers(-(2**62), 2**62))
def test_any_incident_makes_a_line(name, since):
    """Any name, any moment."""
    message = message_of(incident(subject=e.Subject(kind="flow", name=name), since=since))
    assert line_of(message).isprintable()


def test_the_line_on_the_terminal():
    """What, where, why, since when and which run; then that it is over."""
    opened = line_of(message_of(incident(environment="production")))
    assert opened.startswith("ALERT error nightly (production): the last run failed (KeyError), since 20")
    assert opened.endswith(f", run {'a' * 32}")
    event = e.IncidentResolved(**{**msgspec.structs.asdict(incident()), "reason": "the last run ended well"})
    assert line_of(message_of(event)).startswith("RESOLVED nightly: the last run ended well, since 20")


def test_a_link_goes_before_an_id():
    """Where the configuration says where the pages are."""
    line = line_of(message_of(incident(run="b" * 32), "https://flowtell.example/"))
    assert line.endswith(f", https://flowtell.example/runs/{'b' * 32}")


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_colour_is_for_terminals(monkeypatch):
    """Not for files, and not for who sets NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    message = message_of(incident())
    screen, file = Screen(), io.StringIO()
    Terminal(screen).send(message)
    Terminal(file).send(message)
    assert screen.getvalue().startswith("\x1b[31mALERT error\x1b[0m nightly")
    assert file.getvalue().startswith("ALERT error nightly")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Screen()
    Terminal(plain).send(message)
    assert "\x1b" not in plain.getvalue()


def test_a_stream_that_is_closed_is_a_permanent_failure():
    """A server without a terminal is told nothing twice."""
    stream = io.StringIO()
    stream.close()
    with pytest.raises(ChannelError) as raised:
        Terminal(stream).send(message_of(incident()))
    assert raised.value.permanent


@pytest.mark.parametrize(
    ("kind", "evidence", "facts"),
    [
        (
            "late",
            {"reference": "due time", "due": 1_767_225_600_000_000, "zone": "Europe/Berlin", "grace": 900.0},
            {"reference": "due time", "due": "2026-01-01 01:00:00 Europe/Berlin", "grace": "15 min"},
        ),
        ("too_long", {"bound": 1800.0, "count": 12_000}, {"bound": "30 min", "count": "12,000"}),
        ("measured", {"bound": 1000.0, "value": 12.5, "first": True}, {"bound": "1,000", "value": "12.5", "first": "yes"}),
        ("late", {"due": 10**30, "zone": "Nowhere/At_All", "x": None, "y": {}, "z": ""}, {"due": "1" + "0" * 30}),
    ],
)
def test_evidence_is_told_in_words(kind, evidence, facts):
    """Moments with their zone, spans as people write them; what is no word or number stays in the log."""
    assert message_of(incident(rule=e.RuleData(kind=kind), evidence=evidence)).facts == facts
